//! `make soak`: a fleet that works for hours, with epochs each minute, settlements and payouts
//! through the sandbox: whether memory and latency stay what they are. A line each stretch, and at
//! the end the last third beside the first. `soak LUCID MINUTES NODES`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lucid_testkit::{
    cpu::cpu,
    service::{Service, ms, now, percentile, start_with, token},
    signed::{self, Node, sample},
    wire::{Wire, address, request},
};
use serde_json::Value;
use uuid::Uuid;

const MINUTES: u64 = 120;
const NODES: u32 = 1_000;
/// How often a node reports.
const INTERVAL: Duration = Duration::from_secs(30);
/// Reports between two proofs of a node's key: its token lasts a quarter of an hour.
const REPORTS_A_TOKEN: u64 = 20;
/// Reports in a session of work.
const REPORTS_A_SESSION: u64 = 120;
/// Stretches that are told of.
const STRETCHES: u32 = 24;

/// One line.
struct Stretch {
    p50: Duration,
    p99: Duration,
    resident_mib: f64,
    cpu_percent: f64,
}

/// A node's agent: a connection, and a report every 30 s.
async fn agent(
    base: String,
    mut node: Node,
    begun: Instant,
    over: Instant,
    times: Arc<Mutex<Vec<Duration>>>,
) {
    tokio::time::sleep_until(begun.into()).await;
    let (mut wire, mut due, mut number) =
        (Wire::connect_with(address(&base), 16_384).await, begun, 1);
    let (mut session, mut start) = (Uuid::now_v7(), now());
    while due < over {
        tokio::time::sleep_until(due.into()).await;
        if number % REPORTS_A_TOKEN == 0 {
            node.renew(&mut wire).await;
        }
        let sent = Instant::now();
        let answer = wire.ask(&node.report(&sample(number).to_string())).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        times.lock().unwrap().push(sent.elapsed());
        // A session of an hour at most; nothing of it is over when it begins.
        if number % REPORTS_A_SESSION == 1 {
            (session, start) = (Uuid::now_v7(), now());
        } else {
            let answer = wire.ask(&node.observe(session, start)).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        }
        (due, number) = (due + INTERVAL, number + 1);
    }
}

/// What the service says of itself; asked through a connection of its own.
async fn told(service: &Service, path: &str) -> Value {
    let mut wire = Wire::connect(address(&service.base)).await;
    let answer = wire.ask(&request("GET", path, &token("soak", "super_admin"), "")).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(answer.body));
    serde_json::from_slice(answer.body).unwrap()
}

async fn stretch(service: &Service, length: Duration, times: &Mutex<Vec<Duration>>) -> Stretch {
    let used = cpu(service);
    tokio::time::sleep(length).await;
    let mut times = std::mem::take(&mut *times.lock().unwrap());
    times.sort_unstable();
    Stretch {
        p50: percentile(&times, 0.5),
        p99: percentile(&times, 0.99),
        resident_mib: service.resident_mib(),
        cpu_percent: 100.0 * (cpu(service) - used).as_secs_f64() / length.as_secs_f64(),
    }
}

fn mean(stretches: &[Stretch], of: impl Fn(&Stretch) -> f64) -> f64 {
    stretches.iter().map(of).sum::<f64>() / f64::from(u32::try_from(stretches.len()).unwrap())
}

async fn run(lucid: &Path, minutes: u64, nodes: u32) {
    let settings = [
        ("LUCID_SCORING_EPOCH_S", "60"),
        ("LUCID_SCORING_CLOSE_DELAY_S", "2"),
        ("POOT_MIN_OBSERVATION_TIME", "30"),
        ("LUCID_PAYOUTS_SETTLEMENT_S", "300"),
        ("LUCID_PAYOUTS_MATURITY_S", "0"),
        ("REWARD_BUDGET_USDT", "10000"),
        ("PAYOUT_MIN_AMOUNT_USDT", "1"),
        ("PAYOUT_AUTO_APPROVE_MAX_USDT", "1000000"),
        ("PAYOUT_CYCLE_CAP_USDT", "1000000"),
        ("LUCID_PAYOUTS_AUTO_APPROVE_JUMP_MAX", "0"),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "10000000"),
        // So that pages fill it in the first minutes: what still grows then is something else.
        ("LUCID_STORE_CACHE_MIB", "2"),
    ];
    let service = start_with(lucid, tempfile::tempdir().unwrap(), &settings);
    let fleet = signed::fleet(&service, nodes).await;
    println!(
        "{nodes} nodes, a report each 30 s, an epoch a minute, a settlement and payouts each 5 minutes; {minutes} minutes"
    );
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>7} {:>10} {:>10}",
        "minute", "p50", "p99", "resident", "cpu", "epochs", "paid"
    );
    let (begun, times) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let over = begun + Duration::from_secs(60 * minutes);
    let mut agents = tokio::task::JoinSet::new();
    for (place, node) in (0_u32..).zip(fleet) {
        agents.spawn(agent(
            service.base.clone(),
            node,
            begun + INTERVAL * place / nodes,
            over,
            Arc::clone(&times),
        ));
    }
    let length = Duration::from_secs(60 * minutes) / STRETCHES;
    let mut stretches = Vec::new();
    for number in 1..=STRETCHES {
        let stretch = stretch(&service, length, &times).await;
        let epochs =
            told(&service, "/api/v1/poot/epochs?limit=1").await["pagination"]["total"].clone();
        let paid =
            told(&service, "/api/v1/payouts?status=completed&limit=1").await["pagination"]["total"]
                .clone();
        println!(
            "{:>8.1} {:>7.2} ms {:>7.2} ms {:>6.0} MiB {:>5.1} % {epochs:>10} {paid:>10}",
            (length * number).as_secs_f64() / 60.0,
            ms(stretch.p50),
            ms(stretch.p99),
            stretch.resident_mib,
            stretch.cpu_percent
        );
        stretches.push(stretch);
    }
    agents.join_all().await;
    let status = told(&service, "/api/v1/payouts/status").await;
    println!("money is {}: {}", status["safety"], status["reasons"]);
    let third = stretches.len() / 3;
    let (first, last) = (&stretches[..third], &stretches[stretches.len() - third..]);
    let grown = |of: &dyn Fn(&Stretch) -> f64| mean(last, of) / mean(first, of);
    println!(
        "last third by first: resident {:.2} x, p50 {:.2} x, p99 {:.2} x, processor {:.2} x",
        grown(&|s| s.resident_mib),
        grown(&|s| s.p50.as_secs_f64()),
        grown(&|s| s.p99.as_secs_f64()),
        grown(&|s| s.cpu_percent)
    );
}

fn main() {
    // An agent that meets anything but what it expects ends it all: what goes on with fewer
    // measures something else.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        std::process::exit(1);
    }));
    let mut arguments = std::env::args().skip(1);
    let lucid = PathBuf::from(arguments.next().unwrap_or_else(|| "target/release/lucid".into()));
    let minutes = arguments.next().map_or(MINUTES, |text| text.parse().unwrap());
    let nodes = arguments.next().map_or(NODES, |text| text.parse().unwrap());
    // One thread: the cores are the service's.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid, minutes, nodes));
}
