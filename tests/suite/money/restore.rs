//! A backup that is put back: what was paid meanwhile is not in it, and nothing is paid again.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    kill::check_money,
    support::{
        Lucid, Process, SECRET, SHORT, SandboxProcess, copy_dir, eventually,
        mongo::MongoServer,
        node::{TestNode, work_until},
    },
};

fn transfers(sandbox: &SandboxProcess) -> Vec<Value> {
    sandbox.get("/api/v1/sandbox/transfers?limit=1000")["transfers"].as_array().unwrap().clone()
}

#[test]
fn a_restored_store_pays_nothing_again() {
    let backup = tempfile::tempdir().unwrap();
    let back_up = |service: &mut Lucid| {
        let data = service.data();
        service.stop_for_a_while(|| copy_dir(&data, backup.path()));
    };
    let put_back = |service: &mut Lucid| {
        let data = service.data();
        service.stop_for_a_while(|| {
            std::fs::remove_dir_all(&data).unwrap();
            copy_dir(backup.path(), &data);
        });
    };
    nothing_is_paid_again(&[], back_up, put_back);
}

/// As `mongodump --oplog` does it, which is of one moment, beside a service that goes on; then the
/// server loses everything, and what was dumped is inserted into new collections.
#[test]
fn a_restored_database_pays_nothing_again() {
    let Some(mongo) = MongoServer::start() else { return };
    let (database, dumped) = (mongo.database(), Mutex::new(Vec::new()));
    let back_up = |service: &mut Lucid| {
        let began = Instant::now();
        // Nothing is written meanwhile: that makes it one moment.
        service.process.pause();
        *dumped.lock().unwrap() = mongo.dump(&database);
        service.process.go_on();
        println!("dumped in {:?}", began.elapsed());
    };
    let put_back = |service: &mut Lucid| {
        mongo.drop_all(&database);
        service.process.kill();
        let began = Instant::now();
        service.stop_for_a_while(|| mongo.restore(&database, &dumped.lock().unwrap()));
        println!("served again {:?} after the database was lost", began.elapsed());
    };
    nothing_is_paid_again(&[("MONGODB_URI", database.as_str())], back_up, put_back);
}

/// A backup is made while a payout waits, and put back when it is paid.
fn nothing_is_paid_again(
    settings: &[(&str, &str)],
    back_up: impl FnOnce(&mut Lucid),
    put_back: impl FnOnce(&mut Lucid),
) {
    let sandbox = SandboxProcess::start();
    let mut settings = [&SHORT[..], settings].concat();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
    ]);
    let mut service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    assert_eq!(service.treasurer("carol", &["freeze", "--reason", "a backup"]).0, Some(0));
    let waiting = work_until(&service, &mut node, "a payout that waits", || {
        service.get("/api/v1/payouts?status=pending")["payouts"].as_array()?.first().cloned()
    });
    let payout = format!("/api/v1/payouts/{}", waiting["payout_id"].as_str().unwrap());

    // After the backup the payout is paid, which the backup does not know.
    back_up(&mut service);
    assert!(
        service.get("/api/v1/payouts/status")["payments"]["restored_at"].is_null(),
        "a restart is none"
    );
    let began = service.get("/api/v1/payouts/status")["at"].as_str().unwrap().to_owned();
    assert_eq!(service.treasurer("carol", &["resume", "--reason", "go on"]).0, Some(0));
    eventually("the payout to be paid", || {
        (service.get(&payout)["status"] == "completed").then_some(())
    });
    let paid = transfers(&sandbox);

    // The backup is put back. Whatever is sent from here on would be paid twice, though the key is
    // known.
    sandbox.set_faults(&json!({ "payout": [{ "effect": "twice", "answer": "ok" }] }));
    put_back(&mut service);
    assert_eq!(service.get(&payout)["state"], "reserved", "as it was");
    let status = service.get("/api/v1/payouts/status");
    assert!(
        status["safety"] == "stopped" && status["payments"]["restored_at"].is_string(),
        "{status}"
    );
    let (code, refused) = service.treasurer("carol", &["resume", "--reason", "in a hurry"]);
    assert!(code == Some(1) && refused.contains("restored or copied"), "{refused}");
    let (code, told) = service.treasurer("carol", &["reconcile", "--since", &began]);
    assert!(code == Some(0) && told.contains("reconciled_at"), "{told}");
    assert_eq!(service.treasurer("carol", &["resume", "--reason", "compared"]).0, Some(0));
    eventually("the payout to be found", || {
        (service.get(&payout)["status"] == "completed").then_some(())
    });
    assert_eq!(transfers(&sandbox), paid, "nothing was sent again");
    sandbox.set_faults(&json!({}));
    let (code, audit) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
    check_money(&service, &[node], &transfers(&sandbox));
    // From here on it is the store of this place.
    service.crash_and_restart();
    assert!(service.get("/api/v1/payouts/status")["payments"]["frozen"] == false);
}

