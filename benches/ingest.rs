//! `make bench`, the reports' part: how many reports a second are taken, durable, one by one and in
//! batches; what a fleet that reports every 30 seconds costs; how soon streams tell of a report,
//! and whether a thousand of them slow reports down. Over HTTP against the real binary, every
//! report signed and judged; nothing is asserted but that every answer is the expected one. `ingest
//! LUCID NODES SECONDS`: how large the fleet is, and how long it is watched.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lucid_model::time::TimeMs;
use lucid_testkit::{
    cpu::cpu,
    listeners,
    rate::{CONNECTIONS, MEASURED_FOR, Measured, bare, measure, serve_bare},
    service::{Service, fsyncs_a_second, ms, now, percentile, start_with},
    signed::{self, Node, sample},
    wire::{Wire, address},
};
use serde_json::json;

/// Nodes of the fleet, and how long it is watched, unless told otherwise.
const NODES: u32 = 20_000;
const WATCHED_S: u64 = 60;
/// Reports of a batch, from one node or from many.
const BATCH: usize = 100;
/// More than are sent in the time, so that none runs out.
const SINGLE_MOST: usize = 160_000;
const BATCHES_MOST: usize = 30_000;
/// Files besides the agents' connections.
const OTHER_FILES: u32 = 500;
/// How often an agent reports.
const INTERVAL: Duration = Duration::from_secs(30);
/// Streams that listen while reports come.
const LISTENERS: usize = 1_000;

/// Sends what was prepared, as fast as it is answered.
async fn flood(service: &Service, requests: Vec<Vec<u8>>) -> Measured {
    let (until, place) = (Instant::now() + MEASURED_FOR, AtomicUsize::new(0));
    let most = requests.len();
    measure(address(&service.base), CONNECTIONS, 200, move |_| {
        let place = place.fetch_add(1, Ordering::Relaxed);
        (Instant::now() < until).then(|| {
            requests.get(place).unwrap_or_else(|| panic!("{most} requests were not enough")).clone()
        })
    })
    .await
}

/// A report each, of one node after the other.
fn singles(nodes: &mut [Node], count: usize) -> Vec<Vec<u8>> {
    let many = nodes.len();
    (0..count).map(|place| nodes[place % many].report(&sample(place as u64).to_string())).collect()
}

/// A hundred samples of one node in a report, as after an outage: of the last hour.
fn backlogs(nodes: &mut [Node], count: usize) -> Vec<Vec<u8>> {
    let (many, begun) = (nodes.len(), now());
    let body = |turn: usize| {
        let at = |i: usize| {
            TimeMs(
                begun.0 - 30_000 * i64::try_from(BATCH - i).unwrap() - i64::try_from(turn).unwrap(),
            )
            .to_string()
        };
        let with_time = |i: usize| {
            let mut sample = sample((turn * BATCH + i) as u64);
            sample["timestamp"] = at(i).into();
            sample
        };
        json!({ "samples": (0..BATCH).map(with_time).collect::<Vec<_>>() }).to_string()
    };
    (0..count).map(|place| nodes[place % many].report(&body(place / many))).collect()
}

/// Reports of a hundred nodes each, brought by a gateway.
fn carried(nodes: &mut [Node], count: usize) -> Vec<Vec<u8>> {
    let mut batches = Vec::with_capacity(count);
    while batches.len() < count {
        for part in nodes.chunks_mut(BATCH) {
            let turn = batches.len() as u64;
            let reports: Vec<_> =
                part.iter_mut().map(|node| node.carried(&sample(turn).to_string())).collect();
            batches.push(signed::batch(&reports));
        }
    }
    batches
}

