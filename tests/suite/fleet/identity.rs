//! Who a node is and where its earnings go: enrolment tokens, changes of key and of wallet.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer as _, SigningKey};
use lucid_model::{
    fleet::{node::PublicKey, statement},
    id::NodeId,
};
use serde_json::{Value, json};

use crate::support::{
    Lucid,
    node::{TestNode, WALLET, key, registration, registration_headers},
    now_ms,
};

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

/// Registers with an enrolment token in place of a bearer's.
fn enrol(lucid: &Lucid, token: &str, number: u8) -> (u16, Value) {
    let body = serde_json::to_vec(&registration(&key(number), 9000 + u16::from(number))).unwrap();
    let mut headers =
        registration_headers(&key(number), &body, now_ms(), &uuid::Uuid::now_v7().to_string());
    headers.push(("x-lucid-enrolment-token", token.to_owned()));
    lucid.send("POST", "/api/v1/nodes", None, Some(body), &headers)
}

#[test]
fn an_enrolment_token_registers_as_many_nodes_as_it_says() {
    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("REGISTRATION_APPROVAL", "manual")]);
    let (alice, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let pool = lucid.create_pool("rack");
    let ask = |token: &str, body: Value| {
        lucid.call("POST", "/api/v1/enrolment-tokens", Some(token), Some(&body))
    };
    let (status, made) = ask(&alice, json!({ "name": "rack 7", "uses_max": 2, "pool_id": pool }));
    assert_eq!(status, 201, "{made}");
    let (token, id) = (
        made["token"].as_str().unwrap().to_owned(),
        made["enrolment_id"].as_str().unwrap().to_owned(),
    );
    for number in [1, 2] {
        let (status, node) = enrol(&lucid, &token, number);
        assert_eq!((status, &node["pool_id"]), (201, &json!(pool)), "{node}");
        assert_eq!(node["user_id"], made["owner_id"], "the node is the token's owner's");
    }
    let (status, refused) = enrol(&lucid, &token, 3);
    assert_eq!((status, code(&refused)), (401, "LUCID_ERR_4010"), "{refused}");
    let (_, known) =
        lucid.call("GET", &format!("/api/v1/enrolment-tokens/{id}"), Some(&alice), None);
    assert_eq!(
        (&known["uses"], &known["usable"], known.get("token")),
        (&json!(2), &json!(false), None),
        "{known}"
    );
    assert_eq!(lucid.call("GET", "/api/v1/nodes", None, None).0, 401);
    let headers = [("x-lucid-enrolment-token", token.clone())];
    assert_eq!(
        lucid.send("GET", "/api/v1/nodes", None, None, &headers).0,
        401,
        "it registers, nothing else"
    );

    assert_eq!(
        ask(&alice, json!({ "name": "x", "scope": "approve" })).0,
        403,
        "approval is an operator's to give"
    );
    assert_eq!(
        ask(&alice, json!({ "name": "x", "owner_id": uuid::Uuid::nil().to_string() })).0,
        403
    );
    assert_eq!(
        ask(&alice, json!({ "name": "x", "pool_id": uuid::Uuid::now_v7().to_string() })).0,
        404
    );
    let owner = made["owner_id"].as_str().unwrap();
    let (status, approved) = ask(
        &admin,
        json!({ "name": "approved", "scope": "approve", "owner_id": owner, "uses_max": 5 }),
    );
    assert_eq!(status, 201, "{approved}");
    let token = approved["token"].as_str().unwrap();
    let (status, node) = enrol(&lucid, token, 4);
    assert_eq!((status, node["status"].as_str()), (201, Some("pending")), "{node}");
    let mut works = TestNode::take_over(&node, 4);
    works.prove(&lucid);
    works.work(&lucid);
    assert_eq!(
        lucid.get(&format!("/api/v1/nodes/{}", works.id))["status"],
        "active",
        "approved beforehand"
    );

    let path = format!("/api/v1/enrolment-tokens/{}", approved["enrolment_id"].as_str().unwrap());
    assert_eq!(
        lucid.call("DELETE", &path, Some(&lucid.token("mallory", "node_operator")), None).0,
        403
    );
    for _ in 0..2 {
        assert_eq!(lucid.call("DELETE", &path, Some(&alice), None).0, 204);
    }
    assert_eq!(enrol(&lucid, token, 5).0, 401, "it was taken back");
    assert_eq!(enrol(&lucid, "lucid_enrol_made_up", 5).0, 401);
    let without_key =
        json!({ "name": "w", "ip_address": "192.0.2.9", "port": 9009 }).to_string().into_bytes();
    let (_, fresh) = ask(&alice, json!({ "name": "fresh" }));
    let headers = [("x-lucid-enrolment-token", fresh["token"].as_str().unwrap().to_owned())];
    let (status, refused) = lucid.send("POST", "/api/v1/nodes", None, Some(without_key), &headers);
    assert_eq!(
        (status, &refused["error"]["details"]["field"]),
        (400, &json!("public_key")),
        "{refused}"
    );
    let (_, list) =
        lucid.call("GET", "/api/v1/enrolment-tokens?limit=2&order=asc", Some(&alice), None);
    assert_eq!(
        (&list["pagination"]["total"], &list["enrolment_tokens"][0]["name"]),
        (&json!(3), &json!("rack 7")),
        "{list}"
    );
}

