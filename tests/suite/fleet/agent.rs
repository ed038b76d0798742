//! The worker's agent as a process, and what the service makes of samples that come late.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Lucid, Process, SHORT, eventually, node::TestNode, now_ms};

fn status(data: &str, output: &str) -> (Option<i32>, String) {
    Process::start(&["agent", "status", "--data", data, "--output", output], &[], false).output()
}

/// The status once the command exits with this code.
fn status_with(code: i32, data: &str) -> Value {
    eventually(&format!("exit code {code}"), || {
        let (exit, text) = status(data, "json");
        (exit == Some(code)).then(|| serde_json::from_str(&text).unwrap())
    })
}

#[test]
fn the_status_of_an_agent_says_how_it_is() {
    let mut lucid = Lucid::serve();
    let base = lucid.base.clone();
    let dir = tempfile::tempdir().unwrap();
    let (token, data) = (dir.path().join("token"), dir.path().join("agent"));
    std::fs::write(&token, lucid.token("alice", "node_operator")).unwrap();
    let data = data.to_str().unwrap();
    assert_eq!(status(data, "json"), (Some(2), String::new()), "no agent was ever here");
    let common = [
        "agent",
        "--server",
        &base,
        "--ip",
        "192.0.2.9",
        "--interval",
        "1s",
        "--spool-mb",
        "2",
        "--spool-age",
        "1h",
        "--data",
        data,
    ];
    let mut agent = Process::start(
        &[&common[..], &["--owner-token-file", token.to_str().unwrap()]].concat(),
        &[],
        true,
    );
    agent.wait_for(|line| line.contains("Reported").then_some(()));
    let fine = status_with(0, data);
    assert_eq!(
        (fine["health"].as_str(), fine["server"].as_str()),
        (Some("fine"), Some(base.as_str())),
        "{fine}"
    );
    assert!(
        fine["last_accepted"]["sequence"].as_u64().is_some() && fine["dropped_samples"] == 0,
        "{fine}"
    );
    assert!(
        fine["clock_offset_ms"].as_i64().is_some_and(|offset| offset.abs() < 1_000),
        "one machine has one clock: {fine}"
    );
    let node = lucid.get("/api/v1/nodes")["nodes"][0]["node_id"].clone();
    assert_eq!(fine["node_id"], node);
    let (code, text) = status(data, "table");
    assert!(
        code == Some(0)
            && text.starts_with("agent           fine")
            && text.contains(node.as_str().unwrap()),
        "{text}"
    );

    lucid.process.kill();
    let failing = status_with(1, data);
    assert!(
        failing["reasons"][0]
            .as_str()
            .is_some_and(|reason| reason.contains("no answer from the service")),
        "{failing}"
    );
    assert!(
        failing["offline_since"].is_string() && failing["last_error"]["at"].is_string(),
        "{failing}"
    );
    agent.kill();
    let stopped = status_with(2, data);
    assert_eq!(
        (stopped["health"].as_str(), &stopped["node_id"]),
        (Some("not_running"), &node),
        "{stopped}"
    );
    assert!(
        stopped["spool"]["samples"].as_u64() > Some(0) && stopped["spool"]["oldest_at"].is_string(),
        "{stopped}"
    );

    // The same again: what waited is sent, though the agent was killed.
    let port = lucid.base.rsplit(':').next().unwrap().to_owned();
    lucid.set("NODE_MANAGEMENT_PORT", &port);
    lucid.crash_and_restart();
    let mut agent = Process::start(&common, &[], true);
    let sequence = |status: &Value| status["last_accepted"]["sequence"].as_u64();
    eventually("what waited", || {
        let now = status_with(0, data);
        (now["spool"]["samples"] == 0 && sequence(&now) > sequence(&fine)).then_some(())
    });
    assert_eq!(agent.stop(), Some(0));

    // The token was needed once; and what the machine became reaches the service.
    std::fs::remove_file(&token).unwrap();
    let moved: Vec<_> =
        common.iter().map(|word| if *word == "192.0.2.9" { "192.0.2.10" } else { word }).collect();
    let mut agent = Process::start(
        &[&moved[..], &["--owner-token-file", token.to_str().unwrap()]].concat(),
        &[],
        true,
    );
    eventually("the new address", || {
        (lucid.get("/api/v1/nodes")["nodes"][0]["ip_address"] == "192.0.2.10").then_some(())
    });
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn intervals_that_the_service_would_not_understand_are_refused_by_name() {
    for interval in ["0", "0s", "999ms", "61s", "10m", "-1s", "often"] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().to_str().unwrap();
        let line = [
            "agent",
            "--server",
            "http://127.0.0.1:9",
            "--ip",
            "192.0.2.9",
            "--data",
            data,
            &format!("--interval={interval}"),
        ];
        let mut agent = Process::start(&line, &[], true);
        let named = agent.wait_for(|line| line.contains("interval").then(|| line.to_owned()));
        assert!(named.contains("interval"), "{interval}: {named}");
        assert_eq!(agent.output_code(), Some(2), "{interval}");
    }
}

#[test]
fn an_agent_without_a_service_to_report_to_is_told_what_is_missing() {
    let mut agent = Process::start(&["agent", "--ip", "192.0.2.9"], &[], true);
    assert_eq!(agent.output_code(), Some(2));
    agent.wait_for(|line| line.contains("--server").then_some(()));
}

#[test]
fn a_late_sample_is_kept_and_said_to_be_late_and_witnesses_nothing_of_then() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let (born, sample) = (Instant::now(), |ago_s: i64, cpu: u32| {
        let at = lucid_model::time::TimeMs(now_ms() - ago_s * 1_000);
        json!({ "timestamp": at.to_string(), "cpu_usage": cpu })
    });
    // Twenty minutes in one report, as after an outage.
    let backlog: Vec<_> = (0..=40).rev().map(|n| sample(n * 30 + 5, 10)).collect();
    let (status, answer) = node.report(&lucid, "metrics", &json!({ "samples": backlog }));
    assert_eq!(
        (status, answer["accepted"].as_u64(), answer["late"].as_u64()),
        (200, Some(41), Some(38)),
        "{answer}"
    );
    let (_, answer) = node.report(&lucid, "metrics", &sample(0, 10));
    assert_eq!(answer["late"].as_u64(), Some(0), "{answer}");
    let usage = lucid.get(&format!("/api/v1/resources/nodes/{}?time_range=1h", node.id));
    assert_eq!(usage["cpu_usage"].as_f64(), Some(10.0), "{usage}");
    assert!(lucid.metric("lucid_samples_late_total") >= 38.0);

    // A session that claims the whole of it is credited with what was witnessed.
    node.started_ms = now_ms() - 20 * 60_000;
    let mut next = Instant::now();
    let credited = eventually("credited time", || {
        if Instant::now() >= next {
            node.work(&lucid);
            next += Duration::from_millis(500);
        }
        lucid.get(&format!("/api/v1/nodes/{}", node.id))["total_observation_time"]
            .as_u64()
            .filter(|credited| *credited > 0)
    });
    assert!(credited <= born.elapsed().as_secs() + 1, "{credited} s of {:?}", born.elapsed());
}
