//! What nodes report, and what somebody carries for them.

pub(crate) mod cheats;
pub(crate) mod history;
pub(crate) mod presence;
pub(crate) mod proxied;

use std::sync::atomic::{AtomicU32, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use lucid_model::{fleet::statement, id::Digest, time::TimeMs};
use serde_json::{Value, json};

use crate::support::{Lucid, eventually, node::TestNode, now_ms};

/// A report as a gateway carries it.
fn carried(node: &TestNode, number: u64, sample: &Value) -> Value {
    let report = sample.to_string();
    let signature = node.key.sign(&statement::report(
        "metrics",
        node.id,
        number,
        Digest::of(report.as_bytes()),
    ));
    json!({ "node_id": node.id.to_string(), "report": report, "sequence": number, "signature": STANDARD.encode(signature.to_bytes()) })
}

#[test]
fn more_reports_than_may_wait_are_asked_to_come_again_and_none_is_lost() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_TELEMETRY_REPORTS_WAITING_MAX", "1"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
    ]);
    let mut nodes: Vec<_> =
        (1..=8).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    let refused = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for node in &mut nodes {
            scope.spawn(|| {
                // As long as nobody was ever refused: each report until it is taken.
                while node.sequence < 5
                    || (refused.load(Ordering::Relaxed) == 0 && node.sequence < 500)
                {
                    let (number, sample) = node.next_sample();
                    loop {
                        let (bytes, headers) = node.signed("metrics", number, &sample);
                        let path = format!("/api/v1/nodes/{}/metrics", node.id);
                        let (status, answer_headers, answer) =
                            lucid.answer("POST", &path, Some(&node.token), Some(bytes), &headers);
                        if status == 200 {
                            break;
                        }
                        assert_eq!(
                            (status, answer["error"]["code"].as_str()),
                            (429, Some("LUCID_ERR_4291")),
                            "{answer}"
                        );
                        assert_eq!(
                            (
                                &answer["error"]["details"]["limit"],
                                answer_headers["retry-after"].to_str().unwrap()
                            ),
                            (&json!(1), "1"),
                            "{answer}"
                        );
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(refused.load(Ordering::Relaxed) > 0, "eight at once, of which one may wait");
    for node in &nodes {
        let history = lucid
            .get(&format!("/api/v1/resources/nodes/{}/history?metric=cpu&resolution=raw", node.id));
        assert_eq!(
            history["points"].as_array().map(Vec::len),
            usize::try_from(node.sequence).ok(),
            "{history}"
        );
    }
}

#[test]
fn a_gateway_brings_reports_of_many_nodes_and_each_stands_by_itself() {
    let lucid = Lucid::serve();
    let mut nodes: Vec<_> =
        (1..=3).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    let first: Vec<_> = nodes.iter_mut().map(|node| node.next_sample()).collect();
    let second: Vec<_> = nodes.iter_mut().map(|node| node.next_sample()).collect();
    let mut reports: Vec<Value> = nodes
        .iter()
        .zip(&first)
        .map(|(node, (number, sample))| carried(node, *number, sample))
        .collect();
    // The second of the first node in the same batch, one that was changed on its way, one of
    // nobody, one that is no report.
    reports.push(carried(&nodes[0], second[0].0, &second[0].1));
    let mut changed = carried(&nodes[1], second[1].0, &second[1].1);
    changed["report"] = changed["report"].as_str().unwrap().replace("25.5", "99.9").into();
    reports.push(changed);
    reports.push(
        json!({ "node_id": "0192f0c1-2b3c-7d4e-8f90-123456789abc", "report": "{\"cpu_usage\":1}" }),
    );
    reports.push(json!({ "node_id": nodes[2].id.to_string(), "report": "{\"cpu_usage\":101}" }));
    let batch = json!({ "reports": reports });

    let gateway = lucid.token("gateway", "super_admin");
    let (status, answer) =
        lucid.call("POST", "/api/v1/metrics:batch", Some(&gateway), Some(&batch));
    assert_eq!(
        (status, &answer["accepted"], &answer["rejected"]),
        (200, &json!(4), &json!(3)),
        "{answer}"
    );
    let errors: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["error"]["status"].as_u64())
        .collect();
    assert_eq!(errors, [None, None, None, None, Some(401), Some(404), Some(400)], "{answer}");
    assert!(
        answer["results"][6]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("reports[6].report: "),
        "{answer}"
    );
    for node in &nodes {
        let seen = lucid.get(&format!("/api/v1/nodes/{}", node.id));
        assert_eq!(
            (seen["status"].as_str(), &seen["resource_usage"]["cpu_usage"]),
            (Some("active"), &json!(25.5)),
            "{seen}"
        );
    }

    // The same batch again is the same answer, and nothing is stored twice.
    let (status, again) = lucid.call("POST", "/api/v1/metrics:batch", Some(&gateway), Some(&batch));
    assert_eq!(
        (status, &again["results"][3]["report"]["repeated"]),
        (200, &json!(true)),
        "{again}"
    );

    // Who owns other nodes brings nothing for these; whose reports cannot be read at all has made a
    // mistake.
    let (status, answer) = lucid.call(
        "POST",
        "/api/v1/metrics:batch",
        Some(&lucid.token("bob", "node_operator")),
        Some(&batch),
    );
    assert_eq!((status, &answer["results"][0]["error"]["status"]), (200, &json!(403)), "{answer}");
    let (status, answer) = lucid.call(
        "POST",
        "/api/v1/metrics:batch",
        Some(&gateway),
        Some(&json!({ "reports": [{}] })),
    );
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (400, Some("LUCID_ERR_5010")),
        "{answer}"
    );
    let (status, _) =
        lucid.call("POST", "/api/v1/metrics:batch", Some(&nodes[0].token), Some(&batch));
    assert_eq!(status, 403, "a node reports for itself, and signs the request");
}

/// A sample from a node whose clock is `seconds` ahead.
fn ahead(seconds: i64, cpu: f64) -> Value {
    json!({ "timestamp": TimeMs(now_ms() + 1_000 * seconds).to_string(), "cpu_usage": cpu, "memory_usage": 1, "disk_usage": 1 })
}

#[test]
fn a_sample_of_the_future_is_dropped_and_hides_no_later_one() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("REGISTRATION_APPROVAL", "auto")]);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let owner = lucid.token("alice", "node_operator");
    assert_eq!(node.report(&lucid, "heartbeat", &json!({})).0, 200);
    // Signed: what is wrong is named, and the report counts.
    let (status, answer) = node.report(
        &lucid,
        "metrics",
        &json!({ "samples": [ahead(0, 10.0), ahead(1_577_880_000, 1.0), ahead(200, 20.0)] }),
    );
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(2)), "{answer}");
    assert_eq!(answer["dropped"][0]["sample"], 1, "{answer}");
    assert!(answer["dropped"][0]["reason"].as_str().unwrap().contains("at most 300 s"), "{answer}");
    let (status, answer) = node.report(&lucid, "heartbeat", &json!({}));
    assert_eq!(status, 200, "the sequence goes on: {answer}");
    // Without a signature nothing of it would count.
    let path = format!("/api/v1/nodes/{}/metrics", node.id);
    let (status, answer) = lucid.call(
        "POST",
        &path,
        Some(&owner),
        Some(&json!({ "samples": [ahead(0, 1.0), ahead(400, 1.0)] })),
    );
    assert_eq!(
        (status, answer["error"]["details"]["field"].as_str()),
        (400, Some("samples[1].timestamp")),
        "{answer}"
    );
    // The clock was ahead by minutes, and is set right: what is measured now is what is shown and
    // watched.
    for _ in 0..3 {
        assert_eq!(node.report(&lucid, "metrics", &ahead(0, 99.5)).0, 200);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let usage =
        lucid.call("GET", &format!("/api/v1/nodes/{}/usage", node.id), Some(&owner), None).1;
    assert!(usage.to_string().contains("99.5"), "{usage}");
    let alerts = eventually("an alert", || {
        let alerts =
            lucid.call("GET", &format!("/api/v1/nodes/{}/alerts", node.id), Some(&owner), None).1;
        alerts.to_string().contains("99.5").then_some(alerts)
    });
    assert!(alerts.to_string().contains("cpu"), "{alerts}");
}
