//! What a node leaves behind: too little for a last payout, it can be claimed for a year, and is
//! kept apart after it.

use lucid_model::{
    fleet::node::NodeEvent,
    money::{
        MicroUsdt,
        ledger::{Account, Balances, Stream},
        run::RunState,
    },
    time::DAY_MS,
};
use lucid_ports::{Fence, HeldLease, Order, PageRequest, PayoutFilter, PayoutSort};
use lucid_service::{Actor, Role, verify_books};

use crate::{
    support::{block_on, money},
    telemetry::cheats::{Scene, id, session},
};

/// Half of it is less than the least that is paid to who left.
const BUDGET: MicroUsdt = MicroUsdt(1_500_001);

fn available(scene: &Scene, node: u8) -> i64 {
    block_on(scene.store.head(Stream::Node(id(node)))).unwrap().balances.available.0
}

fn unclaimed(scene: &Scene) -> i64 {
    block_on(scene.service.review.standing()).unwrap().unclaimed.0
}

/// What the payer does again and again.
fn plan(scene: &Scene) {
    block_on(scene.service.money.plan_due_run(&HeldLease::new(Fence(1), || true))).unwrap();
}

#[test]
fn what_a_node_left_behind_is_claimed_within_a_year_or_kept_apart() {
    let usdt = MicroUsdt(1_000_000);
    let mut config = money::config();
    config.money.budget = Some(BUDGET);
    config.money.maturity_ms = 0;
    config.money.payout_min = MicroUsdt(10_000_000);
    config.money.payout_final_min = usdt;
    config.money.claimable_ms = 365 * DAY_MS;
    let scene = Scene::with(&["observation-only", "hardware-and-identity", "proportional"], config);
    block_on(scene.service.money.fund_treasury(
        &Actor::system(),
        "test",
        MicroUsdt(100_000_000),
        "test",
    ))
    .unwrap();
    for node in [1, 2] {
        scene.work(node, 1_500_000);
        scene.observe(
            node,
            session(node.into()),
            lucid_model::telemetry::credit::Interval {
                from: scene.service.clock.now().plus_ms(-1_500_000),
                to: scene.service.clock.now(),
            },
        );
    }
    scene.pass(scene.epoch.end().ms_since(scene.service.clock.now()) + 1);
    while block_on(scene.service.epochs.close_due_epoch()).unwrap().is_some() {}
    while block_on(scene.service.money.settle_due_period()).unwrap().is_some() {}
    let (first, second) = (available(&scene, 1), available(&scene, 2));
    assert_eq!(first + second, BUDGET.0);
    assert!(first < usdt.0 && second < usdt.0, "{first} {second}");

    // Both leave a day later: nothing is paid by itself.
    scene.pass(DAY_MS);
    for node in [1, 2] {
        block_on(scene.service.fleet.transition(&Actor::system(), id(node), NodeEvent::Deregister))
            .unwrap();
    }
    let one_hour_less = 3_600_000;
    for _ in 0..2 {
        plan(&scene);
    }
    scene.pass(365 * DAY_MS - one_hour_less);
    plan(&scene);
    assert_eq!(
        (available(&scene, 1), available(&scene, 2), unclaimed(&scene)),
        (first, second, 0),
        "it can be claimed"
    );

    // One claims it in the last hour: a treasurer plans a run of that node, and of any amount.
    let carol = Actor { subject: "carol".into(), roles: vec![Role::Treasurer], ..Actor::system() };
    let run = block_on(scene.service.money.plan_run(&carol, vec![id(2)])).unwrap();
    plan(&scene);
    let planned = block_on(scene.store.run(run.id)).unwrap().unwrap();
    assert_eq!(
        (planned.state, planned.count, planned.total),
        (RunState::Planned, 1, MicroUsdt(second))
    );

    // The other does not.
    scene.pass(2 * one_hour_less);
    plan(&scene);
    assert_eq!((available(&scene, 1), unclaimed(&scene)), (0, first), "it is kept apart");
    let reserved = block_on(scene.store.head(Stream::Node(id(2)))).unwrap().balances;
    assert_eq!(
        reserved,
        Balances { reserved: MicroUsdt(second), ..Balances::default() },
        "what is claimed is set aside"
    );
    let last = block_on(scene.store.entries(Stream::Node(id(1)), 1, 10)).unwrap();
    assert_eq!(last.last().unwrap().draft.kind.name(), "unclaimed");
    assert_eq!(block_on(scene.store.account_total(Account::Unclaimed)).unwrap().0, first);

    // What is claimed and then not paid can be claimed for another year: something moved.
    block_on(scene.service.money.cancel_run(&carol, run.id, "another day".into())).unwrap();
    let payouts = || {
        let all = PageRequest {
            page: 1,
            limit: 10,
            sort: PayoutSort::CreatedAt,
            order: Order::Ascending,
        };
        block_on(scene.store.payouts(&PayoutFilter::default(), all)).unwrap().items
    };
    let payout = payouts().pop().unwrap();
    block_on(scene.service.money.cancel_payout(&carol, payout.id, "another day".into())).unwrap();
    scene.pass(364 * DAY_MS);
    plan(&scene);
    assert_eq!((available(&scene, 2), unclaimed(&scene)), (second, first));
    scene.pass(2 * DAY_MS);
    plan(&scene);
    assert_eq!((available(&scene, 2), unclaimed(&scene)), (0, first + second));

    // Once, and the books know of it.
    scene.pass(DAY_MS);
    plan(&scene);
    assert_eq!(unclaimed(&scene), BUDGET.0);
    let books = block_on(verify_books(scene.store.as_ref(), &mut |_| {})).unwrap();
    assert_eq!((books.flaw, books.totals.unclaimed, books.totals.available), (None, BUDGET.0, 0));
}
