//! `lucid doctor`, before, beside and after the service.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Lucid, Process, SECRET, mongo::MongoServer, redis::RedisServer};

/// Exit code and findings.
fn doctor(data: &Path, settings: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let mut environment = vec![("JWT_SECRET", SECRET), ("RAIL", "sandbox")];
    environment.extend_from_slice(settings);
    let (code, out) = Process::start(&["doctor", "--data", data.to_str().unwrap(), "--output", "json"], &environment, false).output();
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    (code, document["findings"].as_array().unwrap().clone())
}

fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings.iter().find(|f| f["check"] == check).unwrap_or_else(|| panic!("no {check} in {findings:?}"))
}

fn level<'a>(findings: &'a [Value], check: &str) -> &'a str {
    finding(findings, check)["level"].as_str().unwrap()
}

#[test]
fn a_store_in_use_is_examined_beside_its_service() {
    let mut lucid = Lucid::serve();
    let before = lucid.get("/api/v1/audit")["pagination"]["total"].clone();
    let (code, findings) = doctor(&lucid.data(), &[]);
    assert_eq!(code, Some(0), "{findings:?}");
    for check in ["configuration", "store", "integrity", "stamp", "policies", "redis", "payment service", "gateway"] {
        assert_eq!(level(&findings, check), "ok", "{findings:?}");
    }
    assert_eq!(findings.iter().filter(|f| f["check"] == "integrity").count(), 2, "both files");
    assert_eq!(lucid.get("/api/v1/audit")["pagination"]["total"], before, "nothing is written");
    assert_eq!(lucid.process.stop(), Some(0));
    assert_eq!(doctor(&lucid.data(), &[]).0, Some(0), "and after it");
}

#[test]
fn a_stamp_that_does_not_fit_is_a_failure() {
    let lucid = Lucid::serve();
    let (code, findings) = doctor(&lucid.data(), &[("RAIL", "none")]);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");
    assert!(finding(&findings, "stamp")["found"].as_str().unwrap().contains("made for sandbox"), "{findings:?}");
    assert!(finding(&findings, "stamp")["todo"].is_string());
}

#[test]
fn a_mongodb_store_in_use_is_examined_and_what_somebody_changed_by_hand_is_named() {
    let (Some(server), Some(redis)) = (MongoServer::start(), RedisServer::start()) else { return };
    let (database, redis) = (server.database(), redis.url());
    let dir = tempfile::tempdir().unwrap();
    let settings = [("MONGODB_URI", database.as_str()), ("REDIS_URI", redis.as_str())];
    let (code, findings) = doctor(dir.path(), &settings);
    assert_eq!((code, level(&findings, "indices"), level(&findings, "durable writes")), (Some(0), "warn", "ok"), "before: {findings:?}");
    assert!(server.collections(&database).is_empty(), "nothing is left behind");

    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), settings[0], settings[1]]);
    let (code, findings) = doctor(&lucid.data(), &settings);
    assert_eq!(code, Some(0), "{findings:?}");
    let fine = ["durable writes", "database space", "indices", "stamp", "policies", "bundles", "redis", "redis latency", "redis memory", "clock"];
    for check in fine {
        assert_eq!(level(&findings, check), "ok", "{findings:?}");
    }
    // One server is a warning, unless it is of a replica set.
    assert_ne!(level(&findings, "store"), "fail", "{findings:?}");
    assert!(finding(&findings, "stamp")["found"].as_str().unwrap().contains("sandbox (sandbox), rail sandbox, family "), "{findings:?}");
    let (code, findings) = doctor(&lucid.data(), &[settings[0], ("RAIL", "none")]);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");

    server.drop_index(&database, "nodes", "live_key");
    let (code, findings) = doctor(&lucid.data(), &settings);
    let found = finding(&findings, "indices")["found"].as_str().unwrap();
    assert_eq!((code, level(&findings, "indices")), (Some(1), "fail"), "{findings:?}");
    assert!(found.contains("nodes.live_key is missing (one live node a key)") && finding(&findings, "indices")["todo"].is_string(), "{found}");
    assert_eq!(server.change(&database, "meta", &json!({ "_id": "stamp" }), &json!({ "$set": { "network": "elsewhere" } })), 1);
    let (scoring, emptied) = (json!({ "policy.name": "observation-weighted" }), json!({ "$set": { "component_bytes": 0 } }));
    assert_eq!(server.change(&database, "policy_versions", &scoring, &emptied), 1);
    let (code, findings) = doctor(&lucid.data(), &settings);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");
    let found = finding(&findings, "bundles")["found"].as_str().unwrap();
    assert!(level(&findings, "bundles") == "fail" && found.contains("observation-weighted@1.0.0: its component has digest"), "{found}");
}

#[test]
fn a_redis_that_is_down_is_a_failure_and_one_that_is_up_shows_its_version_and_clock() {
    let Some(mut redis) = RedisServer::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = redis.url();
    let (code, findings) = doctor(dir.path(), &[("REDIS_URI", &url)]);
    assert_eq!((code, level(&findings, "redis")), (Some(0), "ok"), "{findings:?}");
    assert!(finding(&findings, "clock")["found"].as_str().unwrap().contains("Redis"), "{findings:?}");
    redis.kill();
    let (code, findings) = doctor(dir.path(), &[("REDIS_URI", &url)]);
    assert_eq!((code, level(&findings, "redis")), (Some(1), "fail"), "{findings:?}");
}

#[test]
fn a_place_that_cannot_be_written_to_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Root may write wherever there is a folder: something that is none is in the way.
    for place in [file.clone(), file.join("data")] {
        let (code, findings) = doctor(&place, &[]);
        assert_eq!((code, level(&findings, "disk")), (Some(1), "fail"), "{findings:?}");
    }
    let (code, findings) = doctor(&dir.path().join("new"), &[]);
    assert_eq!((code, level(&findings, "store")), (Some(0), "warn"), "{findings:?}");
    assert!(!dir.path().join("new").exists(), "nothing is made");
}

#[test]
fn what_the_service_calls_is_tried() {
    let dir = tempfile::tempdir().unwrap();
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}");
    let lucid = Lucid::serve();
    let settings = [("TRON_PAYMENT_URL", lucid.base.as_str()), ("BLOCKCHAIN_URL", &nobody), ("API_GATEWAY_URL", &nobody)];
    let (code, findings) = doctor(dir.path(), &settings);
    assert_eq!(code, Some(1));
    assert_eq!(level(&findings, "payment service"), "ok", "{findings:?}");
    assert_eq!(level(&findings, "blockchain service"), "fail", "{findings:?}");
    assert_eq!(level(&findings, "gateway"), "fail", "{findings:?}");
}

#[test]
fn a_setting_that_cannot_be_read_is_a_finding_and_a_wrong_argument_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let (code, findings) = doctor(dir.path(), &[("LUCID_SCORING_EPOCH_S", "7")]);
    assert_eq!((code, findings.len()), (Some(1), 1));
    assert!(finding(&findings, "configuration")["found"].as_str().unwrap().contains("scoring.epoch_s"), "{findings:?}");
    assert_eq!(Process::start(&["doctor", "--nonsense"], &[], false).output().0, Some(2));
}
