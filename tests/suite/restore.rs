//! A backup that is put back: what was paid meanwhile is not in it, and nothing is paid again.

use serde_json::{Value, json};

use crate::{
    kill::check_money,
    support::{
        Lucid, SHORT, SandboxProcess, copy_dir, eventually,
        node::{TestNode, work_until},
    },
};

fn transfers(sandbox: &SandboxProcess) -> Vec<Value> {
    sandbox.get("/api/v1/sandbox/transfers?limit=1000")["transfers"].as_array().unwrap().clone()
}

#[test]
fn a_restored_store_pays_nothing_again() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([("TRON_PAYMENT_URL", sandbox.url.as_str()), ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000")]);
    let mut service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    assert_eq!(service.treasurer("carol", &["freeze", "--reason", "a backup"]).0, Some(0));
    let waiting = work_until(&service, &mut node, "a payout that waits", || {
        service.get("/api/v1/payouts?status=pending")["payouts"].as_array()?.first().cloned()
    });
    let payout = format!("/api/v1/payouts/{}", waiting["payout_id"].as_str().unwrap());

    // A backup of the folder; then the payout is paid, which the backup does not know.
    let backup = tempfile::tempdir().unwrap();
    let data = service.data();
    service.stop_for_a_while(|| copy_dir(&data, backup.path()));
    assert!(service.get("/api/v1/payouts/status")["payments"]["restored_at"].is_null(), "a restart is none");
    let began = service.get("/api/v1/payouts/status")["at"].as_str().unwrap().to_owned();
    assert_eq!(service.treasurer("carol", &["resume", "--reason", "go on"]).0, Some(0));
    eventually("the payout to be paid", || (service.get(&payout)["status"] == "completed").then_some(()));
    let paid = transfers(&sandbox);

    // The backup is put back. Whatever is sent from here on would be paid twice, though the key is known.
    sandbox.set_faults(&json!({ "payout": [{ "effect": "twice", "answer": "ok" }] }));
    service.stop_for_a_while(|| {
        std::fs::remove_dir_all(&data).unwrap();
        copy_dir(backup.path(), &data);
    });
    assert_eq!(service.get(&payout)["state"], "reserved", "as it was");
    let status = service.get("/api/v1/payouts/status");
    assert!(status["safety"] == "stopped" && status["payments"]["restored_at"].is_string(), "{status}");
    let (code, refused) = service.treasurer("carol", &["resume", "--reason", "in a hurry"]);
    assert!(code == Some(1) && refused.contains("restored or copied"), "{refused}");
    let (code, told) = service.treasurer("carol", &["reconcile", "--since", &began]);
    assert!(code == Some(0) && told.contains("reconciled_at"), "{told}");
    assert_eq!(service.treasurer("carol", &["resume", "--reason", "compared"]).0, Some(0));
    eventually("the payout to be found", || (service.get(&payout)["status"] == "completed").then_some(()));
    assert_eq!(transfers(&sandbox), paid, "nothing was sent again");
    sandbox.set_faults(&json!({}));
    let (code, audit) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
    check_money(&service, &[node], &transfers(&sandbox));
    // From here on it is the store of this place.
    service.crash_and_restart();
    assert!(service.get("/api/v1/payouts/status")["payments"]["frozen"] == false);
}

/// Comparing is for any store: what was never restored is sent as always afterwards, and may be let go at any time.
#[test]
fn payouts_of_a_store_that_was_never_restored_are_compared_too() {
    let mut settings = SHORT.to_vec();
    settings.push(("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"));
    let service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    let completed = |service: &Lucid| service.get("/api/v1/payouts?status=completed")["pagination"]["total"].as_u64();
    work_until(&service, &mut node, "a payout", || completed(&service).filter(|paid| *paid > 0));
    let owner = service.token("alice", "node_operator");
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    assert_eq!(service.call("POST", "/api/v1/payouts/reconcile", Some(&owner), Some(&since)).0, 403);
    service.reconcile_and_resume();
    let payments = service.get("/api/v1/payouts/status")["payments"].clone();
    assert!(payments["restored_at"].is_null() && payments["reconciled_at"].is_string() && payments["frozen"] == false, "{payments}");
    let before = completed(&service);
    work_until(&service, &mut node, "another payout", || (completed(&service) > before).then_some(()));
}
