//! What an operator asks before a start: whether the configuration can be used, and what becomes of
//! the store.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Lucid, Process, SECRET, SHORT, eventually,
    mongo::MongoServer,
    node::{TestNode, work_until},
};

fn lucid(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    Process::start(arguments, settings, false).output()
}

fn settings_of(document: &str) -> Vec<Value> {
    serde_json::from_str::<Value>(document).unwrap_or_else(|error| panic!("{error}: {document}"))["settings"].as_array().unwrap().clone()
}

#[test]
fn a_configuration_is_checked_and_shown_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lucid.toml");
    std::fs::write(&file, "[payouts]\nmin_amount_usdt = \"12.5\"\n[scoring]\nepoch_s = 600\n")
        .unwrap();
    let (file, data) = (file.to_str().unwrap(), dir.path().join("data"));
    let check =
        ["config", "check", "--config", file, "--data", data.to_str().unwrap(), "--output", "json"];
    let environment = [
        ("JWT_SECRET", SECRET),
        ("REDIS_URI", "redis://user:hidden@cache:6379"),
        ("LUCID_SCORING_EPOCH_S", "1200"),
    ];
    let (code, document) = lucid(&check, &environment);
    assert_eq!(code, Some(0), "{document}");
    let found = settings_of(&document);
    let of = |key: &str| {
        found
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap_or_else(|| panic!("no {key} in {document}"))
    };
    assert_eq!(
        (&of("payouts.min_amount_usdt")["value"], &of("payouts.min_amount_usdt")["from"]),
        (&json!("12.5"), &json!("file"))
    );
    // A variable is stronger than the file.
    assert_eq!(
        (&of("scoring.epoch_s")["value"], &of("scoring.epoch_s")["from"]),
        (&json!(1200), &json!("environment"))
    );
    assert_eq!(of("store.data_dir")["from"], "flag");
    assert!(!document.contains(SECRET) && !document.contains("hidden"), "{document}");
    assert!(!data.exists(), "nothing is made");
    assert!(found.iter().all(|setting| setting["from"] != "default"));
    let (_, all) = lucid(&[check.as_slice(), &["--all"]].concat(), &environment);
    assert!(settings_of(&all).len() > 80, "{all}");
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_by_the_name_of_the_setting() {
    let missing = "/nowhere/token";
    for (settings, named) in [
        (vec![], "JWT_SECRET"),
        (
            vec![("JWT_SECRET", SECRET), ("PAYOUT_MIN_AMOUNT_USDT", "1.2345678")],
            "payouts.min_amount_usdt",
        ),
        (vec![("JWT_SECRET", "short")], "auth.jwt_secret"),
        (
            vec![
                ("JWT_SECRET", SECRET),
                ("TRON_PAYMENT_URL", "http://rail:8085"),
                ("TRON_PAYMENT_TOKEN_FILE", missing),
            ],
            "rail.token_file",
        ),
        (
            vec![("JWT_SECRET", SECRET), ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")],
            "tracing.otlp_url",
        ),
        (vec![("JWT_SECRET", SECRET), ("OTEL_TRACES_SAMPLER_ARG", "1.5")], "tracing.sample_ppm"),
        (vec![("JWT_SECRET", SECRET), ("LUCID_SCORING_EPOCHS", "5")], "epochs"),
        (vec![("JWT_SECRET", SECRET), ("LUCID_STORE_URL", "memory://")], "store.url"),
        (vec![("JWT_SECRET_FILE", missing)], "auth.jwt_secret_file"),
    ] {
        let mut process = Process::start(&["config", "check"], &settings, true);
        process.wait_for(|line| line.contains(named).then_some(()));
        assert_eq!(process.output_code(), Some(2), "{named}");
    }
}

#[test]
fn what_is_wrong_with_a_setting_is_said_by_its_name_and_its_variable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = |settings: &[(&str, &str)], toml: &str| {
        std::fs::write(file.path(), toml).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lucid"));
        command
            .args(["config", "check", "--config"])
            .arg(file.path())
            .envs(settings.iter().copied());
        if !toml.contains("jwt_secret") {
            command.env("JWT_SECRET", SECRET);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{settings:?} {toml}: {said}");
        for ours in ["figment", "for key", "default.", "Serialized", "in `"] {
            assert!(!said.contains(ours), "{said}");
        }
        said
    };
    for (variable, value, expected) in [
        (
            "TRON_PAYMENT_URL",
            "foo",
            "rail.url (TRON_PAYMENT_URL): \"foo\" must begin with http:// or https:// and name a host",
        ),
        (
            "BLOCKCHAIN_URL",
            "ftp://chain",
            "chain.url (BLOCKCHAIN_URL): \"ftp://chain\" must begin with http:// or https://",
        ),
        (
            "API_GATEWAY_URL",
            "http://",
            "auth.gateway_url (API_GATEWAY_URL): \"http://\" must begin with",
        ),
        (
            "REDIS_URI",
            "http://redis",
            "coordination.redis_url (REDIS_URI): must begin with redis://",
        ),
        ("MONGODB_URI", "mongodb://:bad", "mongodb url"),
        (
            "REWARD_BUDGET_USDT",
            "-5",
            "payouts.budget_usdt (REWARD_BUDGET_USDT): \"-5\" is less than 0: an amount in USDT is from 0 to",
        ),
        (
            "PAYOUT_CYCLE_CAP_USDT",
            "much",
            "payouts.cycle_cap_usdt (PAYOUT_CYCLE_CAP_USDT): \"much\" is no amount",
        ),
        (
            "PAYEE_SHARE_MAX_PPM",
            "2000000",
            "payouts.payee_share_max_ppm (PAYEE_SHARE_MAX_PPM): 2000000 is more than 1000000",
        ),
        (
            "NODE_MANAGEMENT_PORT",
            "http",
            "server.port (NODE_MANAGEMENT_PORT): \"http\" is not a whole number from 0 to 65535",
        ),
        (
            "LUCID_SERVER_PORT",
            "70000",
            "server.port (LUCID_SERVER_PORT): 70000 is not a whole number from 0 to 65535",
        ),
        (
            "LUCID_SERVER_PROT",
            "1",
            "server.prot (LUCID_SERVER_PROT): there is no such setting: known are bind, port,",
        ),
        ("LUCID_RIAL_URL", "x", "there is no such setting: known are server, store,"),
        (
            "RAIL",
            "money",
            "rail.kind (RAIL): \"money\" is unknown: must be one of auto, sandbox, none",
        ),
        ("FOUR_EYES", "maybe", "payouts.four_eyes (FOUR_EYES): \"maybe\" is not true or false"),
    ] {
        let said = check(&[(variable, value)], "");
        assert!(said.contains(expected), "{variable}={value}: {said}");
    }
    let place = file.path().display();
    for (toml, expected) in [
        (
            "[payouts]\nbudget_usdt = 25\n",
            format!("payouts.budget_usdt ({place}): 25 is not a text"),
        ),
        (
            "[payouts]\nbudget = \"25\"\n",
            format!("payouts.budget ({place}): there is no such setting"),
        ),
        ("[server]\nport = \"x\"\n", format!("server.port ({place}): \"x\" is not a whole number")),
        ("[auth]\njwt_secret = 12345678\n", "what is set is not a text".to_owned()),
        ("[server\n", "line 1".to_owned()),
    ] {
        let said = check(&[], toml);
        assert!(said.contains(&expected) && !said.contains("12345678"), "{toml}: {said}");
    }
}

fn upgrade(data: &Path) -> (Option<i32>, Vec<Value>) {
    let (code, document) = lucid(
        &["upgrade", "check", "--data", data.to_str().unwrap(), "--output", "json"],
        &[("JWT_SECRET", SECRET)],
    );
    let document: Value =
        serde_json::from_str(&document).unwrap_or_else(|error| panic!("{error}: {document}"));
    (code, document["parts"].as_array().unwrap().clone())
}

fn core(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("core.db")).unwrap()
}

