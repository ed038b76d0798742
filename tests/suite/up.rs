//! `lucid up`, as a newcomer and as a script start it.

use serde_json::Value;

use crate::support::Process;

#[test]
fn up_runs_the_whole_path_unattended() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let args =
        ["up", "--data", data.to_str().unwrap(), "--port", "0", "--for", "58s", "--output", "json"];
    // Somebody's real payment service in the environment must not be touched.
    // Nor must a proxy be asked for this machine.
    let environment = [
        ("TRON_PAYMENT_URL", "http://192.0.2.1:8085"),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("ALL_PROXY", "http://127.0.0.1:9"),
    ];
    let process = Process::start(&args, &environment, false);
    let (code, out) = process.output();
    let events: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let place = |kind: &str| {
        events
            .iter()
            .position(|e| e["event"] == kind && e["type"] == kind)
            .unwrap_or_else(|| panic!("no {kind} in {out}"))
    };
    let path = [
        "policy.activated",
        "node.registered",
        "node.assigned",
        "metrics.stored",
        "score.computed",
        "vote.accepted",
        "payout.completed",
    ];
    let places: Vec<_> = path.iter().map(|kind| place(kind)).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(events.iter().all(|e| e["id"].is_string()
        && e["seq"].is_u64()
        && e["time"].is_string()
        && e["subject"].is_string()
        && e["data"].is_object()));
    assert_eq!(code, Some(0));
}

#[test]
fn a_run_that_ends_too_early_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(
        &[
            "up",
            "--data",
            dir.path().to_str().unwrap(),
            "--port",
            "0",
            "--for",
            "1s",
            "--output",
            "json",
        ],
        &[],
        false,
    );
    assert_eq!(process.output().0, Some(1));
}

#[test]
fn a_busy_port_is_named_with_who_has_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(
        &["up", "--data", dir.path().to_str().unwrap(), "--port", &port],
        &[],
        false,
    );
    let line = process.wait_for(|line| line.contains("is used by").then(|| line.to_owned()));
    assert!(
        line.contains(&format!("port {port} is used by suite")) && line.contains("--port"),
        "{line}"
    );
}

#[test]
fn wrong_configuration_is_exit_code_2_and_names_the_key() {
    for (settings, named) in [
        (vec![], "JWT_SECRET"),
        (vec![], "API_GATEWAY_URL"),
        (vec![("JWT_SECRET", "too short")], "32 bytes"),
        (vec![("API_GATEWAY_URL", "gateway:8080")], "auth.gateway_url"),
        (
            vec![
                ("JWT_SECRET", crate::support::SECRET),
                ("ROLE_MAP", r#"{"auditor":["emperor"]}"#),
            ],
            "emperor",
        ),
        (vec![("JWT_SECRET", crate::support::SECRET), ("ROLE_MAP", "auditor=viewer")], "ROLE_MAP"),
        (
            vec![("JWT_SECRET", crate::support::SECRET), ("LUCID_LIMITS_REGISTRATIONS_BURST", "0")],
            "limits.registrations_burst",
        ),
        (
            vec![
                ("JWT_SECRET", crate::support::SECRET),
                ("MONGODB_URI", "postgres://me:secret@127.0.0.1"),
            ],
            "MONGODB_URI",
        ),
        (
            vec![
                ("JWT_SECRET", crate::support::SECRET),
                ("MONGODB_URI", "mongodb://127.0.0.1:port/"),
            ],
            "mongodb url",
        ),
        (
            vec![
                ("JWT_SECRET", crate::support::SECRET),
                ("REDIS_URI", "rediss://127.0.0.1/#insecure"),
            ],
            "REDIS_URI",
        ),
        (
            vec![("JWT_SECRET", crate::support::SECRET), ("REDIS_URL", "127.0.0.1:6379")],
            "coordination.redis_url",
        ),
        (
            vec![
                ("JWT_SECRET", crate::support::SECRET),
                ("LUCID_POLICIES_TRUSTED_KEYS", r#"{"alice":"12"}"#),
            ],
            "alice: must be an Ed25519 public key",
        ),
        (
            vec![("JWT_SECRET", crate::support::SECRET), ("LUCID_SCORING_EPOCH_S", "7")],
            "scoring.epoch_s",
        ),
        (vec![("JWT_SECRET", crate::support::SECRET), ("LUCID_SCORING_EPOCH", "60")], "epoch"),
        (
            vec![("JWT_SECRET", crate::support::SECRET), ("LUCID_STORE_CACHE_MIB", "0")],
            "store.cache_mib: 0 is not from 1 to 65536",
        ),
        (vec![("JWT_SECRET", crate::support::SECRET), ("LUCID_NONSENSE_X", "1")], "nonsense"),
        (vec![("JWT_SECRET", crate::support::SECRET), ("REWARD_BUDGET_USDT", "ten")], "budget"),
        (
            vec![("JWT_SECRET", crate::support::SECRET), ("POOT_SCORE_MULTIPLIER", "x")],
            "POOT_SCORE_MULTIPLIER",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut settings = settings;
        settings.extend([("NODE_MANAGEMENT_PORT", "0"), ("RAIL", "sandbox")]);
        let mut process =
            Process::start(&["serve", "--data", data.to_str().unwrap()], &settings, true);
        let line = process.wait_for(|line| line.starts_with("lucid:").then(|| line.to_owned()));
        assert!(line.contains(named), "{named}: {line}");
        assert_eq!(process.output_code(), Some(2), "{named}");
    }
}

#[test]
fn a_mongodb_that_does_not_answer_is_named_and_nothing_else_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uri = format!("mongodb://me:hidden@{nobody}/nodes?serverSelectionTimeoutMS=200");
    let settings = [
        ("JWT_SECRET", crate::support::SECRET),
        ("NODE_MANAGEMENT_PORT", "0"),
        ("RAIL", "sandbox"),
        ("MONGODB_URI", uri.as_str()),
    ];
    let mut process =
        Process::start(&["serve", "--data", dir.path().to_str().unwrap()], &settings, true);
    let line = process.wait_for(|line| line.starts_with("lucid:").then(|| line.to_owned()));
    assert!(
        line.contains("cannot open mongodb database nodes") && !line.contains("hidden"),
        "{line}"
    );
    assert_eq!(process.output_code(), Some(1));
    assert!(!dir.path().join("core.db").exists());
}

#[test]
fn a_store_for_real_money_is_never_used_with_the_sandbox() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |rail: &str| {
        let settings = [
            ("JWT_SECRET", crate::support::SECRET),
            ("NODE_MANAGEMENT_PORT", "0"),
            ("LUCID_SERVER_BIND", "127.0.0.1"),
            ("RAIL", rail),
        ];
        Process::start(&["serve", "--data", dir.path().to_str().unwrap()], &settings, true)
    };
    let mut live = serve("none");
    live.wait_for(|line| line.contains("lucid serves").then_some(()));
    assert_eq!(live.stop(), Some(0));
    let mut sandbox = serve("sandbox");
    sandbox.wait_for(|line| line.contains("the store was made for live").then_some(()));
    assert_eq!(sandbox.output_code(), Some(2));
}
