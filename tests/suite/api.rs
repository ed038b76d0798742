//! The contract's routes, as its clients use them.

use serde_json::{Value, json};

use crate::support::{
    Lucid,
    node::{TestNode, registration},
};

fn plain_node(port: u16) -> Value {
    json!({ "name": format!("node {port}"), "ip_address": "198.51.100.7", "port": port })
}

#[test]
fn nodes_live_as_the_life_cycle_says() {
    let lucid = Lucid::serve();
    let (owner, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let (status, node) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&plain_node(9001)));
    assert_eq!((status, node["status"].as_str()), (201, Some("pending")), "{node}");
    assert_eq!(
        node["configuration"],
        json!({
            "max_sessions": 10, "auto_scaling": false, "monitoring_enabled": true,
            "resource_limits": { "max_cpu_usage": 80, "max_memory_usage": 80, "max_disk_usage": 90, "max_network_bandwidth": 1_000_000_000_u64 },
        })
    );
    let path = format!("/api/v1/nodes/{}", node["node_id"].as_str().unwrap());
    let act = |action: &str, token: &str, body: Option<Value>| {
        let (status, body) =
            lucid.call("POST", &format!("{path}/{action}"), Some(token), body.as_ref());
        (
            status,
            body["status"]
                .as_str()
                .or(body["error"]["code"].as_str())
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let told = |status: u16, word: &str| (status, word.to_owned());
    assert_eq!(act("deactivate", &owner, None), told(400, "LUCID_ERR_5003"));
    assert_eq!(act("activate", &owner, None), told(200, "active"));
    assert_eq!(act("activate", &owner, None), told(400, "LUCID_ERR_5003"));
    assert_eq!(act("deactivate", &owner, None), told(200, "inactive"));
    assert_eq!(act("activate", &owner, None), told(200, "active"));
    assert_eq!(
        act("suspend", &owner, Some(json!({ "reason": "mine" }))),
        told(403, "LUCID_ERR_4030")
    );
    assert_eq!(act("suspend", &admin, Some(json!({}))), told(400, "LUCID_ERR_4001"));
    assert_eq!(
        act("suspend", &admin, Some(json!({ "reason": "abuse", "duration_hours": 1 }))),
        told(200, "suspended")
    );
    assert_eq!(act("activate", &owner, None), told(400, "LUCID_ERR_5003"));
    let (status, changed) = lucid.call(
        "PUT",
        &path,
        Some(&owner),
        Some(&json!({ "name": "renamed", "configuration": { "max_sessions": 5 } })),
    );
    assert_eq!(
        (
            status,
            &changed["name"],
            &changed["configuration"]["max_sessions"],
            &changed["configuration"]["resource_limits"]["max_cpu_usage"]
        ),
        (200, &json!("renamed"), &json!(5), &json!(80))
    );
    assert_eq!(
        lucid.call("DELETE", &path, Some(&lucid.token("mallory", "node_operator")), None).0,
        403
    );
    assert_eq!(
        lucid.call("DELETE", &path, Some(&owner), None),
        (204, Value::String(String::new()))
    );
    let (status, gone) = lucid.call("GET", &path, Some(&owner), None);
    assert_eq!((status, gone["error"]["code"].as_str()), (404, Some("LUCID_ERR_5001")));
    assert_eq!(
        lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&plain_node(9001))).0,
        201,
        "its address is free again"
    );
}