/// A store as the binary of the schema before left it, with money in it: this one says what it will
/// do, does it, and everything is there.
#[test]
fn a_store_of_the_schema_before_is_taken_over() {
    let mut settings = SHORT.to_vec();
    settings.push(("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"));
    let mut service = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&service, "alice", 1);
    work_until(&service, &mut node, "a payment", || {
        (service.get("/api/v1/payouts?status=completed")["pagination"]["total"].as_u64()? > 0)
            .then_some(())
    });
    let (code, parts) = upgrade(&service.data());
    assert_eq!((code, parts.len()), (Some(0), 2), "beside the service: {parts:?}");
    assert!(parts.iter().all(|part| part["start"] == "current"), "{parts:?}");
    let data = service.data();
    service.stop_for_a_while(|| {
        // The last step renames a column, which is undone first.
        let file = core(&data);
        file.execute_batch("ALTER TABLE webhooks RENAME COLUMN sealed_secret TO secret").unwrap();
        let schema =
            || file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
        let known = schema();
        file.execute_batch(&format!("PRAGMA user_version = {}", known - 1)).unwrap();
        let (code, parts) = upgrade(&data);
        let expected = (Some(0), &json!("migrates"), &json!(known - 1), &json!(known));
        assert_eq!((code, &parts[0]["start"], &parts[0]["schema"], &parts[0]["known"]), expected);
        assert_eq!(schema(), known - 1, "it only looks");
    });
    let before = service.get("/api/v1/payouts/status")["last_period"].clone();
    work_until(&service, &mut node, "another settlement", || {
        (service.get("/api/v1/payouts/status")["last_period"] != before).then_some(())
    });
    let (code, said) = service.treasurer("carol", &["audit"]);
    assert!(code == Some(0) && said.contains("\"in_order\":true"), "{said}");
}

