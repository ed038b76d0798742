//! What the service does when an active policy fails: a rule for each kind, none of which guesses.

use std::{fs, path::PathBuf};

use lucid_engine::{EngineConfig, PolicyEngine};
use lucid_model::{
    epochs::receipt::epoch_root,
    policies::{CallContext, ParamValues},
};
use lucid_ports::{EpochFilter, Order, PageRequest, PolicyRuntime};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Lucid, SHORT, block_on, copy_dir, eventually, node::TestNode, now_ms, redis::RedisServer, root,
};

/// What the bombs fail at: see `plugins/hostile/bomb-on-*`.
const STORAGE_FUSE: u64 = 131_313_131_313;
const LONG_STORAGE_FUSE: u64 = 131_313_131_314;
const MEMORY_FUSE: u64 = 13_131_313_131;
const QUALITY_FUSE: f64 = 0.131_313;

/// A service with short epochs that watches a folder of the test's own, and the folder.
struct Rig {
    lucid: Lucid,
    policies: PathBuf,
    _dir: TempDir,
}

fn rig(more: &[(&str, &str)]) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    copy_dir(&root().join("policies"), &policies);
    for bomb in ["bomb-on-a-fact", "bomb-on-a-claim", "bomb-on-a-share"] {
        copy_dir(&root().join("plugins/hostile/bundles").join(bomb), &policies.join(bomb));
    }
    let mut settings = SHORT.to_vec();
    settings.extend([
        ("LUCID_POLICIES_DIR", policies.to_str().unwrap()),
        ("LUCID_PAYOUTS_SANDBOX_FUNDS_USDT", "1000"),
    ]);
    settings.extend(more);
    Rig { lucid: Lucid::serve_with(&settings), policies, _dir: dir }
}

impl Rig {
    /// Activates a version, and waits until the service goes by it: the store knows it a moment
    /// before.
    fn activate(&self, kind: &str, name: &str) {
        let wanted =
            format!("[[activate]]\nkind = \"{kind}\"\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        let activated = || {
            let log = self.lucid.process.log();
            log.lines()
                .filter(|line| line.contains("policy activated") && line.contains(name))
                .count()
        };
        let before = activated();
        fs::write(self.policies.join("active.toml"), wanted).unwrap();
        eventually("the activation", || (activated() > before).then_some(()));
    }

    /// The first alert about something, as it is told.
    fn alert(&self, about: &str) -> String {
        let wanted = format!("\"{about}\"");
        eventually(about, || {
            self.lucid
                .process
                .log()
                .lines()
                .find(|line| line.contains("alert") && line.contains(&wanted))
                .map(str::to_owned)
        })
    }

    /// Scores of a node, of epochs that began after a moment.
    fn scores(&self, node: &TestNode, after_ms: i64) -> Vec<Value> {
        let scores = self.lucid.get(&format!("/api/v1/poot/scores?node_id={}&limit=100", node.id));
        scores["scores"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["epoch"].as_i64().unwrap() * 1000 > after_ms)
            .cloned()
            .collect()
    }

    /// The first score of an epoch that began after a moment, while the nodes go on working.
    fn score_after(&self, nodes: &mut [TestNode], of: usize, after_ms: i64) -> Value {
        let mut next = std::time::Instant::now();
        eventually("a score", || {
            if std::time::Instant::now() >= next {
                nodes.iter_mut().for_each(|node| node.work(&self.lucid));
                next += std::time::Duration::from_millis(1_000);
            }
            self.scores(&nodes[of], after_ms).pop()
        })
    }
}

fn with_storage(bytes: u64) -> impl FnOnce(&mut Value) {
    move |body| body["hardware"]["storage_bytes"] = json!(bytes)
}

fn session(quality: f64) -> Value {
    let at = |minutes: i64| lucid_model::time::TimeMs(now_ms() - minutes * 60_000).to_string();
    json!({ "session_id": uuid::Uuid::now_v7().to_string(), "start_time": at(30), "end_time": at(0), "quality_score": quality })
}