#[test]
fn lists_show_a_caller_its_own_records_and_count_them() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_AUTH_NODES_PER_IP_MAX", "0")]);
    for (owner, ports) in [("alice", 9001..9004), ("bob", 9004..9009)] {
        for port in ports {
            assert_eq!(
                lucid
                    .call(
                        "POST",
                        "/api/v1/nodes",
                        Some(&lucid.token(owner, "node_operator")),
                        Some(&plain_node(port))
                    )
                    .0,
                201
            );
        }
    }
    let list = |query: &str, subject: &str, role: &str| {
        lucid
            .call("GET", &format!("/api/v1/nodes{query}"), Some(&lucid.token(subject, role)), None)
            .1
    };
    assert_eq!(
        list("?limit=2", "alice", "user")["pagination"],
        json!({ "page": 1, "limit": 2, "total": 3, "pages": 2 })
    );
    assert_eq!(list("?limit=3&page=3", "root", "admin")["nodes"].as_array().unwrap().len(), 2);
    let names: Vec<_> = list("?sort=name&order=asc", "root", "admin")["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.is_sorted() && names.len() == 8, "{names:?}");
    for query in
        ["?page=0", "?limit=101", "?sort=secret", "?order=up", "?status=deregistered", "?pool_id=x"]
    {
        let (status, body) = lucid.call(
            "GET",
            &format!("/api/v1/nodes{query}"),
            Some(&lucid.token("root", "admin")),
            None,
        );
        assert_eq!(
            (status, body["error"]["code"].as_str()),
            (400, Some("LUCID_ERR_4001")),
            "{query}"
        );
    }
    let bobs = list("", "bob", "user")["nodes"][0]["node_id"].as_str().unwrap().to_owned();
    assert_eq!(
        lucid
            .call(
                "GET",
                &format!("/api/v1/nodes/{bobs}"),
                Some(&lucid.token("alice", "user")),
                None
            )
            .0,
        403
    );
}

#[test]
fn pools_keep_their_size_and_give_their_nodes_up() {
    let lucid = Lucid::serve();
    let admin = lucid.token("root", "admin");
    let small = json!({ "name": "small", "max_nodes": 1 });
    let (_, pool) = lucid.call("POST", "/api/v1/pools", Some(&admin), Some(&small));
    assert_eq!(
        lucid.call("POST", "/api/v1/pools", Some(&admin), Some(&small)).1["error"]["code"],
        "LUCID_ERR_5008"
    );
    let path = format!("/api/v1/pools/{}", pool["pool_id"].as_str().unwrap());
    let owner = lucid.token("alice", "node_operator");
    let (_, first) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&plain_node(9001)));
    let (_, second) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&plain_node(9002)));
    assert_eq!(
        (first["pool_id"].as_str(), second["pool_id"].as_str()),
        (pool["pool_id"].as_str(), None)
    );
    let into = format!("/api/v1/nodes/{}/pool", second["node_id"].as_str().unwrap());
    let (status, full) =
        lucid.call("PUT", &into, Some(&admin), Some(&json!({ "pool_id": pool["pool_id"] })));
    assert_eq!((status, full["error"]["code"].as_str()), (409, Some("LUCID_ERR_5004")));
    assert_eq!(lucid.call("PUT", &path, Some(&admin), Some(&json!({ "max_nodes": 2 }))).0, 200);
    assert_eq!(
        lucid.call("PUT", &into, Some(&admin), Some(&json!({ "pool_id": pool["pool_id"] }))).0,
        200
    );
    let (status, tight) = lucid.call("PUT", &path, Some(&admin), Some(&json!({ "max_nodes": 1 })));
    assert_eq!((status, tight["error"]["code"].as_str()), (400, Some("LUCID_ERR_5004")));
    let other = lucid.create_pool("other");
    assert_eq!(lucid.call("DELETE", &path, Some(&admin), None).0, 204);
    assert_eq!(
        lucid.get(&format!("/api/v1/pools/{other}"))["node_count"],
        2,
        "the nodes found another pool"
    );
    assert_eq!(lucid.call("GET", &path, Some(&admin), None).1["error"]["code"], "LUCID_ERR_5002");
}

