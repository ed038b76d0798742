//! The audit log: complete, readable, verifiable beside the running service, and after it was
//! killed.

pub(crate) mod repeats;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::support::{Lucid, Process, eventually, mongo::MongoServer, node::TestNode, now_ms};

/// The whole log, in the order of its chain. Pages are by time, so that an entry that comes in
/// between can move another one from page to page: then it is read again.
fn entries(lucid: &Lucid) -> Vec<Value> {
    eventually("a log that stands still while it is read", || {
        let (mut all, mut page) = (Vec::new(), 1);
        loop {
            let list = lucid.get(&format!("/api/v1/audit?limit=100&order=asc&page={page}"));
            all.extend(list["entries"].as_array().unwrap().iter().cloned());
            if page >= list["pagination"]["pages"].as_u64().unwrap() {
                all.sort_by_key(|entry| entry["place"].as_u64().unwrap());
                all.dedup();
                return (list["pagination"]["total"] == all.len()).then_some(all);
            }
            page += 1;
        }
    })
}

/// Nothing changed between two entries about a record: each begins with what the one before left.
/// Each writer's chain is without a gap; several of them (every process over MongoDB has its own)
/// are put in order by time.
pub fn check_entries_fit_together(lucid: &Lucid, kinds: &[&str]) {
    let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut seen = Vec::new();
    let mut places: BTreeMap<String, u64> = BTreeMap::new();
    let mut entries = entries(lucid);
    for entry in &entries {
        let place = places.entry(entry["writer"].to_string()).or_default();
        *place += 1;
        assert_eq!(entry["place"].as_u64(), Some(*place), "{entry}");
    }
    if places.len() > 1 {
        entries.sort_by_key(|entry| (entry["at"].to_string(), entry["place"].as_u64()));
    }
    for entry in entries {
        let kind = entry["action"].as_str().unwrap().split('.').next().unwrap().to_owned();
        if !["node", "pool", "run", "payout"].contains(&kind.as_str()) {
            continue;
        }
        let digest = |name: &str| entry[name].as_str().map(str::to_owned);
        let before =
            last.insert(entry["subject"].as_str().unwrap().to_owned(), digest("after")).flatten();
        assert_eq!(digest("before"), before, "{entry}");
        assert!(digest("before").is_some() || digest("after").is_some(), "{entry}");
        seen.push(kind);
    }
    assert!(kinds.iter().all(|kind| seen.iter().any(|seen| seen == kind)), "{kinds:?}: {seen:?}");
}

