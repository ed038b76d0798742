//! Measures how an epoch is closed: how long it takes from the moment it is due until everything is
//! durable, how much memory, how many bytes a node stay on the disk, how fast a score is found and
//! how fast an epoch is computed again: `make bench`, or `epoch [mongodb://…] NODES…`. The figures
//! are of the second epoch, which has one before it. Over MongoDB a folder is filled first and
//! copied, which takes a tenth of what filling the server takes; the disk is then the server's, and
//! the peak that of this process alone.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made stops and says where")]

use std::{
    ops::ControlFlow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_model::{id::FamilyId, policies::Revision};
use lucid_ports::{Environment, Order, PageRequest, ScoreFilter, ScoreSort, Stamp, Store};
use lucid_store::{CopyError, CopyProgress, Step};
use lucid_testkit::fleet;
use mongodb::{
    Client,
    bson::{Document, doc},
};
use uuid::Uuid;

const NODES: [u32; 3] = [1_000, 10_000, 100_000];
/// Scores that are looked up.
const LOOKUPS: u32 = 1_000;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let server = arguments.first().filter(|first| first.starts_with("mongodb")).cloned();
    arguments.drain(..usize::from(server.is_some()));
    let asked: Vec<u32> = arguments.iter().map(|text| text.parse().unwrap()).collect();
    let nodes = if asked.is_empty() { NODES.to_vec() } else { asked };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{:>9} {:>9} {:>9} {:>8} {:>12} {:>11} {:>22} {:>12}",
        "nodes",
        "close",
        "µs a node",
        "peak",
        "bytes a node",
        "with votes",
        "lookup p50, p99",
        "replay"
    );
    for nodes in nodes {
        runtime.block_on(run(server.as_deref(), nodes));
    }
}

/// A line of this process's status, in KiB.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn run(server: Option<&str>, nodes: u32) {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let folder = format!("sqlite://{}", dir.path().display());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let store = lucid_testkit::STORES.open(&folder).await.unwrap();
    let stamp = Stamp {
        environment: Environment::Sandbox,
        network: "nile".into(),
        rail: "sandbox".into(),
        family: FamilyId(Uuid::now_v7()),
    };
    store.stamp_or(stamp).await.unwrap();
    fleet::register(&store, nodes).await;
    fleet::activate(store.as_ref(), Path::new("policies/observation-weighted/1.0.0"), Revision(0))
        .await;
    fleet::work(&store, nodes, 1).await;
    let service = fleet::service(&store, &cache, 1, 2 * threads, threads).await;
    assert_eq!(service.epochs.close_due_epoch().await.unwrap().unwrap().nodes, nodes);
    fleet::work(&store, nodes, 2).await;
    drop((service, store));

    let url = match server {
        Some(server) => copied(&folder, database(server, nodes)).await,
        None => folder,
    };
    let store = lucid_testkit::STORES.open(&url).await.unwrap();
    let service = fleet::service(&store, &cache, 2, 2 * threads, threads).await;
    // What filling left of the allocator's is not the epoch's: the peak counts from here.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let started = Instant::now();
    let record = service.epochs.close_due_epoch().await.unwrap().unwrap();
    let took = started.elapsed();
    let peak_mib = status_kib("VmHWM") / 1024;
    assert_eq!((record.nodes, record.held), (nodes, 0));

    let started = Instant::now();
    while store.apply_scores().await.unwrap() {}
    if server.is_some() {
        eprintln!(
            "closed in {took:.1?}; its nodes had their scores {:.1?} later",
            started.elapsed()
        );
    }
    let lookups = lookups(&store, nodes).await;
    let started = Instant::now();
    let replay = service.epochs.replay_epoch(record.epoch.start_s).await.unwrap();
    assert!(replay.is_same(), "{replay:?}");
    let rows_a_second = u128::from(replay.rows) * 1_000_000 / started.elapsed().as_micros().max(1);
    drop((service, store));
    let file = dir.path().join("core.db");
    let each = |tables: &[&str]| {
        if server.is_some() {
            "-".to_owned()
        } else {
            (bytes(&file, tables) / u64::from(nodes) / 2).to_string()
        }
    };
    println!(
        "{nodes:>9} {:>7} ms {:>9.1} {peak_mib:>4} MiB {:>12} {:>11} {:>22} {:>7} rows/s",
        took.as_millis(),
        took.as_secs_f64() * 1e6 / f64::from(nodes),
        each(&["frame_chunks", "scored", "scored_rows"]),
        each(&["frame_chunks", "scored", "scored_rows", "votes"]),
        lookups,
        rows_a_second
    );
}

/// Where all of the folder is now, too. It is not read back: what the epoch makes of it tells.
async fn copied(folder: &str, to: String) -> String {
    let started = Instant::now();
    let stop_before_reading = &mut |progress: CopyProgress| match progress.step {
        Step::Copying => ControlFlow::Continue(()),
        Step::Verifying => ControlFlow::Break(()),
    };
    let copied = lucid_store::copy(
        &lucid_testkit::STORES,
        folder,
        &to,
        &lucid_store::Limits::default(),
        stop_before_reading,
    )
    .await;
    assert!(matches!(copied, Err(CopyError::Stopped)), "{copied:?}");
    let database = Client::with_uri_str(&to).await.unwrap().default_database().unwrap();
    let mark = database
        .collection::<Document>("meta")
        .delete_one(doc! { "_id": "copying" })
        .await
        .unwrap();
    assert_eq!(mark.deleted_count, 1);
    eprintln!("copied in {:.1?}", started.elapsed());
    to
}

/// A database of its own on the server.
fn database(server: &str, nodes: u32) -> String {
    let (place, options) = server
        .split_once('?')
        .map_or((server, String::new()), |(place, options)| (place, format!("?{options}")));
    format!("{}/lucid-epoch-{nodes}-{}{options}", place.trim_end_matches('/'), std::process::id())
}

async fn lookups(store: &Arc<dyn Store>, nodes: u32) -> String {
    let mut chance = fleet::Chance::of(77);
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..LOOKUPS {
        let node = fleet::node_id(u32::try_from(chance.below(u64::from(nodes))).unwrap());
        let started = Instant::now();
        let found = store.score(fleet::epoch(2).start_s, node).await.unwrap();
        took.push(started.elapsed());
        assert_eq!(found.unwrap().row.node, node);
    }
    let latest =
        PageRequest { page: 1, limit: 20, sort: ScoreSort::Score, order: Order::Descending };
    let started = Instant::now();
    let page = store.scores(&ScoreFilter::default(), latest).await.unwrap();
    assert_eq!(page.total, u64::from(nodes));
    let listed = started.elapsed();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
    format!("{:.2?}, {:.2?}; list {listed:.1?}", at(50), at(99))
}

/// Bytes of tables with their indices.
fn bytes(file: &Path, tables: &[&str]) -> u64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    };
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
