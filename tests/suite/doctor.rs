//! `lucid doctor`, before, beside and after the service.

use std::path::Path;

use ed25519_dalek::Signer as _;
use lucid_model::{
    fleet::node::PublicKey,
    policies::{BundleSignature, KeyId},
};
use serde_json::{Value, json};

use crate::support::{
    Lucid, Process, SECRET, SandboxProcess,
    bundle::{as_json, other_version},
    mongo::MongoServer,
    redis::RedisServer,
};

/// Exit code and findings.
pub fn doctor(data: &Path, settings: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
    let mut environment = vec![("JWT_SECRET", SECRET), ("RAIL", "sandbox")];
    environment.extend_from_slice(settings);
    let (code, out) = Process::start(
        &["doctor", "--data", data.to_str().unwrap(), "--output", "json"],
        &environment,
        false,
    )
    .output();
    let document: Value =
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    (code, document["findings"].as_array().unwrap().clone())
}

pub fn finding<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    findings
        .iter()
        .find(|f| f["check"] == check)
        .unwrap_or_else(|| panic!("no {check} in {findings:?}"))
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
    for check in [
        "configuration",
        "store",
        "integrity",
        "stamp",
        "policies",
        "bundles",
        "signatures",
        "redis",
        "payment service",
        "gateway",
    ] {
        assert_eq!(level(&findings, check), "ok", "{findings:?}");
    }
    assert_eq!(findings.iter().filter(|f| f["check"] == "integrity").count(), 2, "both files");
    assert_eq!(lucid.get("/api/v1/audit")["pagination"]["total"], before, "nothing is written");
    assert_eq!(lucid.process.stop(), Some(0));
    assert_eq!(doctor(&lucid.data(), &[]).0, Some(0), "and after it");
}

#[test]
fn the_trust_list_is_named_and_so_is_what_nobody_on_it_has_signed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.toml");
    let key = |seed: u8| ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    std::fs::write(
        &file,
        format!("[trusted_keys]\nalice = \"{}\"\n", hex::encode(key(1).verifying_key().to_bytes())),
    )
    .unwrap();
    let bob = json!({ "bob": hex::encode(key(2).verifying_key().to_bytes()) }).to_string();
    let settings = [
        ("LUCID_POLICIES_TRUSTED_KEYS_FILE", file.to_str().unwrap()),
        ("LUCID_POLICIES_TRUSTED_KEYS", &bob),
    ];
    let (_, findings) = doctor(dir.path(), &settings);
    let found = finding(&findings, "trust list")["found"].as_str().unwrap();
    assert_eq!(level(&findings, "trust list"), "ok", "{found}");
    assert!(
        found.starts_with("2 keys trusted: 1 in the configuration, 1 in ")
            && found.contains("keys.toml"),
        "{found}"
    );
    let (code, findings) = doctor(dir.path(), &[]);
    assert_eq!(
        (code, level(&findings, "trust list")),
        (Some(0), "warn"),
        "signatures are asked for and nobody is trusted: {findings:?}"
    );
    assert!(
        finding(&findings, "trust list")["found"]
            .as_str()
            .unwrap()
            .contains("REQUIRE_SIGNED is on"),
        "{findings:?}"
    );
    let (_, findings) = doctor(dir.path(), &[("REQUIRE_SIGNED", "false"), settings[0]]);
    assert_eq!(level(&findings, "trust list"), "warn", "{findings:?}");

    // Active by alice's signature; then alice is off the list.
    let required = [("RAIL", "sandbox"), ("REQUIRE_SIGNED", "true"), settings[0]];
    let lucid = Lucid::serve_with(&required);
    let mut bundle = other_version("observation-only", "1.1.0");
    let id = KeyId::of(PublicKey(key(1).verifying_key().to_bytes()));
    bundle.add_signatures(&[BundleSignature {
        key: id,
        signature: key(1).sign(&bundle.statement()).to_bytes(),
    }]);
    let admin = lucid.token("root", "admin");
    assert_eq!(
        lucid.call("POST", "/api/v1/policies", Some(&admin), Some(&as_json(&bundle))).0,
        201
    );
    let path = "/api/v1/policies/scoring/observation-only/1.1.0/activate";
    assert_eq!(lucid.call("POST", path, Some(&admin), Some(&json!({}))).0, 200);
    let (code, findings) = doctor(&lucid.data(), &settings);
    assert_eq!((code, level(&findings, "signatures")), (Some(0), "ok"), "{findings:?}");
    let (code, findings) = doctor(&lucid.data(), &[settings[1]]);
    let found = finding(&findings, "signatures")["found"].as_str().unwrap();
    assert_eq!((code, level(&findings, "signatures")), (Some(1), "fail"), "{found}");
    assert!(
        found.contains("observation-only@1.1.0 (scoring, default)")
            && found.contains(&id.to_string())
            && found.contains("bob"),
        "{found}"
    );
    let (code, findings) = doctor(&lucid.data(), &[("REQUIRE_SIGNED", "false"), settings[1]]);
    assert_eq!(
        (code, level(&findings, "signatures")),
        (Some(0), "ok"),
        "no signature is asked for: {findings:?}"
    );
}

