//! The service over a store in memory.

use serde_json::json;

use crate::support::{Lucid, Process, SECRET};

#[test]
fn what_is_in_memory_serves_the_sandbox_is_gone_at_the_end_and_never_pays_anybody() {
    let mut lucid = Lucid::serve_with(&[("RAIL", "sandbox"), ("LUCID_STORE_URL", "memory://")]);
    let owner = lucid.token("alice", "node_operator");
    let body = json!({ "name": "n", "ip_address": "198.51.100.7", "port": 9000 });
    assert_eq!(lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body)).0, 201);
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 1);
    assert!(!lucid.data().join("core.db").exists());
    lucid.crash_and_restart();
    assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], 0);

    let data = lucid.data();
    let live = [
        ("JWT_SECRET", SECRET),
        ("LUCID_STORE_URL", "memory://"),
        ("TRON_PAYMENT_URL", "http://127.0.0.1:9"),
    ];
    let (code, said) =
        Process::start(&["serve", "--data", data.to_str().unwrap()], &live, false).output();
    assert_eq!(code, Some(2), "{said}");
}
