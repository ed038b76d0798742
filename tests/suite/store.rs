//! A store is moved: the service stops on one backend and goes on with the other as if nothing had
//! been.

use std::path::Path;

use serde_json::{Value, json};

use crate::doctor::{doctor, finding};
use crate::support::{
    Lucid, Process, SHORT, SandboxProcess, eventually, mongo::MongoServer, node::TestNode,
};

fn sqlite(dir: &Path) -> String {
    format!("sqlite://{}", dir.display())
}

/// Runs `lucid store copy`: exit code and report.
fn copy(args: &[&str]) -> (Option<i32>, Value) {
    let args = [&["store", "copy", "--output", "json"], args].concat();
    let (code, text) = Process::start(&args, &[], false).output();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// What the service answers that does not change by itself any more.
struct Answers {
    nodes: Vec<Value>,
    payouts: Vec<Value>,
    scores: Vec<Value>,
    audit: Vec<Value>,
    heads: Vec<Value>,
}

fn items(lucid: &Lucid, path: &str, name: &str) -> Vec<Value> {
    lucid.get(path)[name].as_array().unwrap().clone()
}

impl Answers {
    fn of(lucid: &Lucid, node: &TestNode) -> Self {
        let mut payouts = items(lucid, "/api/v1/payouts?limit=100", "payouts");
        payouts.retain(|payout| payout["status"] == "completed");
        Self {
            nodes: items(lucid, "/api/v1/nodes?limit=100", "nodes"),
            payouts,
            scores: items(
                lucid,
                &format!("/api/v1/poot/scores?limit=100&node_id={}", node.id),
                "scores",
            ),
            audit: items(lucid, "/api/v1/audit?limit=100&order=asc", "entries"),
            heads: items(lucid, "/api/v1/audit/heads", "heads"),
        }
    }

    /// The other ones say all of this, and may say more.
    fn are_in(&self, other: &Self) {
        let fixed = |nodes: &[Value]| -> Vec<_> {
            nodes
                .iter()
                .map(|node| {
                    ["node_id", "name", "ip_address", "port", "owner_id", "created_at"]
                        .map(|field| node[field].clone())
                })
                .collect()
        };
        assert_eq!(fixed(&self.nodes), fixed(&other.nodes));
        for (mine, theirs) in [
            (&self.payouts, &other.payouts),
            (&self.scores, &other.scores),
            (&self.audit, &other.audit),
        ] {
            assert!(!mine.is_empty());
            for item in mine {
                assert!(theirs.contains(item), "{item} is missing");
            }
        }
        for head in &self.heads {
            assert!(
                other.heads.iter().any(|there| there["writer"] == head["writer"]
                    && there["seq"].as_u64() >= head["seq"].as_u64()),
                "{head}"
            );
        }
    }
}

fn work_until_paid(lucid: &Lucid, node: &mut TestNode, more_than: usize) {
    eventually("a payout to be completed", || {
        node.work(lucid);
        let payouts = items(lucid, "/api/v1/payouts?limit=100", "payouts");
        (payouts.iter().filter(|payout| payout["status"] == "completed").count() > more_than)
            .then_some(())
    });
}

#[test]
fn a_service_goes_on_in_the_store_that_its_own_was_copied_into() {
    let Some(server) = MongoServer::start() else { return };
    let sandbox = SandboxProcess::start();
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("TRON_PAYMENT_URL", sandbox.url.as_str()),
        ("BLOCKCHAIN_URL", sandbox.url.as_str()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "100000"),
    ]);
    let mut lucid = Lucid::serve_with(&settings);
    let mut node = TestNode::register(&lucid, "alice", 1);
    work_until_paid(&lucid, &mut node, 0);
    let before = Answers::of(&lucid, &node);
    let (from, to) = (sqlite(&lucid.data()), server.database());

    let (code, said) = copy(&[&from, &to]);
    assert_eq!(code, Some(1), "the service is running: {said}");
    assert_eq!(lucid.process.stop(), Some(0));

    // Killed in the middle: nobody serves what is there, and the same command goes on.
    let mut killed = Process::start(&["store", "copy", &from, &to], &[], false);
    killed.wait_for(|line| line.contains("copying").then_some(()));
    killed.kill();
    let data = lucid.data();
    let mut refused = Process::start(
        &["serve", "--data", data.to_str().unwrap()],
        &[
            ("MONGODB_URI", &to),
            ("RAIL", "sandbox"),
            ("JWT_SECRET", crate::support::SECRET),
            ("NODE_MANAGEMENT_PORT", "0"),
        ],
        true,
    );
    refused.wait_for(|line| line.contains("is not finished").then_some(()));
    assert_eq!(refused.output_code(), Some(2));
    let (code, findings) = doctor(&data, &[("MONGODB_URI", &to)]);
    let told = finding(&findings, "copy");
    assert_eq!((code, told["level"].as_str()), (Some(1), Some("fail")), "{findings:?}");
    assert!(
        told["todo"]
            .as_str()
            .unwrap()
            .contains(&format!("lucid store copy {} mongodb://", from.trim_end_matches('/'))),
        "{told}"
    );
    let (code, report) = copy(&[&from, &to]);
    assert_eq!(
        (code, &report["equal"], &report["resumed"]),
        (Some(0), &json!(true), &json!(true)),
        "{report}"
    );
    let (code, report) = copy(&["--verify-only", &from, &to]);
    assert_eq!((code, &report["equal"]), (Some(0), &json!(true)), "{report}");
    let (code, said) = copy(&[&from, &to]);
    assert_eq!(code, Some(1), "it is not empty any more: {said}");

    lucid.set("MONGODB_URI", &to);
    lucid.crash_and_restart();
    let there = Answers::of(&lucid, &node);
    before.are_in(&there);
    node.prove(&lucid);
    assert!(
        lucid.get("/api/v1/payouts/status")["payments"]["restored_at"].is_string(),
        "a copy pays nothing before it is compared"
    );
    lucid.reconcile_and_resume();
    work_until_paid(&lucid, &mut node, there.payouts.len());

    // And back: the log is whole, with the chains of all who wrote it.
    let after = Answers::of(&lucid, &node);
    assert_eq!(lucid.process.stop(), Some(0));
    let dir = tempfile::tempdir().unwrap();
    let (code, report) = copy(&[&to, &sqlite(&dir.path().join("back"))]);
    assert_eq!((code, &report["equal"]), (Some(0), &json!(true)), "{report}");
    assert!(after.heads.len() >= 2);
    let (code, text) = Process::start(
        &[
            "audit",
            "verify",
            "--output",
            "json",
            "--data",
            dir.path().join("back").to_str().unwrap(),
        ],
        &[],
        false,
    )
    .output();
    let verified: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &verified["intact"]), (Some(0), &json!(true)), "{verified}");
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let one = sqlite(dir.path());
    assert_eq!(copy(&[&one, &one]).0, Some(2), "a store is not copied into itself");
    assert_eq!(copy(&["nowhere", &one]).0, Some(2));
    assert_eq!(copy(&[&one]).0, Some(2));
    assert_eq!(copy(&[&one, &sqlite(&dir.path().join("to"))]).0, Some(1), "there is no store");
    assert!(!dir.path().join("to").exists());
}