#[test]
fn a_half_copied_store_is_named_with_the_command_that_goes_on() {
    let mut lucid = Lucid::serve();
    assert_eq!(lucid.process.stop(), Some(0));
    // As a copy leaves it that is stopped before its first record.
    let mark = json!({ "v": 1, "from": "mongodb://db1/lucid", "kinds": {} }).to_string();
    let store = rusqlite::Connection::open(lucid.data().join("core.db")).unwrap();
    store.execute("INSERT INTO copying (one, doc) VALUES (1, ?)", [mark]).unwrap();
    drop(store);
    let (code, findings) = doctor(&lucid.data(), &[]);
    assert_eq!(
        (code, level(&findings, "copy"), level(&findings, "integrity")),
        (Some(1), "fail", "ok"),
        "{findings:?}"
    );
    let todo = finding(&findings, "copy")["todo"].as_str().unwrap();
    assert!(
        todo.contains(&format!(
            "`lucid store copy mongodb://db1/lucid sqlite://{}`",
            lucid.data().display()
        )),
        "{todo}"
    );
    assert!(
        findings.iter().all(|found| found["check"] != "policies"),
        "what is missing says nothing: {findings:?}"
    );
}

#[test]
fn a_stamp_that_does_not_fit_is_a_failure() {
    let lucid = Lucid::serve();
    let (code, findings) = doctor(&lucid.data(), &[("RAIL", "none")]);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");
    assert!(
        finding(&findings, "stamp")["found"].as_str().unwrap().contains("made for sandbox"),
        "{findings:?}"
    );
    assert!(finding(&findings, "stamp")["todo"].is_string());
}