/// Computes every epoch of a store again, each chunk with the version its header names.
fn recompute_all(rig: &mut Rig) -> Vec<String> {
    rig.lucid.process.kill();
    let cache = tempfile::tempdir().unwrap();
    let engine = PolicyEngine::new(EngineConfig::new(cache.path().join("cache"))).unwrap();
    let url = format!("sqlite://{}", rig.lucid.data().display());
    block_on(async {
        let store = lucid_testkit::STORES.open(&url).await.unwrap();
        let page = PageRequest { page: 1, limit: 100, sort: (), order: Order::Ascending };
        let mut used = Vec::new();
        for record in store.epochs(EpochFilter::default(), page).await.unwrap().items {
            let (frame, scored) = (
                store.frame(record.epoch.start_s).await.unwrap(),
                store.scored(record.epoch.start_s).await.unwrap(),
            );
            assert_eq!(epoch_root(&scored), record.root);
            for (frame, scored) in frame.iter().zip(&scored) {
                let stored = store.bundle(scored.header.policy.digest).await.unwrap().unwrap();
                let policy = engine.load_scoring(stored.into(), ParamValues::new()).await.unwrap();
                assert_eq!(
                    (policy.identity().params_digest(), frame.digest()),
                    (scored.header.params, scored.header.frame)
                );
                let (batch, totals) = frame.project(&policy.identity().facts);
                let (epoch_start_s, period_s) =
                    (frame.period.start_s, frame.period.length.seconds());
                let context = CallContext {
                    epoch_start_s,
                    period_s,
                    seed: CallContext::seed_of(epoch_start_s, frame.pool),
                    totals,
                };
                let again = policy.score(context, batch).await.unwrap();
                assert_eq!(
                    again.multipliers,
                    scored.rows.iter().map(|row| row.multiplier).collect::<Vec<_>>()
                );
                used.push(scored.header.policy.name.clone());
            }
        }
        used
    })
}

#[test]
fn a_pool_that_a_policy_fails_for_is_scored_again_by_the_last_good_version() {
    is_scored_by_the_last_good_version(rig(&[]));
}

/// There each chunk is stored by itself, before anybody knows of the others.
#[test]
fn so_is_one_that_replicas_score_together() {
    let Some(redis) = RedisServer::start() else { return };
    is_scored_by_the_last_good_version(rig(&[("REDIS_URI", &redis.url())]));
}

fn is_scored_by_the_last_good_version(mut rig: Rig) {
    let mut nodes = [
        TestNode::register(&rig.lucid, "alice", 1),
        TestNode::register_with(&rig.lucid, "alice", 2, with_storage(STORAGE_FUSE)),
    ];
    nodes.iter_mut().for_each(|node| node.work(&rig.lucid));
    rig.activate("scoring", "bomb-on-a-fact");
    let activated_ms = now_ms();
    let score = rig.score_after(&mut nodes, 0, activated_ms);
    // One of two is more than one in a hundred, so neither has a score of the version that failed.
    for score in [score, rig.score_after(&mut nodes, 1, activated_ms)] {
        assert_eq!(
            (score["policy"]["name"].as_str(), score["held"].as_bool()),
            (Some("observation-weighted"), Some(false)),
            "{score}"
        );
    }
    let told = rig.alert("policy-replaced");
    assert!(
        told.contains("observation-weighted@1.0.0 in the place of bomb-on-a-fact@1.0.0")
            && told.contains("unreachable"),
        "{told}"
    );
    assert!(recompute_all(&mut rig).iter().all(|used| used == "observation-weighted"));
}

#[test]
fn a_node_that_a_policy_fails_for_alone_is_held_with_the_reason() {
    let rig = rig(&[
        ("LUCID_AUTH_NODES_PER_OWNER_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_IP_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_IPV4_24_MAX", "0"),
        ("LUCID_AUTH_NODES_PER_WALLET_MAX", "0"),
        ("LUCID_LIMITS_REGISTRATIONS_PER_MIN", "100000"),
        ("LUCID_LIMITS_REGISTRATIONS_BURST", "100000"),
        ("LUCID_LIMITS_OTHER_PER_MIN", "1000000"),
        // Longer than it takes to register a hundred nodes and one.
        ("LUCID_SCORING_EPOCH_S", "10"),
    ]);
    let bad = TestNode::register_with(&rig.lucid, "alice", 1, with_storage(STORAGE_FUSE));
    let mut nodes: Vec<_> = std::iter::once(bad)
        .chain((2..=101).map(|number| TestNode::register(&rig.lucid, "alice", number)))
        .collect();
    nodes.iter_mut().for_each(|node| node.work(&rig.lucid));
    rig.activate("scoring", "bomb-on-a-fact");
    let activated_ms = now_ms();
    let held = rig.score_after(&mut nodes[..1], 0, activated_ms);
    assert_eq!(
        (held["policy"]["name"].as_str(), held["held"].as_bool()),
        (Some("bomb-on-a-fact"), Some(true)),
        "{held}"
    );
    assert!(held["reason"].as_str().is_some_and(|reason| reason.contains("unreachable")), "{held}");
    let scored = rig.scores(&nodes[100], activated_ms).pop().unwrap();
    assert_eq!(
        (scored["policy"]["name"].as_str(), scored["held"].as_bool()),
        (Some("bomb-on-a-fact"), Some(false)),
        "{scored}"
    );
    rig.alert("held-nodes");
    // Epochs before it may have closed while most of the nodes were still being registered: there
    // one is more than one in a hundred.
    let replaced = format!("epoch {} was scored by the last good version", held["epoch"]);
    assert!(!rig.lucid.process.log().contains(&replaced), "{}", rig.lucid.process.log());
}

