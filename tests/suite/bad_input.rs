//! What the API makes of what nobody should send: a clear refusal, and nothing changed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{
    Lucid,
    node::{TestNode, WALLET},
};

fn node(changes: Value) -> Value {
    let mut node = json!({ "name": "n", "ip_address": "198.51.100.7", "port": 9001 });
    for (key, value) in changes.as_object().unwrap() {
        node[key] = value.clone();
    }
    node
}

#[test]
fn a_refusal_names_the_field_and_changes_nothing() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let typo = WALLET.replace("QGm1", "QGm2");
    for (body, field) in [
        (json!({ "ip_address": "198.51.100.7", "port": 9001 }), "name"),
        (node(json!({ "name": "" })), "name"),
        (node(json!({ "name": "x".repeat(256) })), "name"),
        (node(json!({ "name": "a\u{0}b" })), "name"),
        (node(json!({ "name": 7 })), "name"),
        (node(json!({ "ip_address": "300.1.1.1" })), "ip_address"),
        (node(json!({ "port": 80 })), "port"),
        (node(json!({ "port": "9001" })), "port"),
        (node(json!({ "port": 65536 })), "port"),
        (node(json!({ "wallet_address": typo })), "wallet_address"),
        (node(json!({ "public_key": "AAAA" })), "public_key"),
        (node(json!({ "configuration": { "max_sessions": 101 } })), "configuration.max_sessions"),
        (
            node(json!({ "configuration": { "resource_limits": { "max_cpu_usage": 101 } } })),
            "configuration.resource_limits.max_cpu_usage",
        ),
    ] {
        let (status, answer) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body));
        let error = &answer["error"];
        assert_eq!(
            (status, error["code"].as_str(), error["details"]["field"].as_str()),
            (400, Some("LUCID_ERR_4001"), Some(field)),
            "{body}: {answer}"
        );
        assert!(
            error["request_id"].as_str().is_some_and(|id| id.len() == 36)
                && error["service"] == "node-management"
                && error["version"] == "v1"
        );
    }
    let weak = node(
        json!({ "hardware": { "cpu_cores": 4, "memory_bytes": 1000, "storage_bytes": 100_000_000_000_u64 } }),
    );
    let (status, answer) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&weak));
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (400, Some("LUCID_ERR_5009")),
        "{answer}"
    );
    assert!(answer["error"]["message"].as_str().unwrap().contains("memory"), "{answer}");
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 0);
}

#[test]
fn malformed_requests_get_the_contracts_codes() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let send = |method: &str, path: &str, body: Option<&str>, headers: &[(&str, String)]| {
        let (status, answer) =
            lucid.send(method, path, Some(&owner), body.map(|b| b.as_bytes().to_vec()), headers);
        (status, answer["error"]["code"].as_str().unwrap_or("-").to_owned())
    };
    let told = |status: u16, code: &str| (status, format!("LUCID_ERR_{code}"));
    assert_eq!(send("GET", "/api/v1/nothing", None, &[]), told(404, "4040"));
    assert_eq!(send("PATCH", "/api/v1/nodes", Some("{}"), &[]), told(405, "4050"));
    assert_eq!(send("POST", "/api/v1/nodes", Some("{\"name\":"), &[]), told(400, "4001"));
    assert_eq!(send("POST", "/api/v1/nodes", Some("[]"), &[]), told(400, "4001"));
    assert_eq!(
        send("POST", "/api/v1/nodes", Some("name=x"), &[("content-type", "text/plain".into())]),
        told(415, "4150")
    );
    assert_eq!(
        send(
            "POST",
            "/api/v1/nodes",
            Some(&format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20))),
            &[]
        ),
        told(413, "4130")
    );
    assert_eq!(send("GET", "/api/v1/nodes/not-a-uuid", None, &[]), told(404, "5001"));
    assert_eq!(
        send("GET", "/api/v1/nodes/0192f0c1-2b3c-7d4e-8f90-123456789abc", None, &[]),
        told(404, "5001")
    );
    assert_eq!(send("GET", "/api/v1/pools/..%2f..%2fetc", None, &[]), told(404, "5002"));
    let (status, problem) = lucid.send(
        "GET",
        "/api/v1/nothing",
        None,
        None,
        &[("accept", "application/problem+json".into())],
    );
    assert_eq!(
        (status, problem["code"].as_str(), problem["status"].as_u64()),
        (404, Some("LUCID_ERR_4040"), Some(404)),
        "{problem}"
    );
}

