//! `make bench`, MongoDB's part: what the server does with the bare driver, and what the service
//! does on that server in the same run; reports and bookings on both backends; what a sample takes.
//! Nothing is asserted but that every answer is the expected one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use lucid_model::{
    id::{NodeId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Draft, Head},
    },
};
use lucid_ports::Booked;
use lucid_testkit::{
    mongo::MongoServer,
    service::{Service, fsyncs_a_second, ms, now, percentile, start_with, token},
    wire::{Wire, address, request},
};
use mongodb::{
    Collection, Database,
    bson::{Bson, Document, doc, oid::ObjectId},
    options::{Acknowledgment, WriteConcern},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Connections that ask at once.
const CONNECTIONS: u32 = 64;
/// How long a rate is measured.
const MEASURED_FOR: Duration = Duration::from_secs(6);
/// Pools that take the nodes.
const POOLS: u32 = 40;
/// Nodes that report, and how often each, so that full buckets are sealed.
const REPORTING: usize = 40;
const REPORTS: u32 = 260;
/// Entries of a booking call, and calls.
const BOOKED_AT_ONCE: u32 = 500;
const BOOKINGS: u32 = 6;

fn rate(count: usize, since: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / since.elapsed().as_secs_f64()
}

/// Lets all connections ask; `next` makes a connection's next request, or ends it. Answers' bodies
/// and times.
async fn ask_all(
    service: &Service,
    expected: u16,
    next: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (f64, Vec<Duration>, Vec<Value>) {
    let (address, next) = (address(&service.base), Arc::new(next));
    let (mut asking, started) = (JoinSet::new(), Instant::now());
    for connection in 0..CONNECTIONS {
        let next = Arc::clone(&next);
        asking.spawn(async move {
            let (mut wire, mut answers) = (Wire::connect(address).await, Vec::new());
            while let Some(bytes) = next(connection) {
                let asked = Instant::now();
                let answer = wire.ask(&bytes).await;
                assert_eq!(answer.status, expected, "{}", String::from_utf8_lossy(answer.body));
                answers.push((asked.elapsed(), serde_json::from_slice(answer.body).unwrap()));
            }
            answers
        });
    }
    let (mut times, bodies): (Vec<_>, Vec<_>) =
        asking.join_all().await.into_iter().flatten().unzip();
    let rate = rate(times.len(), started);
    times.sort_unstable();
    (rate, times, bodies)
}

async fn ask(service: &Service, method: &str, path: &str, body: &Value) -> Value {
    let mut wire = Wire::connect(address(&service.base)).await;
    let answer =
        wire.ask(&request(method, path, &token("admin", "super_admin"), &body.to_string())).await;
    assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(answer.body));
    serde_json::from_slice(answer.body).unwrap()
}

async fn with_pools(service: &Service) {
    for number in 0..POOLS {
        ask(
            service,
            "POST",
            "/api/v1/pools",
            &json!({ "name": format!("pool {number}"), "max_nodes": 1_000 }),
        )
        .await;
    }
}

/// Registrations a second, their times, and the nodes.
async fn register(service: &Service, from: u32) -> (f64, Vec<Duration>, Vec<String>) {
    let tokens: Vec<_> =
        (0..1_000).map(|owner| token(&format!("owner {owner}"), "node_operator")).collect();
    let (place, until) = (AtomicU32::new(from), Instant::now() + MEASURED_FOR);
    let (rate, times, bodies) = ask_all(service, 201, move |_| {
        let number = place.fetch_add(1, Ordering::Relaxed);
        let body = json!({ "name": format!("worker {number}"), "ip_address": address_of(number), "port": 9000 });
        (Instant::now() < until).then(|| request("POST", "/api/v1/nodes", &tokens[number as usize / 100 % tokens.len()], &body.to_string()))
    })
    .await;
    (rate, times, bodies.iter().map(|node| node["node_id"].as_str().unwrap().to_owned()).collect())
}

/// The bare driver: the same document into a collection with the same indices, a command a
/// document, as durable.
async fn bare(database: &Database, name: &str) -> f64 {
    let nodes = database.collection::<Document>("nodes");
    let mut example =
        nodes.find_one(doc! { "live": true, "slot": { "$exists": true } }).await.unwrap().unwrap();
    // Told by the service besides: it travels in the same document, and stays in this one.
    example.remove("audit");
    let mut models = Vec::new();
    let mut found = nodes.list_indexes().await.unwrap();
    while found.advance().await.unwrap() {
        models.push(found.deserialize_current().unwrap());
    }
    models.retain(|model| {
        !model.keys.keys().eq(["_id"])
            || model
                .options
                .as_ref()
                .is_some_and(|options| options.partial_filter_expression.is_some())
    });
    let scratch: Collection<Document> = database.collection(name);
    scratch.create_indexes(models).await.unwrap();
    let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let (place, until, started) =
        (Arc::new(AtomicU32::new(0)), Instant::now() + MEASURED_FOR, Instant::now());
    let mut inserting = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (scratch, place, example, durable) =
            (scratch.clone(), Arc::clone(&place), example.clone(), durable.clone());
        inserting.spawn(async move {
            let mut count = 0;
            while Instant::now() < until {
                let number = place.fetch_add(1, Ordering::Relaxed);
                let mut document = example.clone();
                document.extend(
                    doc! { "_id": uuid_of(number), "ip": address_of(number), "pool": uuid_of(number / 1_000), "slot": i64::from(number % 1_000) },
                );
                scratch.insert_one(document).write_concern(durable.clone()).await.unwrap();
                count += 1;
            }
            count
        });
    }
    rate(inserting.join_all().await.into_iter().sum(), started)
}