#[test]
fn what_the_host_cannot_do_is_tried_again_and_never_an_outcome() {
    let rig = rig(&[]);
    let mut nodes =
        [TestNode::register_with(&rig.lucid, "alice", 1, with_storage(LONG_STORAGE_FUSE))];
    nodes[0].work(&rig.lucid);
    rig.activate("scoring", "bomb-on-a-fact");
    let activated_ms = now_ms();
    let told = rig.alert("epoch");
    assert!(
        told.contains(
            "the host could not run policy bomb-on-a-fact@1.0.0: used up its native stack"
        ),
        "{told}"
    );
    assert!(
        !rig.lucid.process.log().contains("policy-replaced"),
        "another version answers for a policy's fault, not for the host's"
    );
    rig.activate("scoring", "observation-weighted");
    let score = rig.score_after(&mut nodes, 0, activated_ms - 10_000);
    assert_eq!(
        (score["policy"]["name"].as_str(), score["held"].as_bool()),
        (Some("observation-weighted"), Some(false)),
        "{score}"
    );
}

#[test]
fn a_score_on_demand_says_that_the_last_good_version_gave_it() {
    let rig = rig(&[]);
    let good = TestNode::register(&rig.lucid, "alice", 1);
    let bad = TestNode::register_with(&rig.lucid, "alice", 2, with_storage(STORAGE_FUSE));
    rig.activate("scoring", "bomb-on-a-fact");
    let calculate = |node: &TestNode| {
        let request = json!({ "node_id": node.id.to_string(), "observation_data": [session(0.5)] });
        let (status, score) = rig.lucid.call(
            "POST",
            "/api/v1/poot/calculate",
            Some(&rig.lucid.token("alice", "node_operator")),
            Some(&request),
        );
        assert_eq!(status, 200, "{score}");
        score
    };
    let score = calculate(&good);
    assert_eq!(
        (score["policy"]["name"].as_str(), score.get("policy_failure")),
        (Some("bomb-on-a-fact"), None),
        "{score}"
    );
    let score = calculate(&bad);
    assert_eq!(score["policy"]["name"], "observation-weighted", "{score}");
    assert!(
        score["policy_failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("policy bomb-on-a-fact@1.0.0 failed")),
        "{score}"
    );
}

#[test]
fn a_claim_that_cannot_be_judged_is_refused_for_now_or_judged_before_the_close() {
    let rig = rig(&[]);
    let mut nodes = [TestNode::register(&rig.lucid, "alice", 1)];
    nodes[0].work(&rig.lucid);
    rig.activate("validation", "bomb-on-a-claim");
    let activated_ms = now_ms();
    let key = crate::support::node::key(2);
    let mut body = crate::support::node::registration(&key, 9_002);
    body["hardware"]["memory_bytes"] = json!(MEMORY_FUSE);
    let body = serde_json::to_vec(&body).unwrap();
    let headers =
        crate::support::node::registration_headers(&key, &body, now_ms(), "nonce-of-a-bomb-0001");
    let (status, refused) = rig.lucid.send(
        "POST",
        "/api/v1/nodes",
        Some(&rig.lucid.token("alice", "node_operator")),
        Some(body),
        &headers,
    );
    assert_eq!(status, 503, "{refused}");

    let (status, answer) = nodes[0].report(
        &rig.lucid,
        "observations",
        &json!({ "observations": [session(QUALITY_FUSE)] }),
    );
    assert_eq!(status, 200, "{answer}");
    assert!(answer.to_string().contains("unverified"), "{answer}");
    rig.score_after(&mut nodes, 0, activated_ms);
    let log = rig.lucid.process.log();
    let judged = log
        .lines()
        .find(|line| line.contains("judged by the last good version"))
        .unwrap_or_else(|| panic!("{log}"));
    assert!(judged.contains("hardware-and-identity@1.0.0"), "{judged}");
}

#[test]
fn money_that_no_policy_can_share_is_held_until_one_can() {
    let rig = rig(&[]);
    let mut nodes = [TestNode::register_with(&rig.lucid, "alice", 1, with_storage(STORAGE_FUSE))];
    rig.activate("payout", "bomb-on-a-share");
    rig.score_after(&mut nodes, 0, now_ms());
    let mut next = std::time::Instant::now();
    let told = eventually("the alert", || {
        if std::time::Instant::now() >= next {
            nodes[0].work(&rig.lucid);
            next += std::time::Duration::from_millis(1_000);
        }
        rig.lucid
            .process
            .log()
            .lines()
            .find(|line| line.contains("\"payout-policy-failure\""))
            .map(str::to_owned)
    });
    assert!(
        told.contains("is held") && told.contains("policy bomb-on-a-share@1.0.0 failed"),
        "{told}"
    );
    let payouts = rig.lucid.get("/api/v1/payouts");
    assert_eq!(payouts["payouts"], json!([]), "nothing was guessed");
    rig.activate("payout", "proportional");
    eventually("the payout", || {
        let payouts = rig.lucid.get("/api/v1/payouts");
        payouts["payouts"].as_array()?.iter().any(|p| p["status"] == "completed").then_some(())
    });
}
