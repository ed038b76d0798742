//! kill -9 in the middle, then the same store again: nothing acknowledged is lost, nothing is paid
//! twice.

mod database;
mod reports;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use lucid_model::money::MicroUsdt;
use serde_json::{Value, json};

use crate::support::{
    Lucid, SHORT, SandboxProcess, eventually, mongo::MongoServer, node::TestNode,
};

/// How many times the service is killed; `make test-deep` sets more.
fn kills() -> u32 {
    std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

/// All payouts.
pub fn payouts(lucid: &Lucid) -> Vec<Value> {
    let (mut all, mut page) = (Vec::new(), 1);
    loop {
        let list = lucid.get(&format!("/api/v1/payouts?limit=100&page={page}"));
        all.extend(list["payouts"].as_array().unwrap().iter().cloned());
        if page >= list["pagination"]["pages"].as_u64().unwrap() {
            return all;
        }
        page += 1;
    }
}

fn micro(amount: &Value) -> i64 {
    let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    text.parse::<MicroUsdt>().unwrap().0
}

#[test]
fn payout_is_not_sent_twice_after_a_crash() {
    let lucid = payouts_survive(&[], kills());
    assert_eq!(crate::audit::verify(&lucid, &[]).0, Some(0));
}

#[test]
fn payout_is_not_sent_twice_after_a_crash_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    payouts_survive(&[("MONGODB_URI", &server.database())], kills().div_ceil(2));
}

/// Kills the service in the middle of settlement cycles, so often; then everything is paid, once.
fn payouts_survive(store: &[(&str, &str)], kills: u32) -> Lucid {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
    ]);
    settings.extend(store);
    // Slow answers, so that a kill often finds a request in flight.
    sandbox.set_faults(
        &json!({ "payout": [{ "effect": "once", "answer": { "drip": { "ms": 15 } } }] }),
    );
    let mut lucid = Lucid::serve_with(&settings);
    let mut nodes: Vec<TestNode> =
        (1..=4).map(|number| TestNode::register(&lucid, "alice", number)).collect();
    let started = Instant::now();
    for kill in 0..kills {
        // A different moment of the settlement cycle each time, spread by a step that does not
        // divide it.
        let until = started + Duration::from_millis(3_300) * (kill + 1);
        while Instant::now() < until {
            for node in &mut nodes {
                node.work(&lucid);
            }
            thread::sleep(Duration::from_millis(200));
        }
        lucid.crash_and_restart();
        nodes.iter_mut().for_each(|node| node.prove(&lucid));
    }
    sandbox.set_faults(&json!({}));
    eventually("every payout to be final", || {
        for node in &mut nodes {
            node.work(&lucid);
        }
        let all = payouts(&lucid);
        let open = all.iter().any(|p| p["status"] == "pending" || p["status"] == "processing");
        (!all.is_empty() && !open).then_some(())
    });
    let transfers = sandbox.get("/api/v1/sandbox/transfers?limit=1000");
    check_money(&lucid, &nodes, transfers["transfers"].as_array().unwrap());
    crate::audit::check_entries_fit_together(&lucid, &["node", "run", "payout"]);
    lucid
}

/// Each completed payout is one transfer of its amount, each transfer a completed payout (I6, I9),
/// and each node's books add up (I3).
pub fn check_money(lucid: &Lucid, nodes: &[TestNode], transfers: &[Value]) {
    let mut paid: BTreeMap<String, i64> = BTreeMap::new();
    for transfer in transfers {
        let id = transfer["payout_id"].as_str().unwrap().to_owned();
        assert!(paid.insert(id, micro(&transfer["amount"])).is_none(), "paid twice: {transfer}");
    }
    let all = payouts(lucid);
    for payout in &all {
        let expected = (payout["status"] == "completed").then(|| micro(&payout["amount"]));
        // A payout that was begun after the look at the transfers is not known to them.
        if payout["status"] == "completed"
            || payout["status"] == "failed"
            || payout["status"] == "cancelled"
        {
            assert_eq!(
                paid.get(payout["payout_id"].as_str().unwrap()).copied(),
                expected,
                "{payout}"
            );
        }
    }
    let known: Vec<_> = all.iter().map(|p| p["payout_id"].as_str().unwrap().to_owned()).collect();
    assert!(paid.keys().all(|id| known.contains(id)), "a transfer without a payout");
    assert!(!paid.is_empty());
    for node in nodes {
        let earnings = lucid.get(&format!("/api/v1/nodes/{}/earnings", node.id));
        assert!(
            ["available_usdt", "held_usdt", "reserved_usdt"]
                .iter()
                .all(|name| micro(&earnings[*name]) >= 0),
            "{earnings}"
        );
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    registrations_survive(&[]);
}

#[test]
fn what_was_acknowledged_survives_a_kill_over_mongodb() {
    let Some(server) = MongoServer::start() else { return };
    registrations_survive(&[("MONGODB_URI", &server.database())]);
}

fn registrations_survive(store: &[(&str, &str)]) {
    let mut settings = vec![
        ("RAIL", "sandbox"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "0"),
        ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "0"),
    ];
    settings.extend(store);
    let mut lucid = Lucid::serve_with(&settings);
    let owner = lucid.token("alice", "node_operator");
    let mut acknowledged = 0;
    for round in 0..3_u16 {
        for place in 0..40 {
            let body = json!({ "name": "n", "ip_address": "198.51.100.7", "port": 10_000 + round * 100 + place });
            if lucid.call("POST", "/api/v1/nodes", Some(&owner), Some(&body)).0 == 201 {
                acknowledged += 1;
            }
        }
        lucid.crash_and_restart();
        assert_eq!(lucid.get("/api/v1/nodes")["pagination"]["total"], acknowledged);
    }
}