#[test]
fn a_store_of_a_newer_schema_is_refused() {
    let mut service = Lucid::serve();
    assert_eq!(service.process.stop(), Some(0));
    core(&service.data()).execute_batch("PRAGMA user_version = 1000").unwrap();
    let (code, parts) = upgrade(&service.data());
    assert_eq!(
        (code, &parts[0]["start"], &parts[1]["start"]),
        (Some(2), &json!("refused"), &json!("current")),
        "{parts:?}"
    );
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(
        lucid(
            &["upgrade", "check", "--data", nothing.path().to_str().unwrap()],
            &[("JWT_SECRET", SECRET)]
        )
        .0,
        Some(2)
    );
}

/// Two binaries on one database: this one, and one that knows the same schema. Of an older schema
/// it says that the older ones are shut out.
#[test]
fn a_database_says_what_a_start_would_do() {
    let Some(server) = MongoServer::start() else { return };
    let url = server.database();
    let check = || {
        let (code, document) = lucid(
            &["upgrade", "check", "--store", &url, "--output", "json"],
            &[("JWT_SECRET", SECRET)],
        );
        (
            code,
            serde_json::from_str::<Value>(&document)
                .unwrap_or_else(|error| panic!("{error}: {document}"))["parts"][0]
                .clone(),
        )
    };
    assert_eq!(check().1["start"], "new");
    let service = Lucid::serve_with(&[("RAIL", "sandbox"), ("MONGODB_URI", &url)]);
    let beside = Lucid::serve_with(&[("RAIL", "sandbox"), ("MONGODB_URI", &url)]);
    eventually("both to be ready", || {
        (service.get("/api/v1/nodes")["pagination"]["total"]
            == beside.get("/api/v1/nodes")["pagination"]["total"])
            .then_some(())
    });
    let (code, part) = check();
    assert_eq!((code, &part["start"]), (Some(0), &json!("current")), "{part}");
}