fn uuid_of(number: u32) -> Bson {
    let id = uuid::Uuid::from_u128(
        (0x0192_0000_0000_7000_8000_0000_0000_0000_u128) + u128::from(number),
    );
    Bson::Binary(mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Uuid,
        bytes: id.as_bytes().to_vec(),
    })
}

/// Addresses from all over, each once.
fn address_of(number: u32) -> String {
    let [_, b, c, d] = number.wrapping_mul(2_654_435_761).to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// Reports a second, one sample each, of nodes in turn.
async fn report(service: &Service, nodes: Vec<String>) -> (f64, Vec<Duration>) {
    let (token, turn) = (token("admin", "super_admin"), AtomicU32::new(0));
    let total = u32::try_from(nodes.len()).unwrap() * REPORTS;
    let begun = now().0 - i64::from(REPORTS) * 30_000;
    let (rate, times, _) = ask_all(service, 200, move |_| {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        let (node, place) = (&nodes[number as usize % nodes.len()], number / u32::try_from(nodes.len()).unwrap());
        let at = lucid_model::time::TimeMs(begun + i64::from(place) * 30_000);
        let sample = json!({
            "timestamp": at.to_string(), "cpu_usage": f64::from(number % 997) / 10.0, "memory_usage": 40.5, "disk_usage": 10, "active_sessions": 1, "uptime": 1_000 + place * 30,
            "network_usage": { "bytes_sent": 70_000 * place, "bytes_received": 50_000 * place, "packets_sent": 70 * place, "packets_received": 50 * place },
        });
        (number < total).then(|| request("POST", &format!("/api/v1/nodes/{node}/metrics"), &token, &sample.to_string()))
    })
    .await;
    (rate, times)
}

/// Entries a second into the ledger, as a settlement books them.
async fn bookings(url: &str) -> f64 {
    let store = lucid_testkit::STORES.open(url).await.unwrap();
    let started = Instant::now();
    for call in 0..BOOKINGS {
        let entries = (0..BOOKED_AT_ONCE).map(|place| {
            let node = NodeId(uuid::Uuid::from_u128(u128::from(call * BOOKED_AT_ONCE + place + 1)));
            Draft::accrue(
                0,
                PoolScope::Unassigned,
                node,
                MicroUsdt(1_000),
                MicroUsdt(0),
                "bench".into(),
            )
            .unwrap()
            .book(Head::default(), now())
            .unwrap()
        });
        let booked = store.book(entries.collect()).await.unwrap();
        assert!(booked.iter().all(|booked| *booked == Booked::Done));
    }
    rate((BOOKINGS * BOOKED_AT_ONCE) as usize, started)
}

/// Bytes of sealed buckets for each sample in them, packed by us; the server packs them once more.
async fn bytes_a_sample(database: &Database) -> f64 {
    let mut buckets = database.collection::<Document>("samples").find(doc! {}).await.unwrap();
    let (mut bytes, mut samples) = (0, 0);
    while buckets.advance().await.unwrap() {
        let raw = buckets.current();
        bytes += raw.as_bytes().len();
        samples += 120;
    }
    assert!(samples > 0, "no bucket was sealed");
    f64::from(u32::try_from(bytes).unwrap()) / f64::from(samples)
}

fn told(rate: f64, times: &[Duration]) -> String {
    format!(
        "{rate:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        ms(percentile(times, 0.5)),
        ms(percentile(times, 0.99))
    )
}

async fn run(lucid: &Path) {
    let Some(server) = MongoServer::start() else { return };
    let url = server.database(&ObjectId::new().to_hex());
    let database = mongodb::Client::with_uri_str(&url).await.unwrap().default_database().unwrap();
    let service = start_with(lucid, tempfile::tempdir().unwrap(), &[("MONGODB_URI", &url)]);
    println!("disk: {:.0} fsyncs/s", fsyncs_a_second(service.dir.path()));
    with_pools(&service).await;
    register(&service, 10_000_000).await;
    let before = bare(&database, "scratch_before").await;
    let (registered, times, nodes) = register(&service, 0).await;
    let after = bare(&database, "scratch_after").await;
    let server_rate = f64::midpoint(before, after);
    println!(
        "the bare driver inserts a node with the same indices, {CONNECTIONS} connections: {before:.0}/s before, {after:.0}/s after"
    );
    println!(
        "registrations over HTTP on that server: {}; {:.2} × the bare driver",
        told(registered, &times),
        registered / server_rate
    );

    let reporting: Vec<_> = nodes.into_iter().take(REPORTING).collect();
    let (mongo_reports, mongo_times) = report(&service, reporting).await;
    println!(
        "reports, MongoDB: {}; {:.1} bytes a sample in sealed buckets",
        told(mongo_reports, &mongo_times),
        bytes_a_sample(&database).await
    );
    drop(service);
    println!(
        "bookings, MongoDB: {:.0}/s",
        bookings(&server.database(&ObjectId::new().to_hex())).await
    );

    let service = start_with(lucid, tempfile::tempdir().unwrap(), &[]);
    with_pools(&service).await;
    let (registered, times, nodes) = register(&service, 0).await;
    println!(
        "registrations, SQLite: {}; resident {:.0} MiB",
        told(registered, &times),
        service.resident_mib()
    );
    let service = service.restart(lucid);
    println!("ready again in {:.0} ms", ms(service.ready_in));
    let (reports, times) = report(&service, nodes.into_iter().take(REPORTING).collect()).await;
    println!("reports, SQLite: {}", told(reports, &times));
    let dir = tempfile::tempdir().unwrap();
    println!(
        "bookings, SQLite: {:.0}/s",
        bookings(&format!("sqlite://{}", dir.path().display())).await
    );
}

fn main() {
    let lucid =
        PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/release/lucid".into()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the cores are the service's and the server's.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid));
}
