//! The mission, step by step, over HTTP.

use serde_json::{Value, json};

use crate::support::{
    Lucid, SHORT, SandboxProcess, eventually,
    node::{TestNode, work_until},
    now_ms,
};

#[test]
fn registration_to_pool_to_monitoring() {
    let lucid = Lucid::serve();
    let pool = lucid.create_pool("first");
    let mut node = TestNode::register(&lucid, "alice", 1);
    let path = format!("/api/v1/nodes/{}", node.id);
    assert_eq!(lucid.get(&path)["pool_id"], Value::String(pool.clone()));

    node.work(&lucid);
    let record = lucid.get(&path);
    assert_eq!(
        (record["status"].as_str(), record["resource_usage"]["cpu_usage"].as_f64()),
        (Some("active"), Some(25.5)),
        "{record}"
    );
    node.work(&lucid);
    node.work(&lucid);
    let usage = lucid.get(&format!("/api/v1/resources/nodes/{}", node.id));
    assert_eq!(
        (usage["cpu_usage"].as_f64(), usage["network_usage"]["bytes_sent"].as_u64()),
        (Some(25.5), Some(40)),
        "{usage}"
    );
    let summary = lucid.get("/api/v1/resources/summary");
    assert_eq!(
        (summary["total_nodes"].as_u64(), summary["active_nodes"].as_u64()),
        (Some(1), Some(1)),
        "{summary}"
    );
    let members = lucid.get(&format!("/api/v1/pools/{pool}"));
    assert_eq!(
        (members["node_count"].as_u64(), members["nodes"][0]["node_id"].as_str()),
        (Some(1), Some(node.id.to_string().as_str()))
    );
}

fn first(list: &Value, name: &str, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
    list[name].as_array()?.iter().find(|item| wanted(item)).cloned()
}

#[test]
fn score_to_consensus_vote() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
    ]);
    let lucid = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let id = node.id.to_string();

    let score = work_until(&lucid, &mut node, "an eligible score", || {
        first(&lucid.get("/api/v1/poot/scores"), "scores", |s| s["eligible"] == true)
    });
    assert_eq!(
        (score["node_id"].as_str(), score["policy"]["name"].as_str()),
        (Some(id.as_str()), Some("observation-weighted")),
        "{score}"
    );
    let path = format!("/api/v1/poot/scores/{}", score["score_id"].as_str().unwrap());
    let by_id = lucid.get(&path);
    assert_eq!(by_id, score);
    let digits = lucid.digits(&path, "score");
    assert!(
        digits.split('.').nth(1).is_some_and(|d| d.len() == 2),
        "two digits, exactly: {digits}"
    );

    let vote = eventually("the vote", || {
        first(&lucid.get("/api/v1/consensus/votes"), "votes", |v| {
            v["state"] == "accepted" && v["epoch"] == score["epoch"]
        })
    });
    let oracle = sandbox.get("/api/v1/sandbox/votes");
    let sent = first(&oracle, "votes", |v| v["vote_id"] == vote["vote_id"])
        .unwrap_or_else(|| panic!("{oracle} has no {vote}"));
    assert_eq!(
        (sent["node_id"].as_str(), &sent["block_id"]),
        (Some(id.as_str()), &vote["block_id"])
    );

    let claim =
        json!({ "node_id": id, "score": score["score"], "timestamp": score["calculated_at"] });
    let admin = lucid.token("admin", "admin");
    let (status, found) = lucid.call("POST", "/api/v1/poot/validate", Some(&admin), Some(&claim));
    assert_eq!(
        (status, &found),
        (200, &json!({ "valid": true, "score_match": true, "timestamp_valid": true }))
    );
    let (_, wrong) = lucid.call(
        "POST",
        "/api/v1/poot/validate",
        Some(&admin),
        Some(&json!({ "node_id": id, "score": 0.01, "timestamp": score["calculated_at"] })),
    );
    assert_eq!(
        (&wrong["valid"], &wrong["reason"]),
        (&json!(false), &json!("the claimed score is not the receipt's")),
        "{wrong}"
    );

    // The chain takes its time to decide: it is asked again, and nothing is sent twice.
    sandbox.set_faults(&json!({ "vote": [{ "effect": { "late": { "ms": 1_500 } }, "times": 1 }] }));
    let undecided = work_until(&lucid, &mut node, "an undecided vote", || {
        first(&lucid.get("/api/v1/consensus/votes"), "votes", |v| {
            v["state"] == "pending" && v["answer"] == "pending"
        })
    });
    let decided = work_until(&lucid, &mut node, "the chain's decision", || {
        first(&lucid.get("/api/v1/consensus/votes"), "votes", |v| {
            v["state"] == "accepted" && v["vote_id"] == undecided["vote_id"]
        })
    });
    assert!(decided["attempts"].as_u64() > Some(1), "{decided}");
    let told = lucid.get(&format!("/api/v1/consensus/participation?node_id={id}"));
    let of_epoch = first(&told, "participation", |p| p["epoch"] == decided["epoch"])
        .unwrap_or_else(|| panic!("{told}"));
    assert_eq!(
        (&of_epoch["eligible"], &of_epoch["accepted"], &of_epoch["participation"]),
        (&json!(1), &json!(1), &json!(1)),
        "{of_epoch}"
    );
}

