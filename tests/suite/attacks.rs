//! What somebody tries who wants what is not theirs: a key, an address, a challenge, a list.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::Signer as _;
use lucid_model::fleet::statement;
use serde_json::{Value, json};

use crate::support::{
    Lucid, eventually,
    node::{TestNode, key, registration, registration_headers},
    now_ms,
};

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

fn at(port: u16) -> Value {
    json!({ "name": "w", "ip_address": "198.51.100.7", "port": port })
}

#[test]
fn of_two_registrations_of_one_key_at_once_one_wins() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let racing: Vec<_> = (0..12_u16)
            .map(|racer| {
                let (lucid, owner) = (&lucid, &owner);
                scope.spawn(move || {
                    let body = serde_json::to_vec(&registration(&key(1), 9100 + racer)).unwrap();
                    let headers =
                        registration_headers(&key(1), &body, now_ms(), &format!("nonce-{racer}"));
                    lucid.send("POST", "/api/v1/nodes", Some(owner), Some(body), &headers)
                })
            })
            .collect();
        racing.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    let won = outcomes.iter().filter(|(status, _)| *status == 201).count();
    let lost = outcomes
        .iter()
        .filter(|(status, answer)| *status == 409 && code(answer) == "LUCID_ERR_5007")
        .count();
    assert_eq!((won, lost), (1, 11), "{outcomes:?}");
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 1);
}

#[test]
fn a_challenge_is_answered_once_by_the_node_it_was_given_to() {
    let lucid = Lucid::serve();
    let (one, other) =
        (TestNode::register(&lucid, "alice", 1), TestNode::register(&lucid, "bob", 2));
    let challenge = |node: &TestNode| {
        let (status, given) = lucid.call(
            "POST",
            "/api/v1/auth/challenge",
            None,
            Some(&json!({ "node_id": node.id.to_string() })),
        );
        assert_eq!(status, 200, "{given}");
        given["challenge"].as_str().unwrap().to_owned()
    };
    let answer = |node: &TestNode, challenge: &str, signer: &TestNode| {
        let signature =
            STANDARD.encode(signer.key.sign(&statement::challenge(node.id, challenge)).to_bytes());
        let body = json!({ "node_id": node.id.to_string(), "challenge": challenge, "signature": signature });
        lucid.call("POST", "/api/v1/auth/token", None, Some(&body)).0
    };
    let given = challenge(&one);
    assert_eq!((answer(&one, &given, &one), answer(&one, &given, &one)), (200, 401), "once");
    let given = challenge(&one);
    assert_eq!(
        (answer(&one, &given, &other), answer(&one, &given, &one)),
        (401, 200),
        "a wrong answer does not use it up: anybody could spoil a login with one"
    );
    let given = challenge(&one);
    assert_eq!(answer(&other, &given, &other), 401, "another's challenge");
    assert_eq!(answer(&one, "made up", &one), 401);
}

#[test]
fn nobody_squats_on_an_address_against_who_proves_a_key() {
    let lucid = Lucid::serve();
    let (mallory, alice) =
        (lucid.token("mallory", "node_operator"), lucid.token("alice", "node_operator"));
    let (status, squatter) = lucid.call("POST", "/api/v1/nodes", Some(&mallory), Some(&at(9001)));
    assert_eq!(status, 201, "{squatter}");
    assert_eq!(
        lucid.call("POST", "/api/v1/nodes", Some(&alice), Some(&at(9001))).0,
        409,
        "without a key who was first stays"
    );
    let mut owned = registration(&key(1), 9001);
    owned["ip_address"] = json!("198.51.100.7");
    let body = serde_json::to_vec(&owned).unwrap();
    let headers = registration_headers(&key(1), &body, now_ms(), "n");
    let (status, node) = lucid.send("POST", "/api/v1/nodes", Some(&alice), Some(body), &headers);
    assert_eq!(status, 201, "{node}");
    let gone = lucid.call(
        "GET",
        &format!("/api/v1/nodes/{}", squatter["node_id"].as_str().unwrap()),
        Some(&mallory),
        None,
    );
    assert_eq!((gone.0, code(&gone.1)), (404, "LUCID_ERR_5001"));
    assert_eq!(lucid.call("POST", "/api/v1/nodes", Some(&mallory), Some(&at(9001))).0, 409);
}

