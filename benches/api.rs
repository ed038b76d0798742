//! `make bench`, the API's part: registrations, reads and lists over HTTP against the real binary
//! and a store of 100,000 nodes, beside a bare axum route and the disk's fsync rate in the same
//! run. Nothing is asserted but that every answer is the expected one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use lucid_testkit::{
    rate::{CONNECTIONS, MEASURED_FOR, Measured, bare, measure, serve_bare},
    service::{Service, fsyncs_a_second, ms, percentile, start_with, token},
    wire::{Wire, address, request},
};
use serde_json::{Value, json};

/// Nodes of the store that is read.
const NODES: u32 = 100_000;
/// Nodes of one owner, and of one pool.
const OWNERS_NODES: u32 = 100;
const POOLS: u32 = 110;
/// Nodes that are started, so that a filter by status leaves something out.
const ACTIVE: usize = 10_000;
/// Requests for each list.
const LISTED: usize = 60;

/// Registers `count` nodes, each owner's a hundred.
async fn register(service: &Service, count: u32) -> Measured {
    let tokens: Vec<_> = (0..=count / OWNERS_NODES)
        .map(|owner| token(&format!("owner {owner}"), "node_operator"))
        .collect();
    let place = AtomicU32::new(0);
    measure(address(&service.base), CONNECTIONS, 201, move |_| {
        let number = place.fetch_add(1, Ordering::Relaxed);
        let [_, b, c, d] = number.to_be_bytes();
        let body = json!({ "name": format!("worker {}", number.wrapping_mul(2_654_435_761)), "ip_address": format!("10.{b}.{c}.{d}"), "port": 9000 });
        (number < count).then(|| request("POST", "/api/v1/nodes", &tokens[(number / OWNERS_NODES) as usize], &body.to_string()))
    })
    .await
}

async fn ask(service: &Service, method: &str, path: &str, body: &str) -> Value {
    let mut wire = Wire::connect(address(&service.base)).await;
    let answer = wire.ask(&request(method, path, &token("admin", "super_admin"), body)).await;
    assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(answer.body));
    serde_json::from_slice(answer.body).unwrap()
}

/// Ids of nodes from all over the list.
async fn some_nodes(service: &Service, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let pages = usize::try_from(NODES).unwrap() / 100;
    for place in 0..count.div_ceil(100) {
        let page = 1 + place * pages / count.div_ceil(100);
        let list = ask(service, "GET", &format!("/api/v1/nodes?limit=100&page={page}"), "").await;
        ids.extend(
            list["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|n| n["node_id"].as_str().unwrap().to_owned()),
        );
    }
    ids.truncate(count);
    ids
}

async fn read(service: &Service, ids: Vec<String>) -> Measured {
    let (token, until, turn) =
        (token("admin", "super_admin"), Instant::now() + MEASURED_FOR, AtomicU32::new(0));
    let requests: Vec<_> =
        ids.iter().map(|id| request("GET", &format!("/api/v1/nodes/{id}"), &token, "")).collect();
    measure(address(&service.base), CONNECTIONS, 200, move |_| {
        let place = turn.fetch_add(1, Ordering::Relaxed) as usize % requests.len();
        (Instant::now() < until).then(|| requests[place].clone())
    })
    .await
}

/// The slowest lists, one request at a time: every sort, order and filter, first and last page.
async fn lists(service: &Service) -> Vec<(Duration, String)> {
    let pool = ask(service, "GET", "/api/v1/pools?limit=1&sort=node_count", "").await["pools"][0]["pool_id"].as_str().unwrap().to_owned();
    let admin = token("admin", "super_admin");
    let mut found = Vec::new();
    for (filter, who) in [
        (String::new(), &admin),
        ("&status=pending".into(), &admin),
        ("&status=active".into(), &admin),
        (format!("&pool_id={pool}"), &admin),
        (format!("&pool_id={pool}&status=pending"), &admin),
        (String::new(), &token("owner 7", "node_operator")),
        ("&status=pending".into(), &token("owner 7", "node_operator")),
    ] {
        for sort in ["created_at", "updated_at", "poot_score", "name"] {
            for order in ["asc", "desc"] {
                for page in [1, 1_000] {
                    let path = format!(
                        "/api/v1/nodes?limit=100&page={page}&sort={sort}&order={order}{filter}"
                    );
                    let left = AtomicU32::new(u32::try_from(LISTED).unwrap());
                    let bytes = request("GET", &path, who, "");
                    let take = move |_| {
                        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                            n.checked_sub(1)
                        })
                        .ok()
                        .map(|_| bytes.clone())
                    };
                    let measured = measure(address(&service.base), 1, 200, take).await;
                    found.push((percentile(&measured.times, 0.99), path.replace(&pool, "…")));
                }
            }
        }
    }
    found.sort();
    found.reverse();
    found
}

async fn run(lucid: &Path) {
    let service = start_with(lucid, tempfile::tempdir().unwrap(), &[]);
    let fsyncs = fsyncs_a_second(service.dir.path());
    println!("disk: {fsyncs:.0} fsyncs/s");
    let bare = bare().await;
    println!("bare axum route, {CONNECTIONS} connections: {}", bare.told());

    for number in 0..POOLS {
        let pool = json!({ "name": format!("pool {number}"), "max_nodes": 1_000 });
        ask(&service, "POST", "/api/v1/pools", &pool.to_string()).await;
    }
    let registered = register(&service, NODES).await;
    println!(
        "registrations of {NODES} nodes into {POOLS} pools, durable: {}; {:.1} × fsync rate, {:.2} × bare axum",
        registered.told(),
        registered.rate / fsyncs,
        registered.rate / bare.rate
    );
    println!("resident after it: {:.0} MiB", service.resident_mib());

    let ids = some_nodes(&service, ACTIVE).await;
    for id in ids.iter().take(ACTIVE / 10) {
        ask(&service, "POST", &format!("/api/v1/nodes/{id}/activate"), "").await;
    }
    let fresh = service.restart(lucid);
    println!(
        "start with {NODES} nodes: {:.0} ms; resident {:.0} MiB",
        ms(fresh.ready_in),
        fresh.resident_mib()
    );
    let reads = read(&fresh, ids).await;
    println!("reads by id: {}; {:.2} × bare axum", reads.told(), reads.rate / bare.rate);
    let lists = lists(&fresh).await;
    println!(
        "lists of 100 out of {NODES}, {} kinds, p99 of {LISTED} each; the slowest:",
        lists.len()
    );
    for (time, path) in lists.iter().take(8) {
        println!("  {:>6.2} ms  {path}", ms(*time));
    }
    println!("resident after reads and lists: {:.0} MiB", fresh.resident_mib());
}

fn main() {
    if std::env::args().any(|argument| argument == "--bare") {
        return serve_bare();
    }
    let lucid =
        PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/release/lucid".into()));
    // One thread: the cores are the service's.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid));
}