#[test]
fn payout_to_tron_submission() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
    ]);
    let lucid = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let payout = work_until(&lucid, &mut node, "a completed payout", || {
        first(&lucid.get("/api/v1/payouts"), "payouts", |p| p["status"] == "completed")
    });
    let path = format!("/api/v1/payouts/{}", payout["payout_id"].as_str().unwrap());
    let by_id = lucid.get(&path);
    assert_eq!(lucid.digits(&path, "amount"), "25.000000", "an exact number with six digits");
    assert_eq!(by_id["transaction_id"], payout["transaction_id"]);
    let oracle = sandbox.get("/api/v1/sandbox/transfers");
    let paid: Vec<_> = oracle["transfers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["payout_id"] == payout["payout_id"])
        .collect();
    assert_eq!(paid.len(), 1, "{oracle}");
    assert_eq!(
        (paid[0]["amount"].as_str(), paid[0]["recipient_address"].as_str()),
        (Some("25.000000"), Some(crate::support::node::WALLET)),
        "{oracle}"
    );
    let earnings = lucid.get(&format!("/api/v1/nodes/{}/earnings", node.id));
    assert_eq!(earnings["reserved_usdt"].as_str(), Some("0.000000"), "{earnings}");
}

#[test]
fn a_score_on_demand_leaves_the_node_as_it_was() {
    let lucid = Lucid::serve();
    let node = TestNode::register(&lucid, "alice", 1);
    let at = |minutes: i64| lucid_model::time::TimeMs(now_ms() - minutes * 60_000).to_string();
    let session = |from: i64, to: i64| json!({ "session_id": uuid::Uuid::now_v7().to_string(), "start_time": at(from), "end_time": at(to), "quality_score": 1 });
    let request = json!({ "node_id": node.id.to_string(), "observation_data": [session(60, 30), session(45, 0)] });
    let (status, score) = lucid.call(
        "POST",
        "/api/v1/poot/calculate",
        Some(&lucid.token("alice", "node_operator")),
        Some(&request),
    );
    assert_eq!(
        (status, score["kind"].as_str(), score["observation_count"].as_u64()),
        (200, Some("on_demand"), Some(2)),
        "{score}"
    );
    assert!(
        (3598..=3600).contains(&score["total_observation_time"].as_u64().unwrap()),
        "overlaps count once: {score}"
    );
    assert_eq!(lucid.get(&format!("/api/v1/nodes/{}", node.id))["poot_score"], Value::Null);
    let (status, _) = lucid.call(
        "POST",
        "/api/v1/poot/calculate",
        Some(&lucid.token("mallory", "node_operator")),
        Some(&request),
    );
    assert_eq!(status, 403);
}

