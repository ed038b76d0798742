//! Runs that people plan, approve, execute, take back, and what is told of them.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Lucid, SHORT, eventually,
    node::{TestNode, work_until},
};

/// Short periods, and a schedule that may approve nothing.
fn by_hand() -> Vec<(&'static str, &'static str)> {
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
        ("PAYOUT_AUTO_APPROVE_MAX_USDT", "0"),
        ("FOUR_EYES", "true"),
    ]);
    settings
}

fn planned(service: &Lucid, id: &str) -> Value {
    eventually("the run to be planned", || {
        let run = service.get(&format!("/api/v1/payouts/runs/{id}"));
        (run["planning"] == false).then_some(run)
    })
}

/// Takes back what the schedule planned.
fn cancel_all(service: &Lucid, treasurer: &str) {
    for run in service.get("/api/v1/payouts/runs?limit=100")["runs"].as_array().unwrap() {
        if run["state"] == "planned" && run["planning"] == false {
            let path = format!("/api/v1/payouts/runs/{}/cancel", run["run_id"].as_str().unwrap());
            assert_eq!(
                service
                    .call("POST", &path, Some(treasurer), Some(&json!({ "reason": "by hand" })))
                    .0,
                200
            );
        }
    }
    eventually("what was planned to be given back", || {
        (service.get("/api/v1/payouts?status=pending")["pagination"]["total"] == 0).then_some(())
    });
}

#[test]
fn two_treasurers_pay_a_node_by_hand() {
    let service = Lucid::serve_with(&by_hand());
    let (carol, dave) =
        (service.token("carol", "super_admin"), service.token("dave", "super_admin"));
    let owner = service.token("alice", "node_operator");
    let mut node = TestNode::register(&service, "alice", 1);
    let id = node.id.to_string();

    // What the schedule planned waits, and can be looked at.
    let scheduled = work_until(&service, &mut node, "a run that waits", || {
        let runs = service.get("/api/v1/payouts/runs");
        runs["runs"]
            .as_array()?
            .iter()
            .find(|run| run["state"] == "planned" && run["planning"] == false)
            .cloned()
    });
    let run = scheduled["run_id"].as_str().unwrap();
    let report = service.get(&format!("/api/v1/payouts/runs/{run}/report"));
    assert_eq!(
        (&report["payouts"][0]["state"], &report["payouts"][0]["count"]),
        (&json!("reserved"), &json!(1)),
        "{report}"
    );
    let (code, table) = service.treasurer("carol", &["report", run]);
    assert!(code == Some(0) && table.contains("to pay") && table.contains("1 payouts"), "{table}");
    let (code, csv) = service.treasurer("carol", &["report", run, "--output", "csv"]);
    let line = csv.lines().nth(1).unwrap_or_default();
    assert!(code == Some(0) && line.starts_with(&*id) && line.contains(",reserved,"), "{csv}");
    assert_eq!(
        service.call("GET", &format!("/api/v1/payouts/runs/{run}/report"), Some(&owner), None).0,
        403
    );

    // It is taken back, and the node is paid by hand. A schedule that comes in between has the
    // node's money: it is taken back, too.
    let by_hand = eventually("a run of the node by hand", || {
        cancel_all(&service, &carol);
        let cancelled = service.get("/api/v1/payouts?status=cancelled")["payouts"][0]["payout_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            service
                .call("POST", &format!("/api/v1/payouts/{cancelled}/retry"), Some(&owner), None)
                .0,
            403
        );
        let (status, run) =
            service.call("POST", &format!("/api/v1/payouts/{cancelled}/retry"), Some(&carol), None);
        assert_eq!(
            (status, &run["chosen_nodes"], &run["planner"]),
            (202, &json!(1), &json!("carol")),
            "{run}"
        );
        let run = planned(&service, run["run_id"].as_str().unwrap());
        (run["payout_count"] == 1).then_some(run)
    });
    let run = by_hand["run_id"].as_str().unwrap();
    let path = format!("/api/v1/payouts/runs/{run}");
    let (code, refused) = service.treasurer("carol", &["execute", run]);
    assert!(code == Some(1) && refused.contains("the run is planned"), "{refused}");
    assert_eq!(
        service.call("POST", &format!("{path}/approve"), Some(&carol), None).0,
        403,
        "who planned it"
    );
    let (status, approved) = service.call("POST", &format!("{path}/approve"), Some(&dave), None);
    assert_eq!(
        (status, &approved["state"], approved.get("executor")),
        (200, &json!("approved"), None),
        "{approved}"
    );
    // The payer looks several times a second: an epoch later it has looked often.
    let epoch = service.get("/api/v1/payouts/status")["last_epoch"].clone();
    eventually("another epoch", || {
        (service.get("/api/v1/payouts/status")["last_epoch"] != epoch).then_some(())
    });
    let payouts = service.get(&format!("/api/v1/payouts?run_id={run}"));
    assert_eq!(payouts["payouts"][0]["state"], "reserved", "nobody let it go: {payouts}");

    let (code, executed) = service.treasurer("carol", &["execute", run]);
    assert!(
        code == Some(0) && executed.contains("1 of 1 paid") && executed.contains("confirmed"),
        "{executed}"
    );
    let payouts = service.get(&format!("/api/v1/payouts?run_id={run}"));
    assert_eq!(payouts["payouts"][0]["status"], "completed", "{payouts}");
    let paid = payouts["payouts"][0]["payout_id"].as_str().unwrap();
    assert_eq!(
        service.call("POST", &format!("/api/v1/payouts/{paid}/retry"), Some(&carol), None).0,
        409,
        "it was paid"
    );
    assert_eq!(
        service
            .call("POST", &format!("{path}/cancel"), Some(&carol), Some(&json!({ "reason": "x" })))
            .0,
        409,
        "it is over"
    );
    let (code, audit) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
    proves_what_was_paid(&service, paid, &owner);
}

