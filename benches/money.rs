//! Measures money: accruals of a fleet, a plan over it, payouts through the sandbox (a process of
//! its own, which makes every transfer durable before it answers), and the verification of all
//! books: `make bench`, or `money LUCID [NODES] [PAYOUTS]`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made stops and says where")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::{
    fleet::node::Wallet,
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace, PayoutStatus},
        run::RunState,
    },
    policies::Revision,
    time::TimeMs,
};
use lucid_payments::{Profile, TronPayment, TronPaymentConfig};
use lucid_ports::{
    Fence, HeldLease, Order, PageRequest, PaymentRail, PayoutFilter, PayoutSort, Store,
};
use lucid_service::{Actor, Ports, ServiceConfig, verify_books};
use lucid_testkit::{fleet, sandbox};

const NODES: u32 = 100_000;
const PAYOUTS: u32 = 10_000;
const WALLET: &str = "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC";

fn main() {
    let mut args = std::env::args().skip(1);
    let lucid = args.next().unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut number = |usual: u32| args.next().map_or(usual, |text| text.parse().unwrap());
    let (nodes, payouts) = (number(NODES), number(PAYOUTS));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        planned(nodes).await;
        paid(&lucid, payouts).await;
    });
}

fn config(nodes: u32) -> ServiceConfig {
    let huge = MicroUsdt(1_000_000_000_000_000);
    {
        let mut config = fleet::config(4);
        config.money.budget = Some(MicroUsdt(i64::from(nodes) * 20_000_000));
        config.money.auto_approve_max = huge;
        config.money.cycle_cap = Some(huge);
        config.money.payout_min = MicroUsdt(1_000);
        config.epochs.observation_min_s = 0;
        config.money.payouts_in_flight_max = 64;
        config.money.deadlines = Deadlines { unknown_ms: 600_000, accepted_ms: 600_000 };
        config.money.pace = Pace {
            send_first_ms: 1,
            send_max_ms: 1,
            look_first_ms: 0,
            look_max_ms: 1,
            manual_look_ms: 1,
        };
        config
    }
}

/// A fleet with wallets that has worked an epoch, which is a settlement period.
async fn fleet_of(
    store: &Arc<dyn Store>,
    nodes: u32,
    dir: &Path,
    rail: Option<Arc<dyn PaymentRail>>,
) -> Arc<lucid_service::Service> {
    let wallet = Wallet { address: WALLET.parse().unwrap(), version: 1, since: TimeMs(0) };
    fleet::register_with(store, nodes, move |node| node.wallet = Some(wallet)).await;
    fleet::activate(store.as_ref(), Path::new("policies/observation-weighted/1.0.0"), Revision(0))
        .await;
    fleet::activate(store.as_ref(), Path::new("policies/proportional/1.0.0"), Revision(1)).await;
    fleet::work(store, nodes, 1).await;
    let now = fleet::epoch(1).end().plus_ms(45_000);
    let ports = Ports { rail, ..fleet::ports(store, &dir.join("cache"), now, 2) };
    let service = fleet::service_on(ports, config(nodes)).await;
    service
        .money
        .fund_treasury(&Actor::system(), "bench", MicroUsdt(i64::from(nodes) * 40_000_000), "bench")
        .await
        .unwrap();
    while service.epochs.close_due_epoch().await.unwrap().is_some() {}
    service
}

async fn planned(nodes: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store =
        lucid_testkit::STORES.open(&format!("sqlite://{}", dir.path().display())).await.unwrap();
    let service = fleet_of(&store, nodes, dir.path(), None).await;
    let started = Instant::now();
    let mut accruals = 0;
    while let Some(settled) = service.money.settle_due_period().await.unwrap() {
        accruals += settled.count;
    }
    println!(
        "{accruals} accruals of {nodes} nodes, durable: {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let tenure = HeldLease::new(Fence(1), || true);
    let started = Instant::now();
    let run = service.money.plan_due_run(&tenure).await.unwrap().unwrap();
    println!(
        "a plan of {} payouts, {} USDT, all set aside and durable: {:.1} s",
        run.count,
        run.total,
        started.elapsed().as_secs_f64()
    );
    let started = Instant::now();
    let found = verify_books(store.as_ref(), &mut |_| {}).await.unwrap();
    assert_eq!(found.flaw, None);
    let took = started.elapsed();
    let a_second = u128::from(found.progress.entries) * 1_000_000 / took.as_micros().max(1);
    let (entries, payouts) = (found.progress.entries, found.progress.payouts);
    println!(
        "{entries} ledger entries and {payouts} payouts verified in {:.2} s: {a_second} entries/s",
        took.as_secs_f64()
    );
}

async fn paid(lucid: &str, payouts: u32) {
    let dir = tempfile::tempdir().unwrap();
    let store =
        lucid_testkit::STORES.open(&format!("sqlite://{}", dir.path().display())).await.unwrap();
    let (_process, url) =
        sandbox::start(lucid, &dir.path().join("sandbox"), &["--confirm-ms", "0"]);
    let timeout = Duration::from_secs(10);
    let rail = TronPayment::new(TronPaymentConfig {
        base_url: url,
        token: None,
        timeout,
        egress: lucid_egress::Egress::default(),
        profile: Profile::SANDBOX,
    })
    .unwrap();
    let service = fleet_of(&store, payouts, dir.path(), Some(Arc::new(rail))).await;
    while service.money.settle_due_period().await.unwrap().is_some() {}
    let tenure = HeldLease::new(Fence(1), || true);
    service.money.recover_payouts(&tenure).await.unwrap();
    let run = service.money.plan_due_run(&tenure).await.unwrap().unwrap();
    let started = Instant::now();
    loop {
        service.money.pay_step(&tenure).await.unwrap();
        service.money.finish_runs().await.unwrap();
        if store.run(run.id).await.unwrap().unwrap().state == RunState::Done {
            break;
        }
    }
    let took = started.elapsed();
    let filter = PayoutFilter { status: Some(PayoutStatus::Completed), ..PayoutFilter::default() };
    let page =
        PageRequest { page: 1, limit: 1, sort: PayoutSort::CreatedAt, order: Order::Ascending };
    let completed = store.payouts(&filter, page).await.unwrap().total;
    assert_eq!(completed, u64::from(run.count), "every payout is paid");
    let a_second = u128::from(completed) * 1_000_000 / took.as_micros().max(1);
    println!(
        "{completed} payouts through the sandbox in {:.1} s: {a_second} payouts/s",
        took.as_secs_f64()
    );
}