#[test]
fn a_registration_is_proven_and_counts_once() {
    use crate::support::{
        node::{key, registration_headers},
        now_ms,
    };
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let key = key(1);
    let body = serde_json::to_vec(&registration(&key, 9001)).unwrap();
    let send = |body: &[u8], headers: &[(&str, String)]| {
        let (status, answer) =
            lucid.send("POST", "/api/v1/nodes", Some(&owner), Some(body.to_vec()), headers);
        (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(send(&body, &[]).0, 400, "a key without a signature");
    assert_eq!(
        send(&body, &registration_headers(&key, &body, now_ms() - 180_000, "n")),
        (401, "LUCID_ERR_4010".into()),
        "too old"
    );
    assert_eq!(send(&body, &registration_headers(&key, b"another body", now_ms(), "n")).0, 401);
    let good = registration_headers(&key, &body, now_ms(), "n");
    assert_eq!(send(&body, &good).0, 201);
    assert_eq!(send(&body, &good), (401, "LUCID_ERR_4010".into()), "a nonce counts once");
    let again = registration_headers(&key, &body, now_ms(), "m");
    assert_eq!(send(&body, &again), (409, "LUCID_ERR_5007".into()));
}

#[test]
fn a_replayed_report_is_the_stored_one_and_a_changed_one_a_conflict() {
    let lucid = Lucid::serve();
    let mut node = TestNode::register(&lucid, "alice", 1);
    let sample = json!({ "cpu_usage": 1, "memory_usage": 1, "disk_usage": 1 });
    assert_eq!(node.report(&lucid, "metrics", &sample).1["repeated"], false);
    assert_eq!(node.report_as(&lucid, "metrics", 1, &sample).1["repeated"], true);
    let (status, taken) = node.report_as(
        &lucid,
        "metrics",
        1,
        &json!({ "cpu_usage": 2, "memory_usage": 1, "disk_usage": 1 }),
    );
    assert_eq!(
        (status, &taken["error"]["details"]["highest_sequence"]),
        (409, &json!(1)),
        "{taken}"
    );
    let other = TestNode::register(&lucid, "alice", 2);
    let stolen = TestNode { id: node.id, ..other };
    assert_eq!(stolen.report_as(&lucid, "metrics", 9, &sample).0, 403, "another node's token");
    node.key = crate::support::node::key(9);
    assert_eq!(node.report(&lucid, "metrics", &sample).0, 401, "another key");
    node.key = crate::support::node::key(1);
    assert_eq!(
        lucid
            .call(
                "DELETE",
                &format!("/api/v1/nodes/{}", node.id),
                Some(&lucid.token("alice", "node_operator")),
                None
            )
            .0,
        204
    );
    assert_eq!(node.report(&lucid, "metrics", &sample).0, 401, "the token of a node that is gone");
}

#[test]
fn a_session_of_one_node_is_no_other_nodes() {
    let lucid = Lucid::serve();
    let (mut one, mut other) =
        (TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "alice", 2));
    let session = json!({ "observations": [one.session_until(crate::support::now_ms())] });
    assert_eq!(
        one.report(&lucid, "observations", &session).1["observations"][0]["verdict"],
        "accepted"
    );
    let (status, second) = other.report(&lucid, "observations", &session);
    assert_eq!(
        (status, second["observations"][0]["verdict"].as_str()),
        (200, Some("rejected")),
        "{second}"
    );
}

#[test]
fn operators_tools_get_what_they_ask_for() {
    let lucid = Lucid::serve();
    let text = |path: &str| lucid.send("GET", path, None, None, &[]);
    assert_eq!(text("/livez"), (200, json!("ok")));
    assert_eq!(text("/readyz"), (200, json!("ready")));
    let (status, health) = text("/health");
    assert_eq!(
        (status, health["service"].as_str(), health["checks"]["environment"].as_str()),
        (200, Some("node-management"), Some("sandbox")),
        "{health}"
    );
    assert!(lucid.metrics().contains("lucid_http_requests_total"));
    let (_, document) = text("/openapi.json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    for path in [
        "/api/v1/nodes",
        "/api/v1/pools/{id}",
        "/api/v1/poot/calculate",
        "/api/v1/payouts",
        "/api/v1/resources/summary",
    ] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn events_are_streamed_and_end_with_the_service() {
    let mut lucid = Lucid::serve();
    let client = crate::support::http().build().unwrap();
    let url = format!("{}/api/v1/events?type=node.registered", lucid.base);
    let token = lucid.token("root", "admin");
    let mut stream = crate::support::block_on(async {
        client.get(url).bearer_auth(token).send().await.unwrap()
    });
    let node = TestNode::register(&lucid, "alice", 1);
    let told = crate::support::block_on(async { stream.chunk().await.unwrap().unwrap() });
    let told = String::from_utf8(told.to_vec()).unwrap();
    assert!(
        told.contains("event: node.registered") && told.contains(&node.id.to_string()),
        "{told}"
    );
    let started = std::time::Instant::now();
    assert_eq!(lucid.process.stop(), Some(0));
    assert!(
        started.elapsed().as_secs() < 8,
        "an open stream kept the service alive for {:?}",
        started.elapsed()
    );
}