#[test]
fn a_mongodb_store_in_use_is_examined_and_what_somebody_changed_by_hand_is_named() {
    let (Some(server), Some(redis)) = (MongoServer::start(), RedisServer::start()) else { return };
    let (database, redis) = (server.database(), redis.url());
    let dir = tempfile::tempdir().unwrap();
    let settings = [("MONGODB_URI", database.as_str()), ("REDIS_URI", redis.as_str())];
    let (code, findings) = doctor(dir.path(), &settings);
    assert_eq!(
        (code, level(&findings, "indices"), level(&findings, "durable writes")),
        (Some(0), "warn", "ok"),
        "before: {findings:?}"
    );
    assert!(server.collections(&database).is_empty(), "nothing is left behind");

    let lucid = Lucid::serve_with(&[("RAIL", "sandbox"), settings[0], settings[1]]);
    let (code, findings) = doctor(&lucid.data(), &settings);
    assert_eq!(code, Some(0), "{findings:?}");
    let fine = [
        "durable writes",
        "database space",
        "indices",
        "stamp",
        "policies",
        "bundles",
        "redis",
        "redis latency",
        "redis memory",
        "clock",
    ];
    for check in fine {
        assert_eq!(level(&findings, check), "ok", "{findings:?}");
    }
    // One server is a warning, unless it is of a replica set.
    assert_ne!(level(&findings, "store"), "fail", "{findings:?}");
    assert!(
        finding(&findings, "stamp")["found"]
            .as_str()
            .unwrap()
            .contains("sandbox (sandbox), rail sandbox, family "),
        "{findings:?}"
    );
    let (code, findings) = doctor(&lucid.data(), &[settings[0], ("RAIL", "none")]);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");

    server.drop_index(&database, "nodes", "live_key");
    let (code, findings) = doctor(&lucid.data(), &settings);
    let found = finding(&findings, "indices")["found"].as_str().unwrap();
    assert_eq!((code, level(&findings, "indices")), (Some(1), "fail"), "{findings:?}");
    assert!(
        found.contains("nodes.live_key is missing (one live node a key)")
            && finding(&findings, "indices")["todo"].is_string(),
        "{found}"
    );
    assert_eq!(
        server.change(
            &database,
            "meta",
            &json!({ "_id": "stamp" }),
            &json!({ "$set": { "network": "elsewhere" } })
        ),
        1
    );
    let (scoring, emptied) = (
        json!({ "policy.name": "observation-weighted" }),
        json!({ "$set": { "component_bytes": 0 } }),
    );
    assert_eq!(server.change(&database, "policy_versions", &scoring, &emptied), 1);
    let (code, findings) = doctor(&lucid.data(), &settings);
    assert_eq!((code, level(&findings, "stamp")), (Some(1), "fail"), "{findings:?}");
    let found = finding(&findings, "bundles")["found"].as_str().unwrap();
    assert!(
        level(&findings, "bundles") == "fail"
            && found.contains("observation-weighted@1.0.0: its component has digest"),
        "{found}"
    );
}

#[test]
fn a_redis_that_is_down_is_a_failure_and_one_that_is_up_shows_its_version_and_clock() {
    let Some(mut redis) = RedisServer::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let url = redis.url();
    let (code, findings) = doctor(dir.path(), &[("REDIS_URI", &url)]);
    assert_eq!((code, level(&findings, "redis")), (Some(0), "ok"), "{findings:?}");
    assert!(
        finding(&findings, "clock")["found"].as_str().unwrap().contains("Redis"),
        "{findings:?}"
    );
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
    let sandbox = SandboxProcess::start();
    let settings = [
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", &nobody),
        ("API_GATEWAY_URL", &nobody),
    ];
    let (code, findings) = doctor(dir.path(), &settings);
    assert_eq!(code, Some(1));
    assert_eq!(level(&findings, "payment service"), "ok", "{findings:?}");
    // Something that answers is no payment service yet.
    let lucid = Lucid::serve();
    let (_, others) = doctor(dir.path(), &[("TRON_PAYMENT_URL", lucid.base.as_str())]);
    assert_eq!(
        (level(&others, "payment service"), level(&others, "blockchain service")),
        ("fail", "fail"),
        "{others:?}"
    );
    assert!(
        finding(&others, "payment service")["todo"]
            .as_str()
            .unwrap()
            .contains("TRON_PAYMENT_TOKEN_FILE"),
        "{others:?}"
    );
    assert_eq!(level(&findings, "blockchain service"), "fail", "{findings:?}");
    assert_eq!(level(&findings, "gateway"), "fail", "{findings:?}");
}

#[test]
fn a_setting_that_cannot_be_read_is_a_finding_and_a_wrong_argument_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let (code, findings) = doctor(dir.path(), &[("LUCID_SCORING_EPOCH_S", "7")]);
    assert_eq!((code, findings.len()), (Some(1), 1));
    assert!(
        finding(&findings, "configuration")["found"].as_str().unwrap().contains("scoring.epoch_s"),
        "{findings:?}"
    );
    assert_eq!(Process::start(&["doctor", "--nonsense"], &[], false).output().0, Some(2));
}