#[test]
fn the_agent_survives_the_service_being_down() {
    let lucid = Lucid::serve();
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, lucid.token("alice", "node_operator")).unwrap();
    let data = dir.path().join("agent");
    let args = [
        "agent",
        "--server",
        &lucid.base,
        "--ip",
        "192.0.2.9",
        "--interval",
        "1s",
        "--data",
        data.to_str().unwrap(),
        "--owner-token-file",
        token.to_str().unwrap(),
    ];
    let agent = crate::support::Process::start(&args, &[], true);
    let samples = |lucid: &Lucid| {
        let nodes = lucid.get("/api/v1/nodes");
        nodes["nodes"][0]["last_seen"].as_str().map(str::to_owned)
    };
    let before = eventually("the first report", || samples(&lucid));
    // The same port again: the agent knows only that address.
    let port = lucid.base.rsplit(':').next().unwrap().to_owned();
    let mut lucid = lucid;
    lucid.set("NODE_MANAGEMENT_PORT", &port);
    lucid.crash_and_restart();
    eventually("reports after the outage", || samples(&lucid).filter(|seen| *seen > before));
    drop(agent);
}

#[test]
fn a_run_waits_for_a_treasurer_where_no_schedule_may_approve_it() {
    let mut settings = SHORT.to_vec();
    settings.extend([("PAYOUT_AUTO_APPROVE_MAX_USDT", "0"), ("FOUR_EYES", "true")]);
    let lucid = Lucid::serve_with(&settings);
    let deposit = |token: &str, amount: &str| {
        lucid.call(
            "POST",
            "/api/v1/payouts/treasury",
            Some(token),
            Some(&json!({ "reference": "first", "amount_usdt": amount })),
        )
    };
    let treasurer = lucid.token("tina", "treasurer");
    assert_eq!(deposit(&lucid.token("root", "admin"), "100").0, 403);
    assert_eq!(deposit(&treasurer, "1e2").0, 400);
    assert_eq!(deposit(&treasurer, "100"), (201, json!({ "available_usdt": "100.000000" })));
    assert_eq!(
        deposit(&treasurer, "100"),
        (200, json!({ "available_usdt": "100.000000" })),
        "the same reference is the same deposit"
    );
    let mut node = TestNode::register(&lucid, "alice", 1);
    let payout = work_until(&lucid, &mut node, "a planned payout", || {
        first(&lucid.get("/api/v1/payouts"), "payouts", |p| p["status"] == "pending")
    });
    let path = format!("/api/v1/payouts/runs/{}", payout["run_id"].as_str().unwrap());
    let planned =
        eventually("the plan", || Some(lucid.get(&path)).filter(|run| run["payout_count"] == 1));
    assert_eq!(planned["state"], "planned", "{planned}");
    assert_eq!(
        lucid
            .call(
                "POST",
                &format!("{path}/approve"),
                Some(&lucid.token("alice", "node_operator")),
                None
            )
            .0,
        403
    );
    let (status, approved) = lucid.call("POST", &format!("{path}/approve"), Some(&treasurer), None);
    assert_eq!((status, approved["state"].as_str()), (200, Some("approved")), "{approved}");
    eventually("the payment", || {
        Some(lucid.get(&format!("/api/v1/payouts/{}", payout["payout_id"].as_str()?)))
            .filter(|p| p["status"] == "completed")
    });
}

#[test]
fn a_payout_in_doubt_locks_no_more_of_its_nodes_money() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
    ]);
    let lucid = Lucid::serve_with(&settings);
    let down = json!({ "status": { "code": 503 } });
    sandbox.set_faults(&json!({ "payout": [{ "effect": "none", "answer": down }], "status": [{ "answer": down }] }));
    let mut node = TestNode::register(&lucid, "alice", 1);
    let doubtful = work_until(&lucid, &mut node, "a payout in doubt", || {
        first(&lucid.get("/api/v1/payouts"), "payouts", |p| p["state"] == "unknown")
    });
    // Two more settlements accrue meanwhile; neither may be set aside for a payout that cannot be
    // made.
    let earnings = work_until(&lucid, &mut node, "further earnings", || {
        let earnings = lucid.get(&format!("/api/v1/nodes/{}/earnings", node_id(&doubtful)));
        (earnings["available_usdt"] == "50.000000" || earnings["reserved_usdt"] != "25.000000")
            .then_some(earnings)
    });
    assert_eq!(
        (earnings["available_usdt"].as_str(), earnings["reserved_usdt"].as_str()),
        (Some("50.000000"), Some("25.000000")),
        "{earnings}"
    );
    assert_eq!(lucid.get("/api/v1/payouts")["pagination"]["total"], 1);
}

fn node_id(payout: &Value) -> String {
    payout["node_id"].as_str().unwrap().to_owned()
}
