//! Fills a SQLite store with a week of samples of many nodes, rolls them up, and measures what a
//! chart of one node takes and what a sample takes on the disk: `make bench`, or `series NODES`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    ops::Range,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::{
    epochs::score::Ppm,
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{NetworkCounters, Resolution, Sample, Usage},
    },
    time::{DAY_MS, TimeMs},
};
use lucid_ports::{Report, SeriesKept, Store, Walked};
use uuid::Uuid;

const NODES: u32 = 200;
const START_MS: i64 = 20_000 * DAY_MS;
const DAYS: i64 = 7;
/// Samples of a report: as a gateway or a node that was cut off for a while sends them, so that
/// filling ends.
const BATCH: usize = 480;
/// Nodes that are filled before their hours are rolled up.
const FILLED_AT_ONCE: u32 = 250;
/// Charts that are measured.
const CHARTS: u32 = 2_000;
/// Reports that are on their way at once.
const AT_ONCE: usize = 64;

fn node_id(number: u32) -> NodeId {
    NodeId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + (u128::from(number) << 80)))
}

/// Numbers that look like chance and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What a node measures in a week: load and traffic that wander, clocks and networks that jitter.
fn week(number: u32) -> Vec<Sample> {
    let mut chance = Chance(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut network = NetworkCounters::default();
    let (mut cpu, mut memory, disk) = (200_000_u64, 400_000_u64, 350_000_u64);
    (0..DAYS * DAY_MS / 30_000)
        .map(|i| {
            cpu = (cpu + chance.below(60_001)).saturating_sub(30_000).min(1_000_000);
            memory = (memory + chance.below(4_001)).saturating_sub(2_000).min(1_000_000);
            let (sent, received) = (chance.below(3_000_000), chance.below(6_000_000));
            network.bytes_sent += sent;
            network.bytes_received += received;
            network.packets_sent += sent / 900 + chance.below(20);
            network.packets_received += received / 1_100 + chance.below(20);
            let at = START_MS + 30_000 * i + i64::try_from(chance.below(40)).unwrap();
            let ratio = |part: u64| Ppm(u32::try_from(part).unwrap());
            Sample {
                node: node_id(number),
                at: TimeMs(at),
                arrived_at: TimeMs(at + 15 + i64::try_from(chance.below(60)).unwrap()),
                usage: Usage {
                    cpu: ratio(cpu),
                    memory: ratio(memory),
                    disk: ratio(disk + i.unsigned_abs() / 50),
                    network,
                },
                active_sessions: u32::try_from(chance.below(4)).unwrap(),
                uptime_s: 30 * i.unsigned_abs() + 7,
            }
        })
        .collect()
}

async fn fill(store: &Arc<dyn Store>, nodes: Range<u32>) {
    let mut running = tokio::task::JoinSet::new();
    for number in nodes {
        for samples in week(number).chunks(BATCH) {
            if running.len() >= AT_ONCE {
                running.join_next().await.unwrap().unwrap();
            }
            let (store, samples) = (Arc::clone(store), samples.to_vec());
            running.spawn(async move {
                let (node, arrived_at) =
                    (node_id(number), samples.iter().map(|s| s.arrived_at).max().unwrap());
                let report = Report {
                    node,
                    arrived_at,
                    sequence: None,
                    samples,
                    presence: None,
                    sessions: Vec::new(),
                };
                store.store_report(report).await.unwrap();
            });
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// Rounds through all nodes until there is nothing more to do; how much there was.
async fn rounds(step: impl AsyncFn(Option<NodeId>) -> Walked) -> u64 {
    let mut all = 0;
    loop {
        let (mut after, mut done) = (None, 0);
        loop {
            let walked = step(after).await;
            (after, done) = (walked.next, done + walked.done);
            if after.is_none() {
                break;
            }
        }
        if done == 0 {
            return all;
        }
        all += done;
    }
}

/// Bytes of a table with its indices.
fn bytes(file: &Path, tables: &[&str]) -> u64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    };
    // Without SQLite's own statistics: what is left of the file when the table is emptied.
    let used = || number("page_count") - number("freelist_count");
    connection.execute_batch("BEGIN").unwrap();
    let before = used();
    for table in tables {
        connection.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    let freed = before - used();
    connection.execute_batch("ROLLBACK").unwrap();
    freed * number("page_size")
}

fn at_percent(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(std::env::args().nth(1).map_or(NODES, |text| text.parse().unwrap())));
}

async fn run(nodes: u32) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().display());
    let store = lucid_testkit::STORES.open(&url).await.unwrap();
    let samples = u64::from(nodes) * u64::try_from(DAYS * DAY_MS / 30_000).unwrap();
    let end = TimeMs(START_MS + DAYS * DAY_MS);

    let (mut storing, mut rolling, mut hours) = (Duration::ZERO, Duration::ZERO, 0);
    // Some nodes after the other: a week that is not packed takes five times the room.
    for first in (0..nodes).step_by(FILLED_AT_ONCE as usize) {
        let started = Instant::now();
        fill(&store, first..(first + FILLED_AT_ONCE).min(nodes)).await;
        storing += started.elapsed();
        let started = Instant::now();
        // The last hour stays as it arrived, as it does while the service runs.
        hours +=
            rounds(async |after| store.roll_up(after, end.plus_ms(-300_000), 200).await.unwrap())
                .await;
        rolling += started.elapsed();
    }
    println!(
        "{nodes} nodes, {DAYS} days, {samples} samples: stored in {:.1} s",
        storing.as_secs_f64()
    );
    println!("{hours} hours of nodes rolled up and packed in {:.1} s", rolling.as_secs_f64());

    charts(&store, nodes, end).await;
    drop(store);
    on_the_disk(&dir.path().join("telemetry.db"), samples, hours);
    forgetting(&lucid_testkit::STORES.open(&url).await.unwrap(), end).await;
}

