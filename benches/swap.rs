//! `make bench`, the swaps' part: what a thousand swaps of the scoring policy do to scorings that
//! go on meanwhile, over HTTP against the real binary. Each score must name a policy that was
//! active while it was calculated, and be that policy's; nothing else is asserted.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use lucid_model::time::TimeMs;
use lucid_testkit::{
    large,
    service::{fsyncs_a_second, ms, now, percentile, start_with, token},
    wire::{self, Wire, request},
};
use serde_json::{Value, json};

/// Connections that score at once.
const CONNECTIONS: u32 = 64;
/// Scorings that begin each second.
const SCORINGS_PER_S: u32 = 2_000;
/// How long scorings are measured without swaps, before and after.
const QUIET_FOR: Duration = Duration::from_secs(10);
/// How long before that they go on unmeasured, until the store's caches are as large as scorings
/// alone make them.
const WARM_UP_FOR: Duration = Duration::from_secs(60);
/// Swaps.
const SWAPS: usize = 1_000;
/// What the service swaps between.
const POLICIES: [&str; 2] = ["observation-only", "observation-weighted"];

/// A scoring: when it was asked for and answered, and the policy and score of the answer.
struct Scored {
    asked: Instant,
    answered: Instant,
    policy: String,
    score: String,
}

/// Activates and scores through one connection.
struct Operator {
    wire: Wire,
    admin: String,
}

impl Operator {
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.wire.ask(&request(method, path, &self.admin, body)).await;
        assert!(
            answer.status < 300,
            "{path}: {} {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        );
        serde_json::from_slice(answer.body).unwrap()
    }

    async fn activate(&mut self, name: &str, version: &str) {
        self.ask("POST", &format!("/api/v1/policies/scoring/{name}/{version}/activate"), "{}")
            .await;
    }
}

fn calculation(node: &str, place: u32) -> String {
    let at = |minutes: i64| TimeMs(now().0 - minutes * 60_000).to_string();
    let session = uuid::Uuid::from_u128(u128::from(place) + 1);
    json!({ "node_id": node, "observation_data": [{ "session_id": session, "start_time": at(40), "end_time": at(10), "quality_score": 0.5 }] })
        .to_string()
}