#[test]
fn what_is_in_a_query_is_a_value_and_nothing_else() {
    let lucid = Lucid::serve();
    let admin = lucid.token("root", "admin");
    assert_eq!(lucid.call("POST", "/api/v1/nodes", Some(&admin), Some(&at(9001))).0, 201);
    let ask =
        |query: &str| lucid.call("GET", &format!("/api/v1/nodes?{query}"), Some(&admin), None);
    for (query, field) in [
        ("status=active'--", "status"),
        ("status=%27%20OR%201=1", "status"),
        ("pool_id=%7B%22$ne%22:null%7D", "pool_id"),
        ("pool_id=..%2F..%2Fetc", "pool_id"),
        ("sort=name;DROP%20TABLE%20nodes", "sort"),
        ("order=desc,(SELECT%201)", "order"),
        ("page=18446744073709551616", "page"),
        ("page=4294967296", "page"),
        ("page=-1", "page"),
        ("limit=1e3", "limit"),
    ] {
        let (status, answer) = ask(query);
        assert_eq!(
            (status, &answer["error"]["details"]["field"]),
            (400, &json!(field)),
            "{query}: {answer}"
        );
    }
    let (status, far) = ask("page=4294967295&limit=100");
    assert_eq!((status, &far["nodes"], &far["pagination"]["total"]), (200, &json!([]), &json!(1)));
    assert_eq!(ask("pool_id[$ne]=x&status[$gt]=").0, 400, "what no route knows is refused");
}

#[test]
fn a_name_is_kept_as_it_was_written() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    for (place, name) in [
        "Größe",
        "节点",
        "e\u{301}",
        "\u{202e}abc",
        "👩‍👩‍👧",
        "'; DROP TABLE nodes; --",
        "<script>alert(1)</script>",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "name": name, "ip_address": "198.51.100.7", "port": 9001 + place });
        let (status, node) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body));
        assert_eq!((status, node["name"].as_str()), (201, Some(name)), "{node}");
        assert_eq!(
            lucid.get(&format!("/api/v1/nodes/{}", node["node_id"].as_str().unwrap()))["name"],
            name
        );
    }
    for name in ["\u{0}", "a\u{0}b", "line\nbreak", "\u{7f}", "   "] {
        let (status, answer) = lucid.call(
            "POST",
            "/api/v1/nodes",
            Some(&owner),
            Some(&json!({ "name": name, "ip_address": "198.51.100.8", "port": 9001 })),
        );
        assert_eq!(
            (status, &answer["error"]["details"]["field"]),
            (400, &json!("name")),
            "{name:?}: {answer}"
        );
    }
}

#[test]
fn a_suspension_ends_by_itself_or_by_an_operator() {
    let mut lucid = Lucid::serve();
    let (owner, admin) = (lucid.token("alice", "node_operator"), lucid.token("root", "admin"));
    let path = |lucid: &Lucid, port: u16| {
        let (_, node) = lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&at(port)));
        let path = format!("/api/v1/nodes/{}", node["node_id"].as_str().unwrap());
        assert_eq!(lucid.call("POST", &format!("{path}/deactivate"), Some(&owner), None).0, 400);
        assert_eq!(
            lucid
                .call(
                    "POST",
                    &format!("{path}/suspend"),
                    Some(&admin),
                    Some(&json!({ "reason": "abuse", "duration_hours": 1 }))
                )
                .0,
            200
        );
        path
    };
    let (timed, lifted) = (path(&lucid, 9001), path(&lucid, 9002));
    assert_eq!(lucid.call("POST", &format!("{lifted}/lift-suspension"), Some(&owner), None).0, 403);
    assert_eq!(
        lucid.call("POST", &format!("{lifted}/lift-suspension"), Some(&admin), None).1["status"],
        "pending"
    );
    assert_eq!(
        code(&lucid.call("POST", &format!("{lifted}/lift-suspension"), Some(&admin), None).1),
        "LUCID_ERR_5003"
    );
    // An hour passes: the record says that it did.
    lucid.process.kill();
    let database = rusqlite::Connection::open(lucid.data().join("core.db")).unwrap();
    let changed = database.execute("UPDATE nodes SET doc = json_set(doc, '$.suspension.until_ms', 1) WHERE status = 'suspended'", []).unwrap();
    assert_eq!(changed, 1);
    drop(database);
    lucid.crash_and_restart();
    let status = |lucid: &Lucid| lucid.get(&timed)["status"].as_str().unwrap().to_owned();
    eventually("the end of the suspension", || (status(&lucid) == "pending").then_some(()));
}