/// Comparing is for any store: what was never restored is sent as always afterwards, and may be let
/// go at any time.
#[test]
fn payouts_of_a_store_that_was_never_restored_are_compared_too() {
    let mut settings = SHORT.to_vec();
    settings.push(("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"));
    let service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    let completed = |service: &Lucid| {
        service.get("/api/v1/payouts?status=completed")["pagination"]["total"].as_u64()
    };
    work_until(&service, &mut node, "a payout", || completed(&service).filter(|paid| *paid > 0));
    let owner = service.token("alice", "node_operator");
    let since = json!({ "since": "2026-01-01T00:00:00Z" });
    assert_eq!(
        service.call("POST", "/api/v1/payouts/reconcile", Some(&owner), Some(&since)).0,
        403
    );
    service.reconcile_and_resume();
    let payments = service.get("/api/v1/payouts/status")["payments"].clone();
    assert!(
        payments["restored_at"].is_null()
            && payments["reconciled_at"].is_string()
            && payments["frozen"] == false,
        "{payments}"
    );
    let before = completed(&service);
    work_until(&service, &mut node, "another payout", || {
        (completed(&service) > before).then_some(())
    });
}

/// A backup beside the service: everything that was acknowledged before it began is in it, though
/// reports and payments go on; put back after a kill, it pays nothing again.
#[test]
fn a_backup_beside_the_service_has_everything_up_to_its_moment() {
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "0"),
    ]);
    let mut service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    work_until(&service, &mut node, "a payment", || {
        (!transfers(&sandbox).is_empty()).then_some(())
    });
    let (backups, data) = (tempfile::tempdir().unwrap(), service.data());
    let back_up = |to: &str| {
        let to = backups.path().join(to);
        let arguments = [
            "store",
            "backup",
            "--data",
            data.to_str().unwrap(),
            to.to_str().unwrap(),
            "--output",
            "json",
        ];
        let (code, told) = Process::start(&arguments, &[("JWT_SECRET", SECRET)], false).output();
        (code, serde_json::from_str::<Value>(&told).unwrap_or_default(), to)
    };
    // A busy service: reports go on while the backup is made.
    let over = AtomicBool::new(false);
    let (before, told, backup) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                node.work(&service);
            }
        });
        let first = samples(&service);
        let before = eventually("some reports", || {
            Some(samples(&service)).filter(|samples| *samples > first + 10)
        });
        let (code, told, to) = back_up("tonight");
        over.store(true, Ordering::SeqCst);
        assert_eq!(code, Some(0), "{told}");
        (before, told, to)
    });
    assert_eq!(back_up("tonight").0, Some(1), "it is not written over");
    let paid_then = transfers(&sandbox).len();
    work_until(&service, &mut node, "payments that the backup does not know", || {
        (transfers(&sandbox).len() > paid_then + 1).then_some(())
    });
    let paid = transfers(&sandbox);

    sandbox.set_faults(&json!({ "payout": [{ "effect": "twice", "answer": "ok" }] }));
    service.process.kill();
    let lost = Instant::now();
    service.stop_for_a_while(|| {
        for file in ["core.db", "telemetry.db"] {
            for log in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(data.join(format!("{file}{log}")));
            }
            std::fs::copy(backup.join(file), data.join(file)).unwrap();
        }
    });
    let recovered = lost.elapsed();
    assert_eq!(
        service.get("/api/v1/payouts/status")["safety"],
        "stopped",
        "it pays nothing until it was compared"
    );
    let (code, said) =
        service.treasurer("carol", &["reconcile", "--since", told["as_of"].as_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(service.treasurer("carol", &["resume", "--reason", "compared"]).0, Some(0));
    println!("served again {recovered:?} after the store was lost; backup: {told}");
    assert!(samples(&service) >= before, "what was acknowledged before the backup is in it");
    let open = |service: &Lucid| {
        let all = crate::kill::payouts(service);
        all.iter().any(|p| p["status"] == "pending" || p["status"] == "processing")
    };
    eventually("every payout that was begun to be final", || (!open(&service)).then_some(()));
    let now = transfers(&sandbox);
    let ids: std::collections::BTreeSet<_> =
        now.iter().map(|transfer| transfer["payout_id"].to_string()).collect();
    assert!(
        paid.iter().all(|transfer| ids.contains(&transfer["payout_id"].to_string())),
        "what was paid stays paid"
    );
    assert_eq!(ids.len(), now.len(), "nothing was paid twice");
    let (code, audit) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && audit.contains("\"in_order\":true"), "{audit}");
}

/// Samples of the only node that the history has.
fn samples(service: &Lucid) -> usize {
    let node = service.get("/api/v1/nodes")["nodes"][0]["node_id"].as_str().unwrap().to_owned();
    let history =
        service.get(&format!("/api/v1/resources/nodes/{node}/history?metric=cpu&resolution=raw"));
    history["points"].as_array().unwrap().len()
}
