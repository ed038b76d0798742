//! `make perf`: a run of about 30 s against the real binary that asserts the network's floors and
//! exits 1 below them: more than 100 registrations a second from many clients at once, PoOT p99
//! under 100 ms, collection every 30 s.
//!
//! It also prints what is not a floor: ready time, memory, fsync rate of the disk, PoOT latency at
//! a steady rate.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that cannot be made stops and says where"
)]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use lucid_testkit::service::{Service, fsyncs_a_second, ms, now, percentile, start_with, token};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Clients that register at once.
const CLIENTS: u32 = 64;
/// How long registrations are measured.
const REGISTER_FOR: Duration = Duration::from_secs(8);
/// Scores asked for each second, and for how long.
const SCORES_A_SECOND: u32 = 200;
const SCORE_FOR: Duration = Duration::from_secs(10);
/// The agent's interval, and how far off it may be.
const INTERVAL: Duration = Duration::from_secs(30);
const INTERVAL_TOLERANCE: Duration = Duration::from_secs(3);

async fn registrations(base: &str) -> (f64, Vec<Duration>, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (token, until) = (token("perf", "node_operator"), Instant::now() + REGISTER_FOR);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, base, token) = (client.clone(), base.to_owned(), token.clone());
        clients.spawn(async move {
            let (mut times, mut last, mut made) = (Vec::new(), String::new(), 0_u32);
            while Instant::now() < until {
                let ip = format!("10.{number}.{}.{}", made / 250, made % 250);
                made += 1;
                let started = Instant::now();
                let body = json!({ "name": "perf", "ip_address": ip, "port": 9000 });
                let answer = client
                    .post(format!("{base}/api/v1/nodes"))
                    .bearer_auth(&token)
                    .json(&body)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
                last =
                    answer.json::<Value>().await.unwrap()["node_id"].as_str().unwrap().to_owned();
                times.push(started.elapsed());
            }
            (times, last)
        });
    }
    let started = Instant::now();
    let (mut times, mut node) = (Vec::new(), String::new());
    while let Some(done) = clients.join_next().await {
        let (part, last) = done.unwrap();
        times.extend(part);
        node = last;
    }
    let rate = f64::from(u32::try_from(times.len()).unwrap()) / started.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times, node)
}

async fn scores(base: &str, node: &str) -> Vec<Duration> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = token("perf", "node_operator");
    let session = |from: i64| {
        json!({ "session_id": uuid::Uuid::now_v7().to_string(), "quality_score": 0.9,
                "start_time": now().plus_ms(-from).to_string(), "end_time": now().plus_ms(-from + 600_000).to_string() })
    };
    let body =
        json!({ "node_id": node, "observation_data": [session(3_000_000), session(1_200_000)] });
    let mut tick = tokio::time::interval(Duration::from_secs(1) / SCORES_A_SECOND);
    let (mut asked, until) = (JoinSet::new(), Instant::now() + SCORE_FOR);
    while Instant::now() < until {
        tick.tick().await;
        let request =
            client.post(format!("{base}/api/v1/poot/calculate")).bearer_auth(&token).json(&body);
        asked.spawn(async move {
            let started = Instant::now();
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
            started.elapsed()
        });
    }
    let mut times: Vec<_> = asked.join_all().await;
    times.sort_unstable();
    times
}

/// A real agent at its default interval: time between its first two samples.
fn collection(lucid: &Path, service: &Service) -> Duration {
    let token_file = service.dir.path().join("token");
    std::fs::write(&token_file, token("agent", "node_operator")).unwrap();
    let mut agent = Command::new(lucid)
        .args(["agent", "--server", &service.base, "--ip", "192.0.2.200", "--data"])
        .arg(service.dir.path().join("agent"))
        .arg("--owner-token-file")
        .arg(&token_file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(agent.stderr.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains("Reported") {
            seen.push(Instant::now());
        }
        if seen.len() == 2 {
            break;
        }
    }
    let _ = agent.kill();
    let _ = agent.wait();
    assert_eq!(seen.len(), 2, "the agent ended early");
    seen[1] - seen[0]
}

fn main() -> ExitCode {
    let lucid =
        PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/release/lucid".into()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cold = start_with(&lucid, tempfile::tempdir().unwrap(), &[]);
    let ready_cold = cold.ready_in;
    // A second start of the same store: everything is in the cache.
    let service = cold.restart(&lucid);
    std::thread::sleep(Duration::from_secs(1));
    let idle = service.resident_mib();
    let fsyncs = fsyncs_a_second(service.dir.path());
    println!(
        "ready {:.0} ms cold, {:.0} ms with a warm cache; idle {idle:.0} MiB; disk {fsyncs:.0} fsyncs/s",
        ms(ready_cold),
        ms(service.ready_in)
    );

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (rate, times, node) = runtime.block_on(registrations(&service.base));
    println!(
        "registrations: {rate:.0}/s durable from {CLIENTS} clients ({:.1} × fsync rate), p50 {:.1} ms, p99 {:.1} ms",
        rate / fsyncs,
        ms(percentile(&times, 0.5)),
        ms(percentile(&times, 0.99))
    );
    let times = runtime.block_on(scores(&service.base, &node));
    let p99 = percentile(&times, 0.99);
    println!(
        "POST /poot/calculate at {SCORES_A_SECOND}/s, durable: p50 {:.1} ms, p99 {:.1} ms",
        ms(percentile(&times, 0.5)),
        ms(p99)
    );
    let interval = collection(&lucid, &service);
    println!("collection: {:.2} s between two samples of an agent", interval.as_secs_f64());
    println!("resident after the load: {:.0} MiB", service.resident_mib());

    let off = interval.abs_diff(INTERVAL);
    let floors = [
        ("more than 100 registrations/s", rate > 100.0),
        ("PoOT p99 under 100 ms", p99 < Duration::from_millis(100)),
        ("collection every 30 s", off <= INTERVAL_TOLERANCE),
    ];
    for (floor, held) in floors {
        println!("{} {floor}", if held { "✓" } else { "✗" });
    }
    if floors.iter().all(|(_, held)| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
