//! Requests that are sent again, and requests about what was read before: `Idempotency-Key`,
//! `If-Match`, caps.

use serde_json::{Value, json};

use crate::support::Lucid;

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

fn node(port: u16) -> Value {
    json!({ "name": format!("node {port}"), "ip_address": "198.51.100.7", "port": port })
}

fn keyed(lucid: &Lucid, token: &str, path: &str, key: &str, body: &Value) -> (u16, Value) {
    lucid.send(
        "POST",
        path,
        Some(token),
        Some(body.to_string().into_bytes()),
        &[("idempotency-key", key.to_owned())],
    )
}

#[test]
fn a_request_with_a_key_is_carried_out_once_even_across_a_crash() {
    let mut lucid = Lucid::serve();
    let (alice, bob) = (lucid.token("alice", "node_operator"), lucid.token("bob", "node_operator"));
    let first = keyed(&lucid, &alice, "/api/v1/nodes", "k-1", &node(9001));
    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(keyed(&lucid, &alice, "/api/v1/nodes", "k-1", &node(9001)), first);
    lucid.crash_and_restart();
    assert_eq!(
        keyed(&lucid, &alice, "/api/v1/nodes", "k-1", &node(9001)),
        first,
        "the answer outlives a crash"
    );
    let (status, other) = keyed(&lucid, &alice, "/api/v1/nodes", "k-1", &node(9002));
    assert_eq!((status, code(&other)), (422, "LUCID_ERR_4220"), "{other}");
    assert_eq!(
        keyed(&lucid, &alice, "/api/v1/pools", "k-1", &node(9001)).0,
        403,
        "what a role may not is refused before"
    );
    assert_eq!(
        keyed(&lucid, &bob, "/api/v1/nodes", "k-1", &node(9003)).0,
        201,
        "a key is its caller's own"
    );
    let (status, refused) = keyed(&lucid, &alice, "/api/v1/nodes", "k-2", &json!({ "name": "w" }));
    assert_eq!(
        (status, &refused["error"]["details"]["field"]),
        (400, &json!("ip_address")),
        "{refused}"
    );
    let (status, again) = keyed(&lucid, &alice, "/api/v1/nodes", "k-2", &json!({ "name": "w" }));
    assert_eq!(
        (status, &again["error"]["details"], &again["error"]["message"]),
        (400, &refused["error"]["details"], &refused["error"]["message"])
    );
    let path = format!("/api/v1/nodes/{}/activate", first.1["node_id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(
            keyed(&lucid, &alice, &path, "k-3", &json!({})).0,
            200,
            "once more would be a wrong state"
        );
    }
    for bad in ["", " ", "ä", &"x".repeat(256)] {
        let headers = [(
            "idempotency-key",
            reqwest::header::HeaderValue::from_bytes(bad.as_bytes()).unwrap(),
        )];
        let headers = headers
            .map(|(name, value)| (name, String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let (status, answer) = lucid.send(
            "POST",
            "/api/v1/nodes",
            Some(&alice),
            Some(node(9009).to_string().into_bytes()),
            &headers,
        );
        assert_eq!(
            (status, &answer["error"]["details"]["field"]),
            (400, &json!("idempotency-key")),
            "{bad:?}: {answer}"
        );
    }
    assert_eq!(lucid.call("GET", "/api/v1/nodes", Some(&alice), None).1["pagination"]["total"], 1);
}

#[test]
fn an_enrolment_token_is_shown_once() {
    let lucid = Lucid::serve();
    let alice = lucid.token("alice", "node_operator");
    let (_, first) =
        keyed(&lucid, &alice, "/api/v1/enrolment-tokens", "k", &json!({ "name": "rack" }));
    let (status, again) =
        keyed(&lucid, &alice, "/api/v1/enrolment-tokens", "k", &json!({ "name": "rack" }));
    assert!(first["token"].is_string() && again.get("token").is_none(), "{first} {again}");
    assert_eq!((status, &again["enrolment_id"]), (201, &first["enrolment_id"]));
}

#[test]
fn one_of_many_at_once_is_carried_out() {
    let lucid =
        Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "0")]);
    let alice = lucid.token("alice", "node_operator");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| keyed(&lucid, &alice, "/api/v1/nodes", "same", &node(9001))))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (status, answer) in &answers {
        let fine = *status == 201 || (*status == 409 && code(answer) == "LUCID_ERR_4090");
        assert!(fine, "{status} {answer}");
    }
    let made: std::collections::BTreeSet<_> =
        answers.iter().filter(|(s, _)| *s == 201).map(|(_, n)| n["node_id"].to_string()).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert_eq!(lucid.call("GET", "/api/v1/nodes", Some(&alice), None).1["pagination"]["total"], 1);
}