/// The fleet as its agents are: a connection each, a report every 30 s, each at a moment of its
/// own.
async fn agents(service: &Service, nodes: Vec<Node>, watched: Duration) -> Vec<Node> {
    let (address, begun, count) =
        (address(&service.base), Instant::now(), u32::try_from(nodes.len()).unwrap());
    let over = begun + INTERVAL + watched;
    let mut running = tokio::task::JoinSet::new();
    for (place, mut node) in (0_u32..).zip(nodes) {
        running.spawn(async move {
            let mut due = begun + INTERVAL * place / count;
            tokio::time::sleep_until(due.into()).await;
            let (mut wire, mut times, mut number) =
                (Wire::connect_with(address, 4_096).await, Vec::new(), 1);
            while due < over {
                tokio::time::sleep_until(due.into()).await;
                let answer = wire.ask(&node.report(&sample(number).to_string())).await;
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
                times.push(due.elapsed());
                (due, number) = (due + INTERVAL, number + 1);
            }
            (node, times)
        });
    }
    // Everybody has connected and reported once before the fleet is watched.
    tokio::time::sleep(INTERVAL).await;
    let before = cpu(service);
    tokio::time::sleep_until(over.into()).await;
    let used = cpu(service) - before;
    let resident = service.resident_mib();
    let (nodes, times): (Vec<_>, Vec<_>) = running.join_all().await.into_iter().unzip();
    let mut times: Vec<_> = times.into_iter().flatten().collect();
    times.sort_unstable();
    println!(
        "{count} agents at {} s, a connection each, {} s: {:.1} % of a core, {resident:.0} MiB; answered p50 {:.2} ms, p99 {:.2} ms",
        INTERVAL.as_secs(),
        watched.as_secs(),
        100.0 * used.as_secs_f64() / watched.as_secs_f64(),
        ms(percentile(&times, 0.5)),
        ms(percentile(&times, 0.99))
    );
    nodes
}

async fn run(lucid: &Path, count: u32, watched: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let connections = (count + OTHER_FILES).to_string();
    let service = start_with(lucid, dir, &[("LUCID_SERVER_CONNECTIONS_MAX", &connections)]);
    let fsyncs = fsyncs_a_second(service.dir.path());
    println!("disk: {fsyncs:.0} fsyncs/s");
    let bare = bare().await;
    println!("bare axum route, {CONNECTIONS} connections: {}", bare.told());
    let begun = Instant::now();
    let mut nodes = signed::fleet(&service, count).await;
    println!(
        "{count} nodes registered, proven and active in {:.1} s; {:.0} MiB",
        begun.elapsed().as_secs_f64(),
        service.resident_mib()
    );

    let nodes_again = agents(&service, nodes, watched).await;
    nodes = nodes_again;
    let told = |what: &str, measured: &Measured, each: usize| {
        let reports = measured.rate * f64::from(u32::try_from(each).unwrap());
        println!(
            "{what}: {reports:.0}/s, {:.2} × bare axum; requests {}",
            reports / bare.rate,
            measured.told()
        );
    };
    let single = flood(&service, singles(&mut nodes, SINGLE_MOST)).await;
    told("single reports", &single, 1);
    let heard = Arc::new(listeners::Heard::default());
    let listening = listeners::listen(&service, &nodes, LISTENERS, &heard).await;
    let beside = flood(&service, singles(&mut nodes, SINGLE_MOST)).await;
    told(&format!("single reports, {LISTENERS} streams listening to a node each"), &beside, 1);
    println!("    {:.2} × without listeners; {}", beside.rate / single.rate, heard.told());
    drop(listening);
    listeners::latency(&service, &mut nodes).await;
    told(
        "samples in a node's batches of 100",
        &flood(&service, backlogs(&mut nodes, BATCHES_MOST)).await,
        BATCH,
    );
    told(
        "reports in a gateway's batches of 100, each signed by its node",
        &flood(&service, carried(&mut nodes, BATCHES_MOST / 5)).await,
        BATCH,
    );
    println!("resident at the end: {:.0} MiB", service.resident_mib());
    let again = service.restart(lucid);
    println!(
        "start after a kill: {:.0} ms; resident {:.0} MiB",
        ms(again.ready_in),
        again.resident_mib()
    );
}

fn main() {
    if std::env::args().any(|argument| argument == "--bare") {
        return serve_bare();
    }
    let mut arguments = std::env::args().skip(1);
    let lucid = PathBuf::from(arguments.next().unwrap_or_else(|| "target/release/lucid".into()));
    let count = arguments.next().map_or(NODES, |text| text.parse().unwrap());
    let watched =
        Duration::from_secs(arguments.next().map_or(WATCHED_S, |text| text.parse().unwrap()));
    // The service, a process of its own, has the same limit for a connection an agent and for its
    // files.
    let possible = u32::try_from(rlimit::increase_nofile_limit(u64::MAX).unwrap())
        .unwrap_or(u32::MAX)
        .saturating_sub(OTHER_FILES);
    if possible < count {
        println!("the limit of open files allows {possible} agents, not {count}");
    }
    let count = count.min(possible);
    // One thread: the cores are the service's.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid, count, watched));
}