#[test]
fn tokens_that_are_no_tokens_open_nothing() {
    let lucid = Lucid::serve();
    let good = lucid.token("root", "super_admin");
    let (_, claims) = good.split_once('.').unwrap();
    let claims = claims.split('.').next().unwrap();
    let none = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
    let forged = lucid_api::issue_token(
        "another secret of at least 32 bytes",
        "root",
        "super_admin",
        60,
        lucid_model::time::TimeMs(crate::support::now_ms()),
    )
    .unwrap();
    let expired = lucid_api::issue_token(
        crate::support::SECRET,
        "root",
        "super_admin",
        60,
        lucid_model::time::TimeMs(1_000_000),
    )
    .unwrap();
    for (what, token) in [
        ("none", Some(none.as_str())),
        ("forged", Some(&forged)),
        ("expired", Some(&expired)),
        ("cut", Some(&good[..good.len() - 2])),
        ("missing", None),
    ] {
        let (status, answer) = lucid.call("GET", "/api/v1/nodes", token, None);
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (401, Some("LUCID_ERR_4010")),
            "{what}: {answer}"
        );
    }
    let (status, answer) =
        lucid.call("GET", "/api/v1/nodes", Some(&lucid.token("x", "emperor")), None);
    assert_eq!((status, answer["error"]["code"].as_str()), (403, Some("LUCID_ERR_4030")));
}

#[test]
fn impossible_observations_are_refused() {
    let lucid = Lucid::serve();
    let mut node = TestNode::register(&lucid, "alice", 1);
    let session = |start: &str, end: &str, quality: f64| json!({ "session_id": uuid::Uuid::now_v7().to_string(), "start_time": start, "end_time": end, "quality_score": quality });
    let report = |node: &mut TestNode, session: Value| {
        node.report(&lucid, "observations", &json!({ "observations": [session] }))
    };
    for (what, session, field) in [
        (
            "quality 2",
            session("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", 2.0),
            "quality_score",
        ),
        (
            "end before start",
            session("2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z", 1.0),
            "end_time",
        ),
        ("no time", session("yesterday", "2026-01-01T00:00:00Z", 1.0), "start_time"),
    ] {
        let (status, answer) = report(&mut node, session);
        assert_eq!(status, 400, "{what}: {answer}");
        assert!(
            answer["error"]["details"]["field"].as_str().unwrap().ends_with(field),
            "{what}: {answer}"
        );
    }
    let (status, future) =
        report(&mut node, session("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z", 1.0));
    assert_eq!(
        (status, future["observations"][0]["verdict"].as_str()),
        (200, Some("rejected")),
        "the policy's word: {future}"
    );
    let calculate = json!({ "node_id": node.id.to_string(), "observation_data": [session("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z", 1.0)] });
    let (status, answer) = lucid.call(
        "POST",
        "/api/v1/poot/calculate",
        Some(&lucid.token("alice", "node_operator")),
        Some(&calculate),
    );
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (400, Some("LUCID_ERR_5005")),
        "{answer}"
    );
}

#[test]
fn a_signature_of_another_age_of_the_world_is_refused_and_breaks_nothing() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let body = serde_json::to_vec(&node(json!({ "public_key": key }))).unwrap();
    for timestamp in [i64::MIN, 0, i64::MAX] {
        let headers = [
            ("x-lucid-timestamp", timestamp.to_string()),
            ("x-lucid-nonce", "once".to_owned()),
            ("x-lucid-signature", format!("{}==", "A".repeat(86))),
        ];
        let (status, answer) =
            lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body.clone()), &headers);
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (401, Some("LUCID_ERR_4010")),
            "{timestamp}: {answer}"
        );
    }
    let alone = [("x-lucid-timestamp", "soon".to_owned())];
    let (status, answer) = lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body), &alone);
    assert_eq!(
        (status, answer["error"]["details"]["field"].as_str()),
        (400, Some("x-lucid-timestamp")),
        "{answer}"
    );
}
