//! What nodes measured, over time.

use lucid_model::time::{HOUR_MS, TimeMs};
use serde_json::{Value, json};

use crate::support::{Lucid, Process, eventually, now_ms};

/// Samples of a report at most.
const BATCH: usize = 1_000;

#[test]
fn rollups_that_were_lost_are_made_again_from_samples() {
    let mut lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let body = json!({ "name": "measured", "ip_address": "198.51.100.7", "port": 9001 });
    let (_, node) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body));
    let id = node["node_id"].as_str().unwrap().to_owned();
    let start = (now_ms() / HOUR_MS - 8) * HOUR_MS;
    let measured: Vec<Value> =
        (0..4 * 120_i64).map(|i| json!({ "timestamp": TimeMs(start + i * 30_000).to_string(), "cpu_usage": i % 100 })).collect();
    let (status, answer) = lucid.call(
        "POST",
        &format!("/api/v1/nodes/{id}/metrics"),
        Some(&owner),
        Some(&json!({ "samples": measured })),
    );
    assert_eq!(status, 200, "{answer}");
    let question =
        format!("from={}&to={}&resolution=1h", TimeMs(start), TimeMs(start + 4 * HOUR_MS));
    let ask =
        |lucid: &Lucid| lucid.get(&format!("/api/v1/resources/nodes/{id}/history?{question}"));
    let before = ask(&lucid);
    assert_eq!(before["points"].as_array().unwrap().len(), 4, "{before}");
    let file = lucid.data().join("telemetry.db");
    let lost = eventually("every hour to be rolled up", || {
        let telemetry = rusqlite::Connection::open(&file).unwrap();
        let unrolled: i64 =
            telemetry.query_row("SELECT count(*) FROM samples", [], |row| row.get(0)).unwrap();
        (unrolled == 0).then_some(telemetry)
    });
    let store = format!("sqlite://{}/", lucid.data().display());
    let rollups =
        || Process::start(&["store", "rollups", &store, "--output", "json"], &[], false).output();
    assert_eq!(rollups().0, Some(1), "the service uses it");
    assert_eq!(lucid.process.stop(), Some(0));
    lost.execute_batch("DELETE FROM rollups_1h; DELETE FROM rollups_5m;").unwrap();
    drop(lost);
    assert_eq!(rollups(), (Some(0), "{\"hours\":4}\n".into()));
    lucid.crash_and_restart();
    assert_eq!(ask(&lucid), before);
    let nowhere = Process::start(&["store", "rollups", "sqlite:///nowhere/"], &[], false).output();
    assert_eq!(nowhere.0, Some(1), "{nowhere:?}");
}