#[test]
fn a_change_is_made_to_what_was_read() {
    let lucid = Lucid::serve();
    let (alice, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let (_, made) = lucid.call("POST", "/api/v1/nodes", Some(&alice), Some(&node(9001)));
    let pool = lucid.create_pool("first");
    for (path, token) in [
        (format!("/api/v1/nodes/{}", made["node_id"].as_str().unwrap()), &alice),
        (format!("/api/v1/pools/{pool}"), &admin),
    ] {
        let put = |name: &str, tag: &str| {
            lucid.send(
                "PUT",
                &path,
                Some(token),
                Some(json!({ "name": name }).to_string().into_bytes()),
                &[("if-match", tag.to_owned())],
            )
        };
        let get = |known: Option<&String>| {
            let known: Vec<_> =
                known.into_iter().map(|tag| ("if-none-match", tag.clone())).collect();
            lucid.answer("GET", &path, Some(token), None, &known)
        };
        let (status, headers, _) = get(None);
        let tag = headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(status, 200);
        assert_eq!(get(Some(&tag)).0, 304);
        assert_eq!(put("one", &tag).0, 200, "{path}");
        let (status, answer) = put("two", &tag);
        assert_eq!((status, code(&answer)), (412, "LUCID_ERR_4120"), "{path}: {answer}");
        assert_eq!(put("two", "\"999\", W/\"2-x\"").0, 412);
        assert_eq!(put("two", "*").0, 200);
        let (_, headers, body) = get(Some(&tag));
        assert_eq!(body["name"], "two");
        assert_eq!(put("three", headers["etag"].to_str().unwrap()).0, 200);
    }
    let (status, answer) = lucid.call(
        "PUT",
        &format!("/api/v1/pools/{pool}"),
        Some(&admin),
        Some(&json!({ "max_nodes": 0 })),
    );
    assert_eq!((status, &answer["error"]["details"]["field"]), (400, &json!("max_nodes")));
    lucid.create_pool("second");
    let (status, answer) = lucid.call(
        "PUT",
        &format!("/api/v1/pools/{pool}"),
        Some(&admin),
        Some(&json!({ "name": "second" })),
    );
    assert_eq!((status, code(&answer)), (409, "LUCID_ERR_5008"), "{answer}");
}

#[test]
fn caps_count_owners_addresses_networks_and_wallets() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "6"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "2"),
        ("LUCID_AUTH_NODES_PER_IPV4_24_MAX", "3"),
        ("LUCID_AUTH_NODES_PER_IPV6_64_MAX", "1"),
        ("LUCID_AUTH_NODES_PER_WALLET_MAX", "1"),
    ]);
    let wallet = crate::support::node::WALLET;
    let register = |owner: &str, ip: &str, port: u16, wallet: Option<&str>| {
        let body = json!({ "name": "w", "ip_address": ip, "port": port, "wallet_address": wallet });
        let (status, answer) = lucid.call(
            "POST",
            "/api/v1/nodes",
            Some(&lucid.token(owner, "node_operator")),
            Some(&body),
        );
        (
            status,
            code(&answer).to_owned(),
            answer["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .split(':')
                .next()
                .unwrap()
                .to_owned(),
        )
    };
    let done = (201, String::new(), String::new());
    let over = |what: &str| (429, "LUCID_ERR_4291".to_owned(), what.to_owned());
    assert_eq!(register("a", "192.0.2.1", 9001, Some(wallet)), done);
    assert_eq!(register("b", "192.0.2.9", 9001, Some(wallet)), over("nodes with one wallet"));
    assert_eq!(register("a", "192.0.2.1", 9002, None), done);
    assert_eq!(register("b", "192.0.2.1", 9003, None), over("nodes at one IPv4 address"));
    assert_eq!(register("b", "192.0.2.2", 9001, None), done);
    assert_eq!(register("b", "192.0.2.3", 9001, None), over("nodes in one IPv4 /24"));
    assert_eq!(register("a", "2001:db8::1", 9001, None), done);
    assert_eq!(register("b", "2001:db8::ffff:1", 9001, None), over("nodes in one IPv6 /64"));
    for net in 1..=3 {
        assert_eq!(register("a", &format!("203.0.{net}.1"), 9001, None), done);
    }
    assert_eq!(register("a", "203.0.9.1", 9001, None), over("nodes of one owner"));
}

#[test]
fn a_pools_nodes_go_where_its_load_balancing_says() {
    let lucid = Lucid::serve_with(&[
        ("RAIL", "sandbox"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "0"),
    ]);
    let (alice, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let pool = |name: &str, balancing: &str, max: u32, auto: bool| {
        let body = json!({ "name": name, "max_nodes": max, "configuration": { "load_balancing": balancing, "auto_assignment": auto } });
        let (status, pool) = lucid.call("POST", "/api/v1/pools", Some(&admin), Some(&body));
        assert_eq!(status, 201, "{pool}");
        pool["pool_id"].as_str().unwrap().to_owned()
    };
    let leaving = pool("leaving", "weighted", 10, true);
    for port in 9001..9008 {
        assert_eq!(
            lucid.call("POST", "/api/v1/nodes", Some(&alice), Some(&node(port))).1["pool_id"],
            json!(leaving),
            "the only pool"
        );
    }
    let (small, large) =
        (pool("small", "round_robin", 2, true), pool("large", "round_robin", 4, true));
    let closed = pool("closed", "round_robin", 100, false);
    assert_eq!(
        lucid.call("DELETE", &format!("/api/v1/pools/{leaving}"), Some(&admin), None).0,
        204
    );
    let count =
        |id: &str| lucid.get(&format!("/api/v1/pools/{id}"))["node_count"].as_u64().unwrap();
    assert_eq!((count(&small), count(&large), count(&closed)), (2, 4, 0));
    let unassigned = lucid.get("/api/v1/nodes?limit=100")["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|n| n.get("pool_id").is_none())
        .count();
    assert_eq!(unassigned, 1, "what has no room is in no pool");
}