/// Scores at a steady rate until told to stop: a request begins when it is due, however late the
/// one before was answered.
async fn score(address: SocketAddr, nodes: &[String], stop: Arc<AtomicBool>) -> Vec<Scored> {
    let (started, turn) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let mut asking = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let (turn, stop, node) = (
            Arc::clone(&turn),
            Arc::clone(&stop),
            nodes[connection as usize % nodes.len()].clone(),
        );
        asking.spawn(async move {
            let (mut wire, admin, mut scored) =
                (Wire::connect(address).await, token("admin", "super_admin"), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let place = turn.fetch_add(1, Ordering::Relaxed);
                let asked = started + Duration::from_secs(1) * place / SCORINGS_PER_S;
                tokio::time::sleep_until(asked.into()).await;
                let answer = wire
                    .ask(&request(
                        "POST",
                        "/api/v1/poot/calculate",
                        &admin,
                        &calculation(&node, place),
                    ))
                    .await;
                assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
                let body: Value = serde_json::from_slice(answer.body).unwrap();
                let policy = body["policy"]["name"].as_str().unwrap().to_owned();
                scored.push(Scored {
                    asked,
                    answered: Instant::now(),
                    policy,
                    score: body["score"].to_string(),
                });
            }
            scored
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

/// Scores for a while without swaps.
async fn quiet(address: SocketAddr, nodes: &[String], how_long: Duration) -> Vec<Scored> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let ((), scored) = tokio::join!(
        async move {
            tokio::time::sleep(how_long).await;
            told.store(true, Ordering::Relaxed);
        },
        score(address, nodes, stop)
    );
    scored
}

fn p99(scored: &[Scored]) -> Duration {
    let mut times: Vec<_> = scored.iter().map(|s| s.answered - s.asked).collect();
    times.sort_unstable();
    percentile(&times, 0.99)
}

fn told(what: &str, scored: &[Scored]) -> Duration {
    let p99 = p99(scored);
    let first = scored.iter().map(|s| s.asked).min().unwrap();
    let last = scored.iter().map(|s| s.answered).max().unwrap();
    let rate = f64::from(u32::try_from(scored.len()).unwrap()) / (last - first).as_secs_f64();
    println!("{what}: {} scorings, {rate:.0}/s, p99 {:.2} ms, 0 failed", scored.len(), ms(p99));
    p99
}

async fn run(lucid: &Path) {
    let service = start_with(lucid, tempfile::tempdir().unwrap(), &[("REQUIRE_SIGNED", "false")]);
    println!("disk: {:.0} fsyncs/s", fsyncs_a_second(service.dir.path()));
    let address = wire::address(&service.base);
    let mut operator =
        Operator { wire: Wire::connect(address).await, admin: token("admin", "super_admin") };
    let mut nodes = Vec::new();
    for number in 0..CONNECTIONS {
        let body = json!({ "name": format!("worker {number}"), "ip_address": format!("10.0.0.{number}"), "port": 9000 }).to_string();
        nodes.push(
            operator.ask("POST", "/api/v1/nodes", &body).await["node_id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    // What each policy answers for the same observations.
    let mut expected = BTreeMap::new();
    for name in POLICIES {
        operator.activate(name, "1.0.0").await;
        let body =
            operator.ask("POST", "/api/v1/poot/calculate", &calculation(&nodes[0], u32::MAX)).await;
        expected.insert(name.to_owned(), body["score"].to_string());
    }
    // Memory that swapping needs at all is taken by the first ones; what the others leave behind
    // would be lost.
    for swap in 0..SWAPS / 10 {
        operator.activate(POLICIES[swap % 2], "1.0.0").await;
    }
    quiet(address, &nodes, WARM_UP_FOR).await;
    let before = told("without swaps", &quiet(address, &nodes, QUIET_FOR).await);
    let resident_before = service.resident_mib();
    for (what, pace) in [
        ("with a swap every 50 ms", Duration::from_millis(50)),
        ("with one swap after the other", Duration::ZERO),
    ] {
        let during = swaps(&mut operator, (address, &nodes), (what, pace), &expected).await;
        println!("    p99 {:.2} × that without swaps", during.as_secs_f64() / before.as_secs_f64());
        let after = told("    afterwards", &quiet(address, &nodes, QUIET_FOR).await);
        println!(
            "    p99 {:.2} × that afterwards; resident {:.1} MiB",
            during.as_secs_f64() / after.as_secs_f64(),
            service.resident_mib()
        );
    }
    let resident = service.resident_mib();
    println!(
        "resident: {resident_before:.1} MiB before, {resident:.1} MiB after: {:.2} ×",
        resident / resident_before
    );
    new_large_policy(&mut operator).await;
    visible(&mut operator, &nodes[0]).await;
    let again = service.restart(lucid);
    println!(
        "start with {} activations: {:.0} ms",
        2 * SWAPS + SWAPS / 10 + 103,
        ms(again.ready_in)
    );
}

/// Swaps beside scorings at the pace; the scorings' p99.
async fn swaps(
    operator: &mut Operator,
    (address, nodes): (SocketAddr, &[String]),
    (what, pace): (&str, Duration),
    expected: &BTreeMap<String, String>,
) -> Duration {
    let (stop, scoring_nodes) = (Arc::new(AtomicBool::new(false)), nodes.to_vec());
    let scoring = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move { score(address, &scoring_nodes, stop).await }
    });
    // From when until when each swap's policy may have been active: from its request to the answer
    // of the next.
    let mut active = vec![(POLICIES[1], Instant::now(), Instant::now())];
    let swapping = Instant::now();
    for swap in 0..SWAPS {
        tokio::time::sleep_until((swapping + pace * u32::try_from(swap).unwrap()).into()).await;
        let (name, asked) = (POLICIES[swap % 2], Instant::now());
        operator.activate(name, "1.0.0").await;
        active.last_mut().unwrap().2 = Instant::now();
        active.push((name, asked, Instant::now()));
    }
    let took = swapping.elapsed();
    stop.store(true, Ordering::Relaxed);
    let scored = scoring.await.unwrap();
    active.last_mut().unwrap().2 = Instant::now();
    let during = told(what, &scored);
    let mixed = scored.iter().filter(|s| {
        let was_active = active
            .iter()
            .any(|(name, from, to)| *name == s.policy && *from <= s.answered && s.asked <= *to);
        !was_active || expected.get(&s.policy) != Some(&s.score)
    });
    let mixed = mixed.count();
    println!("    {SWAPS} swaps in {:.1} s: {mixed} mixed", took.as_secs_f64());
    assert_eq!(mixed, 0, "a score names a policy that was not active, or is not that policy's");
    during
}

/// From the upload of a new component to its activation.
async fn new_large_policy(operator: &mut Operator) {
    let (bytes, upload) =
        large::upload(Path::new("policies/observation-weighted/1.0.0"), "2.0.0", 200_000);
    let upload = upload.to_string();
    let started = Instant::now();
    operator.ask("POST", "/api/v1/policies", &upload).await;
    let gated = started.elapsed();
    operator.activate("observation-weighted", "2.0.0").await;
    println!(
        "a new component of {bytes} bytes: gated after {:.0} ms, active after {:.0} ms",
        ms(gated),
        ms(started.elapsed())
    );
}

/// From the answer to an activation to the first score by it.
async fn visible(operator: &mut Operator, node: &str) {
    let mut slowest = Duration::ZERO;
    for turn in 0..100_u32 {
        let name = POLICIES[turn as usize % 2];
        operator.activate(name, "1.0.0").await;
        let answered = Instant::now();
        let body = operator.ask("POST", "/api/v1/poot/calculate", &calculation(node, turn)).await;
        assert_eq!(body["policy"]["name"], name, "the next call does not see it");
        slowest = slowest.max(answered.elapsed());
    }
    println!(
        "activations of a cached version: each seen by the next call, the slowest answered after {:.1} ms",
        ms(slowest)
    );
}

fn main() {
    let lucid =
        PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/release/lucid".into()));
    // One thread: the cores are the service's.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&lucid));
}