/// Runs `lucid audit verify`: exit code and what it said.
pub fn verify(lucid: &Lucid, more: &[&str]) -> (Option<i32>, Value) {
    let data = lucid.data();
    let args =
        [&["audit", "verify", "--data", data.to_str().unwrap(), "--output", "json"], more].concat();
    let (code, text) = Process::start(&args, &[], false).output();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The same of the store that a service was told of.
pub fn verify_store(lucid: &Lucid, more: &[&str]) -> (Option<i32>, Value) {
    let (data, store) = (lucid.data(), lucid.setting("MONGODB_URI"));
    let args =
        [&["audit", "verify", "--data", data.to_str().unwrap(), "--output", "json"], more].concat();
    let (code, text) = Process::start(&args, &[("MONGODB_URI", &store)], false).output();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn plain_node(port: u16) -> Value {
    json!({ "name": "n", "ip_address": "198.51.100.7", "port": port })
}

#[test]
fn every_change_leaves_an_entry_that_fits_the_one_before() {
    let lucid = Lucid::serve();
    let (admin, owner, treasurer) = (
        lucid.token("root", "admin"),
        lucid.token("alice", "node_operator"),
        lucid.token("tina", "super_admin"),
    );
    let (pool, other) = (lucid.create_pool("east"), lucid.create_pool("west"));
    let node = TestNode::register(&lucid, "alice", 1);
    let path = format!("/api/v1/nodes/{}", node.id);
    let call = |method: &str, path: &str, token: &str, body: Value| {
        let (status, answer) = lucid.call(method, path, Some(token), Some(&body));
        assert!(status < 300, "{method} {path}: {answer}");
    };
    call("PUT", &path, &owner, json!({ "name": "renamed" }));
    call("POST", &format!("{path}/activate"), &owner, json!({}));
    call("POST", &format!("{path}/deactivate"), &owner, json!({}));
    call("POST", &format!("{path}/suspend"), &admin, json!({ "reason": "abuse" }));
    call("PUT", &format!("{path}/pool"), &admin, json!({ "pool_id": other }));
    call("PUT", &format!("/api/v1/pools/{pool}"), &admin, json!({ "max_nodes": 7 }));
    call("DELETE", &format!("/api/v1/pools/{other}"), &admin, json!({}));
    call(
        "POST",
        "/api/v1/payouts/treasury",
        &treasurer,
        json!({ "reference": "d-1", "amount_usdt": "5" }),
    );
    call(
        "POST",
        "/api/v1/payouts/treasury",
        &treasurer,
        json!({ "reference": "d-1", "amount_usdt": "5" }),
    );
    call("DELETE", &path, &owner, json!({}));
    // A pending node without a key gives way to one that proves a key.
    let (_, squatter) = lucid.call(
        "POST",
        "/api/v1/nodes",
        Some(&lucid.token("mallory", "node_operator")),
        Some(&json!({ "name": "s", "ip_address": "192.0.2.7", "port": 9002 })),
    );
    TestNode::register(&lucid, "alice", 2);
    check_entries_fit_together(&lucid, &["node", "pool"]);

    let actions = |subject: &str| {
        let mut list = lucid.get(&format!("/api/v1/audit?limit=100&subject={subject}"))["entries"]
            .as_array()
            .unwrap()
            .clone();
        list.sort_by_key(|entry| entry["place"].as_u64());
        list.iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_node = [
        "register",
        "assign",
        "update",
        "activate",
        "deactivate",
        "suspend",
        "assign",
        "assign",
        "assign",
        "deregister",
    ];
    assert_eq!(actions(&node.id.to_string()), of_node.map(|action| format!("node.{action}")));
    assert_eq!(actions(&pool), ["pool.create", "pool.update"]);
    assert_eq!(actions(&other), ["pool.create", "pool.delete"]);
    assert_eq!(actions("d-1"), ["treasury.deposit"], "recorded once");
    assert_eq!(actions(squatter["node_id"].as_str().unwrap()).last().unwrap(), "node.deregister");
    let all = entries(&lucid);
    let suspended = all.iter().find(|entry| entry["action"] == "node.suspend").unwrap();
    assert_eq!(
        (suspended["actor"].as_str(), suspended["detail"].as_str()),
        (Some("root"), Some("abuse"))
    );
    assert_eq!(suspended["request_id"].as_str().unwrap().len(), 36);
    let deposit = all.iter().find(|entry| entry["action"] == "treasury.deposit").unwrap();
    assert!(deposit["before"].is_null() && deposit["after"].is_string(), "{deposit}");
    for action in ["policy.upload", "policy.activate"] {
        let entry = all.iter().find(|entry| entry["action"] == action).unwrap();
        assert!(entry["after"].is_string(), "{entry}");
    }
    let removed = all.iter().find(|entry| entry["action"] == "pool.delete").unwrap();
    assert!(removed["before"].is_string() && removed["after"].is_null(), "{removed}");
}

#[test]
fn the_log_is_filtered_paged_and_shown_to_those_who_see_everything() {
    let lucid = Lucid::serve();
    let owner = lucid.token("alice", "node_operator");
    for port in 9001..9004 {
        assert_eq!(
            lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&plain_node(port))).0,
            201
        );
    }
    for path in ["/api/v1/audit", "/api/v1/audit/heads"] {
        assert_eq!(lucid.call("GET", path, None, None).0, 401);
        for role in ["user", "node_operator", "policy-author", "observer"] {
            let (status, body) = lucid.call("GET", path, Some(&lucid.token("alice", role)), None);
            assert_eq!(
                (status, body["error"]["code"].as_str()),
                (403, Some("LUCID_ERR_4030")),
                "{role}"
            );
        }
        for role in ["admin", "operator", "treasurer", "viewer"] {
            assert_eq!(
                lucid.call("GET", path, Some(&lucid.token("eve", role)), None).0,
                200,
                "{role}"
            );
        }
    }
    let list = |query: &str| lucid.get(&format!("/api/v1/audit{query}"));
    let registered = list("?actor=alice&action=node.register&limit=2");
    assert_eq!(registered["pagination"], json!({ "page": 1, "limit": 2, "total": 3, "pages": 2 }));
    let times: Vec<_> = registered["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["at"].as_str().unwrap().to_owned())
        .collect();
    assert!(times[0] >= times[1], "newest first: {times:?}");
    let at = |ms: i64| lucid_model::time::TimeMs(ms).to_string();
    assert_eq!(
        list(&format!("?actor=alice&to={}", at(now_ms() - 3_600_000)))["pagination"]["total"],
        0
    );
    assert_eq!(
        list(&format!(
            "?actor=alice&from={}&to={}",
            at(now_ms() - 3_600_000),
            at(now_ms() + 60_000)
        ))["pagination"]["total"],
        3
    );
    let admin = lucid.token("root", "admin");
    for (query, field) in [
        ("?from=yesterday", "from"),
        ("?to=1", "to"),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("?sort=actor", "sort"),
        ("?limit=101", "limit"),
        ("?actor=", "actor"),
    ] {
        let (status, body) =
            lucid.call("GET", &format!("/api/v1/audit{query}"), Some(&admin), None);
        assert_eq!(
            (status, body["error"]["details"]["field"].as_str()),
            (400, Some(field)),
            "{query}: {body}"
        );
    }
    let heads = list("/heads");
    assert_eq!(heads["heads"][0]["entries"], list("")["pagination"]["total"], "{heads}");
    assert_eq!(heads["public_key"].as_str().unwrap().len(), 64);
}

#[test]
fn the_command_line_lists_what_the_api_shows() {
    let lucid = Lucid::serve();
    lucid.create_pool("east");
    let token = lucid.data().join("token");
    std::fs::write(&token, lucid.token("eve", "viewer") + "\n").unwrap();
    let list = |more: &[&str]| {
        let args = [
            &["audit", "list", "--server", &lucid.base, "--token-file", token.to_str().unwrap()],
            more,
        ]
        .concat();
        Process::start(&args, &[], false).output()
    };
    let (code, text) = list(&["--action", "pool.create", "--output", "json"]);
    let shown: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (code, &shown),
        (Some(0), &lucid.get("/api/v1/audit?action=pool.create")["entries"][0])
    );
    let (code, text) = list(&["--actor", "admin"]);
    assert!(
        code == Some(0)
            && text.contains("pool.create")
            && text.contains("page 1 of 1, 1 entries in all"),
        "{text}"
    );
    assert_eq!(list(&["--from", "yesterday"]).0, Some(1));
    assert_eq!(list(&["--limit", "101"]).0, Some(2));
}

#[test]
fn the_log_is_verified_beside_the_service_and_what_was_changed_is_named() {
    let mut lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_AUDIT_SEAL_INTERVAL_S", "1")]);
    lucid.create_pool("east");
    let sealed = eventually("a seal of everything", || {
        let heads = lucid.get("/api/v1/audit/heads");
        (heads["last_seal"]["heads"] == heads["heads"]).then_some(heads)
    });
    let (code, found) = verify(&lucid, &[]);
    assert_eq!(
        (code, &found["intact"], &found["entries"]),
        (Some(0), &json!(true), &sealed["heads"][0]["entries"]),
        "{found}"
    );
    assert_eq!(
        (&found["keys"][0]["public_key"], &found["keys"][0]["trusted"]),
        (&sealed["public_key"], &json!(true))
    );
    assert_eq!(
        verify(&lucid, &["--public-key", sealed["public_key"].as_str().unwrap()]).0,
        Some(0)
    );
    let (code, found) = verify(&lucid, &["--public-key", &"11".repeat(32)]);
    assert!(
        code == Some(1) && found["flaw"].as_str().unwrap().starts_with("seal 1 is signed by key"),
        "{found}"
    );
    assert_eq!(verify(&lucid, &["--public-key", "zz"]).0, Some(2));
    // A seal that was kept is found again, and missed where it never was.
    let kept = lucid.data().join("heads.json");
    std::fs::write(&kept, sealed.to_string()).unwrap();
    let kept = kept.to_str().unwrap();
    assert_eq!(verify(&lucid, &["--seal", kept]).0, Some(0));
    let other = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_AUDIT_SEAL_INTERVAL_S", "1")]);
    eventually("a seal of the other", || {
        other.get("/api/v1/audit/heads")["last_seal"].is_object().then_some(())
    });
    let (code, found) = verify(&other, &["--seal", kept]);
    assert!(code == Some(1) && found["flaw"].as_str().unwrap().starts_with("seal "), "{found}");
    assert_eq!(verify(&lucid, &["--seal", "/nowhere"]).0, Some(2));
    assert_eq!(
        Process::start(&["audit", "verify", "--data", "/nowhere"], &[], false).output().0,
        Some(2)
    );

    lucid.create_pool("west");
    assert_eq!(lucid.process.stop(), Some(0));
    let (code, found) = verify(&lucid, &[]);
    assert_eq!(
        (code, &found["entries_unsealed"]),
        (Some(0), &json!(0)),
        "sealed at shutdown: {found}"
    );

    let core = rusqlite::Connection::open(lucid.data().join("core.db")).unwrap();
    let place: i64 = core
        .query_row(
            "SELECT number FROM audit WHERE action = 'pool.create' AND detail = 'west'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    core.execute("UPDATE audit SET actor = 'nobody' WHERE number = ?", [place]).unwrap_err();
    core.execute_batch("DROP TRIGGER audit_is_never_updated").unwrap();
    core.execute("UPDATE audit SET actor = 'nobody' WHERE number = ?", [place]).unwrap();
    let (code, found) = verify(&lucid, &[]);
    let flaw = found["flaw"].as_str().unwrap();
    assert!(
        code == Some(1) && flaw.contains(&format!("entries {place}–{place} are not those")),
        "{found}"
    );
}

#[test]
fn a_kill_leaves_a_chain_that_verifies() {
    let settings = [
        ("RAIL", "sandbox"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "0"),
        ("LUCID_AUDIT_SEAL_INTERVAL_S", "1"),
    ];
    let mut lucid = Lucid::serve_with(&settings);
    let owner = lucid.token("alice", "node_operator");
    let (viewer, mut seals) = (lucid.token("eve", "viewer"), 0);
    for round in 0..4_u16 {
        let killed = AtomicBool::new(false);
        let before = lucid.get("/api/v1/audit?limit=1")["pagination"]["total"].as_u64().unwrap();
        let (base, process) = (lucid.base.clone(), &mut lucid.process);
        thread::scope(|scope| {
            for client in 0..4_u16 {
                let (base, owner, killed) = (&base, &owner, &killed);
                scope.spawn(move || {
                    for port in 0..u16::MAX {
                        let body = json!({ "name": "n", "ip_address": format!("198.51.{round}.{client}"), "port": 1024 + port });
                        // Cut off in the middle is what this is about.
                        let cut_off = crate::support::attempt("POST", &format!("{base}/api/v1/nodes"), owner, Some(&body)).is_none();
                        if cut_off || killed.load(Ordering::SeqCst) {
                            return;
                        }
                    }
                });
            }
            let wanted = before + 40;
            eventually("registrations under way", || {
                let list = crate::support::attempt(
                    "GET",
                    &format!("{base}/api/v1/audit?limit=1"),
                    &viewer,
                    None,
                )?;
                (list["pagination"]["total"].as_u64().unwrap() >= wanted).then_some(())
            });
            process.kill();
            killed.store(true, Ordering::SeqCst);
        });
        let (code, found) = verify(&lucid, &[]);
        assert!(code == Some(0) && found["entries"].as_u64().unwrap() >= before + 40, "{found}");
        assert!(found["seals"].as_u64().unwrap() >= seals, "{found}");
        seals = found["seals"].as_u64().unwrap();
        lucid.crash_and_restart();
        let (code, again) = verify(&lucid, &[]);
        assert!(
            code == Some(0) && again["entries"].as_u64() >= found["entries"].as_u64(),
            "{again}"
        );
    }
    check_entries_fit_together(&lucid, &["node"]);
}

#[test]
fn the_log_of_a_mongodb_store_is_verified_beside_two_writers_and_what_was_changed_is_named() {
    let Some(server) = MongoServer::start() else { return };
    let database = server.database();
    let settings = [
        ("RAIL", "sandbox"),
        ("LUCID_AUDIT_SEAL_INTERVAL_S", "1"),
        ("MONGODB_URI", database.as_str()),
    ];
    let mut lucid = Lucid::serve_with(&settings);
    lucid.create_pool("east");
    lucid.crash_and_restart();
    lucid.create_pool("west");
    let sealed = || {
        // Reading the log drains what documents carry; from then on it is there for who only looks.
        let total = lucid.get("/api/v1/audit")["pagination"]["total"].as_u64();
        eventually("a seal of everything", || {
            let (code, found) = verify_store(&lucid, &[]);
            (found["entries_unsealed"] == 0 && found["entries"].as_u64() >= total)
                .then_some((code, found))
        })
    };
    sealed();
    lucid.create_pool("north");
    let (code, found) = sealed();
    // The chain of the process that was killed does not move any more, and is not named again.
    let heads = lucid.get("/api/v1/audit/heads");
    assert_eq!(
        (
            heads["heads"].as_array().map(Vec::len),
            heads["last_seal"]["heads"].as_array().map(Vec::len)
        ),
        (Some(2), Some(1)),
        "{heads}"
    );
    assert_eq!(
        (code, &found["intact"], found["heads"].as_array().map(Vec::len)),
        (Some(0), &json!(true), Some(2)),
        "{found}"
    );
    assert_eq!(found["entries"], lucid.get("/api/v1/audit")["pagination"]["total"]);
    // While registrations come in, it is intact at each look.
    let owner = lucid.token("alice", "node_operator");
    thread::scope(|scope| {
        let (base, owner) = (&lucid.base, &owner);
        scope.spawn(move || {
            for port in 0..15 {
                let answer = crate::support::attempt(
                    "POST",
                    &format!("{base}/api/v1/nodes"),
                    owner,
                    Some(&plain_node(9_000 + port)),
                );
                assert!(answer.is_some());
            }
        });
        for _ in 0..3 {
            let (code, found) = verify_store(&lucid, &[]);
            assert_eq!((code, &found["intact"]), (Some(0), &json!(true)), "{found}");
        }
    });
    let shown = |more: &[&str]| {
        let args = [
            &[
                "audit",
                "list",
                "--store",
                database.as_str(),
                "--action",
                "pool.create",
                "--order",
                "asc",
                "--output",
                "json",
            ],
            more,
        ]
        .concat();
        Process::start(&args, &[], false).output()
    };
    let (code, text) = shown(&[]);
    let entries: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pools = lucid.get("/api/v1/pools?limit=100");
    let is_pool = |entry: &Value| {
        pools["pools"].as_array().unwrap().iter().any(|pool| pool["pool_id"] == entry["subject"])
    };
    assert!(code == Some(0) && entries.len() == 3 && entries.iter().all(is_pool), "{text}");
    assert_eq!(shown(&["--from", "yesterday"]).0, Some(2));
    assert_eq!(
        Process::start(&["audit", "verify", "--store", "nothing://x"], &[], false).output().0,
        Some(2)
    );

    let place = server.change(
        &database,
        "audit",
        &json!({ "action": "pool.create" }),
        &json!({ "$set": { "actor": "nobody" } }),
    );
    assert_eq!(place, 1);
    let (code, found) = verify_store(&lucid, &[]);
    let flaw = found["flaw"].as_str().unwrap_or_default();
    assert!(code == Some(1) && flaw.contains("are not those it was made over"), "{found}");
}