#[test]
fn a_history_tells_what_was_measured_and_how_much_of_it_is_there() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let body = json!({ "name": "measured", "ip_address": "198.51.100.7", "port": 9001 });
    let (_, node) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body));
    let id = node["node_id"].as_str().unwrap();
    // Sixteen hours that are long over, the fourth of them without a sample; a counter of 32 bits
    // goes round.
    let start = (now_ms() / HOUR_MS - 40) * HOUR_MS;
    let measured = (0..16 * 120_i64).filter(|i| i / 120 != 3).map(|i| {
        let sent = (4_294_000_000 + i * 1_000) % 4_294_967_296;
        json!({ "timestamp": TimeMs(start + i * 30_000).to_string(), "cpu_usage": 10 + i % 120 / 2, "memory_usage": 25, "active_sessions": i % 5,
            "uptime": i * 30, "network_usage": { "bytes_sent": sent, "bytes_received": 0, "packets_sent": 0, "packets_received": 0 } })
    });
    let measured: Vec<Value> = measured.collect();
    // The last ones first: nodes send what they could not send later on.
    for samples in measured.rchunks(BATCH) {
        let (status, answer) = lucid.call(
            "POST",
            &format!("/api/v1/nodes/{id}/metrics"),
            Some(&owner),
            Some(&json!({ "samples": samples })),
        );
        assert_eq!((status, &answer["accepted"]), (200, &json!(samples.len())), "{answer}");
    }
    let ask = |question: &str, hours: i64| {
        let range = format!("from={}&to={}", TimeMs(start), TimeMs(start + hours * HOUR_MS));
        lucid.call(
            "GET",
            &format!("/api/v1/resources/nodes/{id}/history?{range}{question}"),
            Some(&owner),
            None,
        )
    };

    let (status, hours) = ask("&metric=cpu&resolution=1h", 16);
    assert_eq!(
        (status, &hours["resolution"], &hours["metric"], &hours["completeness"]),
        (200, &json!("1h"), &json!("cpu"), &json!(93.75)),
        "{hours}"
    );
    let points = hours["points"].as_array().unwrap();
    assert_eq!(points.len(), 15);
    let first = json!({ "time": TimeMs(start).to_string(), "samples": 120, "completeness": 100, "cpu": { "min": 10, "mean": 39.5, "max": 69 } });
    assert_eq!(points[0], first);
    assert_eq!(points[3]["time"], TimeMs(start + 4 * HOUR_MS).to_string());

    let (_, traffic) = ask("&metric=network&resolution=5m", 16);
    let sent: u64 = traffic["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["network"]["bytes_sent"].as_u64().unwrap())
        .sum();
    assert_eq!(
        sent,
        (16 * 120 - 1) * 1_000,
        "nothing is lost between points, nor when the counter goes round"
    );
    let (_, all) = ask("&resolution=raw", 1);
    assert_eq!(
        (all["points"].as_array().unwrap().len(), &all["metric"], &all["completeness"]),
        (120, &json!("all"), &json!(100)),
        "{all}"
    );
    assert_eq!(
        (&all["points"][7]["sessions"], &all["points"][7]["memory"]["mean"]),
        (&json!({ "max": 2 }), &json!(25))
    );
    for (hours, finest) in [(1, "raw"), (16, "1m"), (18, "5m")] {
        assert_eq!(ask("", hours).1["resolution"], finest, "{hours} hours");
    }

    for (wrong, field) in [
        ("&metric=heat", "metric"),
        ("&resolution=2m", "resolution"),
        ("&resolution=1m&from=0", "resolution"),
    ] {
        let from = TimeMs(start - 90 * HOUR_MS);
        let question = if wrong.ends_with('0') {
            format!("?resolution=1m&from={from}")
        } else {
            format!("?{}", &wrong[1..])
        };
        let (status, refused) = lucid.call(
            "GET",
            &format!("/api/v1/resources/nodes/{id}/history{question}"),
            Some(&owner),
            None,
        );
        assert_eq!(
            (status, &refused["error"]["details"]["field"]),
            (400, &json!(field)),
            "{refused}"
        );
        assert!(
            field != "resolution"
                || wrong.contains("2m")
                || refused.to_string().contains("5000 points"),
            "{refused}"
        );
    }
    assert_eq!(ask("", 0).0, 400, "it ends before it begins");
    let mallory = lucid.token("mallory", "node_operator");
    assert_eq!(
        lucid.call("GET", &format!("/api/v1/resources/nodes/{id}/history"), Some(&mallory), None).0,
        403
    );

    let (_, usage) = lucid.call(
        "GET",
        &format!("/api/v1/resources/nodes/{id}?time_range=7d"),
        Some(&owner),
        None,
    );
    assert_eq!(
        (&usage["completeness"], &usage["memory_usage"]),
        (&json!(8.92), &json!(25)),
        "1,800 of 20,160: {usage}"
    );
    let (_, fleet) =
        lucid.call("GET", "/api/v1/resources/summary?time_range=7d", Some(&owner), None);
    assert_eq!(
        (&fleet["completeness"], &fleet["average_memory_usage"]),
        (&json!(8.92), &json!(25)),
        "{fleet}"
    );
}