/// The receipt of a payout says without the service what was paid, and nothing else.
fn proves_what_was_paid(service: &Lucid, paid: &str, owner: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proof.json");
    let (code, said) =
        service.treasurer("carol", &["proof", paid, "--file", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let path = format!("/api/v1/payouts/{paid}/proof");
    assert_eq!(service.call("GET", &path, Some(owner), None).0, 200, "the owner's own");
    assert_eq!(
        service.call("GET", &path, Some(&service.token("mallory", "node_operator")), None).0,
        403
    );
    let key = service.get("/api/v1/audit/heads")["public_key"].as_str().unwrap().to_owned();
    let verify = |file: &std::path::Path, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lucid"))
            .args(["payout", "verify"])
            .arg(file)
            .args(more)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, said) = verify(&file, &["--public-key", &key]);
    assert!(
        code == Some(0)
            && said.contains(paid)
            && said.contains("confirmed")
            && said.contains("receipt 1 of 1"),
        "{said}"
    );
    assert_eq!(verify(&file, &["--public-key", &"0".repeat(64)]).0, Some(1), "another key");
    let proof: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let other = dir.path().join("other.json");
    for (what, change) in [
        ("/payout/transaction_id", json!("another")),
        ("/payout/amount", json!(9999.0)),
        ("/payout/state", json!("failed")),
        ("/receipts", json!(2)),
        ("/signature", json!("0".repeat(128))),
        ("/root", json!("0".repeat(64))),
    ] {
        let mut changed = proof.clone();
        *changed.pointer_mut(what).unwrap() = change;
        std::fs::write(&other, changed.to_string()).unwrap();
        let (code, said) = verify(&other, &[]);
        assert!(code == Some(1) && !said.contains("panicked"), "{what}: {said}");
    }
}

#[test]
fn nobody_plans_for_nodes_that_are_not_there_or_too_many() {
    let service = Lucid::serve();
    let (carol, owner) =
        (service.token("carol", "super_admin"), service.token("alice", "node_operator"));
    let plan = |token: &str, body: Value| {
        service.call("POST", "/api/v1/payouts/runs", Some(token), Some(&body))
    };
    assert_eq!(plan(&owner, json!({})).0, 403);
    assert_eq!(plan(&carol, json!({})).0, 409, "nothing is mature");
    let nobody = "0192f0c1-2b3c-7d4e-8f90-000000000001";
    assert_eq!(plan(&carol, json!({ "node_ids": [nobody] })).0, 404);
    for (wrong, field) in [
        (json!(["x"]), "node_ids[0]"),
        (json!([]), "node_ids"),
        (json!(vec![nobody; 1001]), "node_ids"),
    ] {
        let (status, body) = plan(&carol, json!({ "node_ids": wrong }));
        assert!(
            status == 400 && body["error"]["message"].as_str().unwrap().starts_with(field),
            "{body}"
        );
    }
    let (code, said) = service.treasurer("carol", &["plan", "--node", "x"]);
    assert!(code == Some(1) && said.contains("node_ids[0]"), "{said}");
}