fn rotation(
    node: NodeId,
    old: &SigningKey,
    next: &SigningKey,
    signer: &SigningKey,
    nonce: &str,
) -> (Vec<u8>, Vec<(&'static str, String)>) {
    let now = now_ms();
    let signed =
        statement::key_rotation(node, PublicKey(next.verifying_key().to_bytes()), now, nonce);
    let sign = |key: &SigningKey| STANDARD.encode(key.sign(&signed).to_bytes());
    let body = json!({ "public_key": STANDARD.encode(next.verifying_key().to_bytes()), "signature": sign(signer) });
    let headers = vec![
        ("x-lucid-timestamp", now.to_string()),
        ("x-lucid-nonce", nonce.to_owned()),
        ("x-lucid-signature", sign(old)),
    ];
    (body.to_string().into_bytes(), headers)
}

#[test]
fn a_key_is_changed_by_both_keys_and_ends_what_the_old_one_could_do() {
    let lucid = Lucid::serve();
    let mut node = TestNode::register(&lucid, "alice", 1);
    let other = TestNode::register(&lucid, "alice", 2);
    node.work(&lucid);
    let (old, next) = (key(1), key(7));
    let path = format!("/api/v1/nodes/{}/keys/rotate", node.id);
    let send = |token: &str, (body, headers): (Vec<u8>, Vec<(&'static str, String)>)| {
        lucid.send("POST", &path, Some(token), Some(body), &headers)
    };
    let owner = lucid.token("alice", "node_operator");
    let (status, answer) = send(&owner, rotation(node.id, &next, &next, &next, "a"));
    assert_eq!(
        (status, code(&answer)),
        (401, "LUCID_ERR_4010"),
        "not signed by the present key: {answer}"
    );
    let (status, answer) = send(&owner, rotation(node.id, &old, &next, &old, "b"));
    assert_eq!(
        (status, code(&answer)),
        (401, "LUCID_ERR_4010"),
        "nobody has the next key: {answer}"
    );
    let (status, answer) = send(&owner, rotation(node.id, &old, &key(2), &key(2), "c"));
    assert_eq!((status, code(&answer)), (409, "LUCID_ERR_5007"), "another node's key: {answer}");
    assert_eq!(
        send(&lucid.token("mallory", "node_operator"), rotation(node.id, &old, &next, &next, "d"))
            .0,
        403
    );
    assert_eq!(send(&other.token, rotation(node.id, &old, &next, &next, "d")).0, 403);
    let good = rotation(node.id, &old, &next, &next, "e");
    let (status, answer) = send(&node.token, good.clone());
    assert_eq!(
        (status, answer["public_key"].as_str().unwrap()),
        (200, STANDARD.encode(next.verifying_key().to_bytes()).as_str()),
        "{answer}"
    );
    let (status, answer) = send(&owner, good);
    assert_eq!((status, code(&answer)), (401, "LUCID_ERR_4010"), "it serves once: {answer}");
    let (status, answer) = node.report(&lucid, "heartbeat", &json!({}));
    assert_eq!(
        (status, code(&answer)),
        (401, "LUCID_ERR_4010"),
        "a token of the old key ends with it: {answer}"
    );
    node.key = next;
    node.prove(&lucid);
    node.work(&lucid);
}

fn wallet_signature(node: &TestNode, address: &str, replaces: u32) -> Vec<(&'static str, String)> {
    let signed = statement::wallet(node.id, &address.parse().unwrap(), replaces);
    vec![("x-lucid-signature", STANDARD.encode(node.key.sign(&signed).to_bytes()))]
}

#[test]
fn a_wallet_is_changed_by_the_nodes_key_or_with_a_treasurer() {
    let lucid = Lucid::serve();
    let node = TestNode::register(&lucid, "alice", 1);
    let other = lucid_model::money::tron::TronAddress::from_payload([7; 20]).unwrap().to_string();
    let path = format!("/api/v1/nodes/{}/wallet", node.id);
    let (alice, treasurer) =
        (lucid.token("alice", "node_operator"), lucid.token("tess", "treasurer"));
    let body = |address: &str| Some(json!({ "wallet_address": address }).to_string().into_bytes());
    let put = |token: &str, address: &str, headers: &[(&'static str, String)]| {
        lucid.send("PUT", &path, Some(token), body(address), headers)
    };
    let approve = |token: &str, address: &str| {
        lucid.send("POST", &format!("{path}/approve"), Some(token), body(address), &[])
    };
    assert_eq!(
        put(&node.token, &other, &wallet_signature(&node, &other, 1)).0,
        403,
        "never by the node's own token"
    );
    assert_eq!(put(&lucid.token("root", "admin"), &other, &[]).0, 403);
    assert_eq!(put(&alice, "TNotAnAddress", &[]).0, 400);
    for burn in [
        "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb",
        "TLsV52sRDL79HXGGm9yzwKibb6BeruhUzy",
        &format!("41{}", "00".repeat(20)),
    ] {
        let (status, refused) = put(&alice, burn, &[]);
        assert!(status == 400 && refused.to_string().contains("nobody has its key"), "{refused}");
    }
    assert_eq!(
        put(&alice, &other, &wallet_signature(&node, &other, 0)).0,
        401,
        "signed for another version"
    );
    let (status, waiting) = put(&alice, &format!("41{}", "07".repeat(20)), &[]);
    assert_eq!(
        (status, &waiting["wallet_address"], &waiting["wallet_requested"]),
        (202, &json!(WALLET), &json!(other)),
        "{waiting}"
    );
    assert_eq!(approve(&alice, &other).0, 403);
    assert_eq!(approve(&treasurer, WALLET).0, 409, "what is approved is named");
    assert_eq!(
        approve(&lucid.token("alice", "super_admin"), &other).0,
        403,
        "who asked cannot approve"
    );
    let alerts = lucid.get(&format!("/api/v1/nodes/{}/alerts", node.id));
    assert!(
        alerts["active_alerts"].as_array().unwrap().iter().any(|a| a["about"] == "wallet_waits"),
        "{alerts}"
    );
    let (status, set) = approve(&treasurer, &other);
    assert_eq!(
        (status, &set["wallet_address"], &set["wallet_version"], set.get("wallet_requested")),
        (200, &json!(other), &json!(2), None),
        "{set}"
    );
    assert_eq!(
        (&waiting["payable"], waiting.get("payout_hold")),
        (&json!(true), None),
        "the first wallet is paid"
    );
    assert_eq!(
        (&set["payable"], &set["payout_hold"]),
        (&json!(false), &json!("wallet_cooling_down")),
        "in cool-down neither wallet is paid"
    );
    assert_eq!(
        lucid.get(&format!("/api/v1/nodes/{}", node.id))["payout_hold"],
        "wallet_cooling_down"
    );
    let (status, back) = put(&alice, WALLET, &wallet_signature(&node, WALLET, 2));
    assert_eq!(
        (status, &back["wallet_address"], &back["wallet_version"]),
        (200, &json!(WALLET), &json!(3)),
        "{back}"
    );
    assert_eq!(
        put(&alice, &other, &wallet_signature(&node, &other, 2)).0,
        401,
        "an old signature serves once"
    );
}

#[test]
fn older_clients_find_their_node_by_the_name_they_gave_it() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let ask = |method: &str, path: &str, body: Option<Value>| {
        lucid.call(method, &format!("/api/v1/nodes{path}"), Some(&owner), body.as_ref())
    };
    let (status, node) = ask("POST", "/register", Some(json!({ "node_id": "worker-7.example" })));
    assert_eq!(
        (status, node["status"].as_str(), node.get("ip_address")),
        (201, Some("pending"), None),
        "{node}"
    );
    assert_eq!(ask("POST", "/register", Some(json!({ "node_id": "worker-7.example" }))).0, 409);
    assert_eq!(ask("GET", "/worker-7.example", None).1["node_id"], node["node_id"]);
    let id = node["node_id"].as_str().unwrap();
    let (_, started) = ask("POST", "/worker-7.example/start", None);
    assert_eq!(
        (&started["node_id"], &started["status"], started["started_at"].is_string()),
        (&json!(id), &json!("active"), true),
        "{started}"
    );
    assert_eq!(ask("GET", "/worker-7.example/status", None).1["status"], "active");
    assert_eq!(ask("GET", "/available", None).1["pagination"]["total"], 1);
    let (_, reported) = ask("POST", "/worker-7.example/heartbeat", Some(json!({})));
    assert!(reported["status"] == "active" && reported["last_heartbeat"].is_string(), "{reported}");
    let sample = json!({ "metrics": { "cpu_usage": 91.5, "memory_usage": 40, "disk_usage": 10,
        "network_usage": { "bytes_sent": 7, "bytes_received": 5, "packets_sent": 1, "packets_received": 1 } } });
    assert_eq!(ask("POST", "/worker-7.example/metrics", Some(sample.clone())).0, 200);
    let (_, usage) = ask("GET", "/worker-7.example/usage", None);
    assert_eq!(
        (&usage["cpu_percent"], &usage["network_in"], &usage["network_out"]),
        (&json!(91.5), &json!(5), &json!(7)),
        "{usage}"
    );
    assert_eq!(
        ask("GET", "/worker-7.example/usage/history?time_range=1h", None).1["usage_history"],
        json!([usage])
    );
    // One sample over the limit is no alert; three in a row are.
    for _ in 0..2 {
        assert_eq!(ask("POST", "/worker-7.example/metrics", Some(sample.clone())).0, 200);
    }
    let (_, alerts) = ask("GET", "/worker-7.example/alerts", None);
    let about: Vec<_> = alerts["active_alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["about"].as_str().unwrap())
        .collect();
    assert_eq!(about, ["no_wallet", "cpu"], "{alerts}");
    assert_eq!(code(&ask("GET", "/worker-7.example/pool", None).1), "LUCID_ERR_5002");
    let pool = lucid.create_pool("first");
    assert_eq!(ask("PUT", "/worker-7.example/pool", Some(json!({ "pool_id": pool }))).0, 200);
    assert_eq!(ask("GET", "/worker-7.example/pool", None).1["pool_id"], json!(pool));
    assert_eq!(ask("DELETE", "/worker-7.example/pool", None).1.get("pool_id"), None);
    assert_eq!(code(&ask("GET", "/worker-7.example/poot", None).1), "LUCID_ERR_4040");
    assert_eq!(
        ask("GET", "/worker-7.example/payouts", None).1,
        json!([]),
        "a list, as its only client reads it"
    );
    let (_, stopped) = ask("POST", "/worker-7.example/stop", None);
    assert!(stopped["status"] == "inactive" && stopped["stopped_at"].is_string(), "{stopped}");
    for name in [
        "worker-8.example",
        "..%2F..%2Fetc%2Fpasswd",
        "%00",
        "a'%20OR%20'1'='1",
        "%7B%22$ne%22:null%7D",
    ] {
        let (status, answer) = ask("GET", &format!("/{name}"), None);
        assert_eq!((status, code(&answer)), (404, "LUCID_ERR_5001"), "{name}: {answer}");
    }
}