/// What charts of a node and sums of the fleet take.
async fn charts(store: &Arc<dyn Store>, nodes: u32, end: TimeMs) {
    let mut chance = Chance(77);
    let mut charts = Vec::new();
    for _ in 0..CHARTS {
        let node = node_id(u32::try_from(chance.below(u64::from(nodes))).unwrap());
        let to = end.plus_ms(-i64::try_from(chance.below(6 * 86_400)).unwrap() * 1000);
        let range = Interval { from: Resolution::FiveMinutes.floor(to.plus_ms(-DAY_MS)), to };
        let started = Instant::now();
        let points = store.series(node, range, Resolution::FiveMinutes).await.unwrap();
        charts.push(started.elapsed());
        assert!((288..=290).contains(&points.len()), "{} points", points.len());
    }
    charts.sort_unstable();
    println!(
        "a day of a node at 5 min, of {CHARTS}: p50 {:?}, p99 {:?}",
        at_percent(&charts, 50),
        at_percent(&charts, 99)
    );
    for days in [1, 7] {
        let started = Instant::now();
        let (summary, _) = store
            .fleet_usage(None, Interval { from: end.plus_ms(-days * DAY_MS), to: end })
            .await
            .unwrap();
        println!("the fleet's usage over {days} days: {:?}", started.elapsed());
        assert_eq!(
            summary.samples,
            u64::from(nodes) * u64::try_from(days * DAY_MS / 30_000).unwrap()
        );
    }
}

fn on_the_disk(file: &Path, samples: u64, hours: u64) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let left = connection
        .query_row("SELECT count(*) FROM samples", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs();
    drop(connection);
    let each = |table: &str, many: u64| {
        let tenths = bytes(file, &[table]) * 10 / many.max(1);
        format!("{}.{} bytes", tenths / 10, tenths % 10)
    };
    println!(
        "on the disk: a packed sample {}, one that is not packed yet {}",
        each("packed_samples", samples - left),
        each("samples", left)
    );
    println!(
        "             an hour of a node at 5 min {}, at 1 h {}",
        each("rollups_5m", hours),
        each("rollups_1h", hours)
    );
}

/// How long writes wait while a week is forgotten.
async fn forgetting(store: &Arc<dyn Store>, end: TimeMs) {
    let started = Instant::now();
    let kept = SeriesKept {
        samples_from: end,
        five_minutes_from: TimeMs(START_MS),
        hours_from: TimeMs(START_MS),
    };
    let (over, mut heard) = tokio::sync::oneshot::channel::<()>();
    let forgotten = async {
        let removed =
            rounds(async |after| store.forget_series(after, kept, 200).await.unwrap()).await;
        println!("{removed} packed windows forgotten in {:.1} s", started.elapsed().as_secs_f64());
        let _ = over.send(());
    };
    let beside = async {
        let (mut at, mut slowest) = (end, Duration::ZERO);
        while heard.try_recv().is_err() {
            at = at.plus_ms(30_000);
            let asked = Instant::now();
            let report = Report {
                node: node_id(0),
                arrived_at: at,
                sequence: None,
                samples: Vec::new(),
                presence: None,
                sessions: Vec::new(),
            };
            store.store_report(report).await.unwrap();
            slowest = slowest.max(asked.elapsed());
        }
        println!("the slowest heartbeat beside it: {slowest:?}");
    };
    tokio::join!(forgotten, beside);
}
