//! What another version would have made of epochs that are over.

use std::{process::Command, sync::Arc};

use lucid_model::{
    id::PoolScope,
    policies::{ParamValues, PolicyKind, Revision},
    review::simulation::{Change, Simulation},
    telemetry::credit::Interval,
};
use lucid_ports::Store;
use lucid_service::{Actor, Service, Simulated};
use serde_json::json;

use crate::support::{
    Lucid, SHORT, block_on,
    node::{TestNode, work_until},
    root,
};
use lucid_testkit::fleet;

/// More than one chunk.
const NODES: u32 = 2_300;
const EPOCHS: u32 = 2;

async fn closed_with(policy: &str, cache: &std::path::Path) -> (Arc<dyn Store>, Arc<Service>) {
    let store: Arc<dyn Store> =
        Arc::new(lucid_store_sqlite::Memory::new().unwrap().open().unwrap());
    fleet::register(&store, NODES).await;
    fleet::activate(store.as_ref(), &root().join(format!("policies/{policy}/1.0.0")), Revision(0))
        .await;
    for epoch in 1..=EPOCHS {
        fleet::work(&store, NODES, epoch).await;
    }
    let service = fleet::service(&store, cache, EPOCHS, 2, 1).await;
    while service.epochs.close_due_epoch().await.unwrap().is_some() {}
    (store, service)
}

async fn simulated(service: &Service, policy: &str, pool: Option<PoolScope>) -> Simulation<Change> {
    let version = service
        .policies
        .policy_version(PolicyKind::Scoring, policy, "1.0.0")
        .await
        .unwrap()
        .version;
    let range = Interval { from: fleet::epoch(0).start(), to: fleet::epoch(EPOCHS + 1).end() };
    let (_, Simulated::Scores(simulation)) = service
        .review
        .simulate(&Actor::system(), &version, &ParamValues::new(), (range, pool))
        .await
        .unwrap()
    else {
        panic!("a scoring policy is compared by scores")
    };
    simulation
}

#[test]
fn a_simulated_version_answers_as_it_does_when_it_is_active() {
    block_on(async {
        let cache = tempfile::tempdir().unwrap();
        let (store, service) = closed_with("observation-weighted", cache.path()).await;
        let same = simulated(&service, "observation-weighted", None).await;
        assert_eq!(
            (same.nodes.len(), same.changed()),
            (2_300, 0),
            "what was active changes nothing"
        );
        fleet::activate(
            store.as_ref(),
            &root().join("policies/observation-only/1.0.0"),
            Revision(1),
        )
        .await;
        let other = simulated(&service, "observation-only", None).await;
        assert!(other.changed() > 0 && other.periods == same.periods);
        let [winners, losers] = other.extremes(20);
        assert!(winners.len() + losers.len() >= 20, "{} {}", winners.len(), losers.len());

        let (_, active) = closed_with("observation-only", cache.path()).await;
        let as_it_is = simulated(&active, "observation-only", None).await;
        let of = |simulation: &Simulation<Change>, before: bool| {
            simulation
                .nodes
                .iter()
                .map(|(node, (_, change))| {
                    (*node, if before { change.before } else { change.after })
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&other, false), of(&as_it_is, true));
        let nobody = simulated(
            &service,
            "observation-only",
            Some(PoolScope::Pool(lucid_model::id::PoolId(uuid::Uuid::now_v7()))),
        )
        .await;
        assert_eq!((nobody.nodes.len(), nobody.periods), (0, 0), "a pool that had no nodes");
    });
}

#[test]
fn an_author_simulates_over_http_and_by_command() {
    let lucid = Lucid::serve_with(&SHORT);
    let mut node = TestNode::register(&lucid, "alice", 1);
    let author = lucid.token("bob", "policy-author");
    let path = "/api/v1/policies/scoring/observation-only/1.0.0/simulate";
    let told = work_until(&lucid, &mut node, "a simulation of two epochs", || {
        let (status, told) = lucid.call("POST", path, Some(&author), Some(&json!({})));
        assert_eq!(status, 200, "{told}");
        (told["epochs"].as_u64() >= Some(2) && told["before"]["score_seconds"].as_u64() > Some(0))
            .then_some(told)
    });
    assert_eq!(
        (&told["policy"]["name"], &told["nodes"], &told["scores"]),
        (&json!("observation-only"), &json!(1), &told["epochs"]),
        "{told}"
    );
    let (status, csv) = lucid.call(
        "POST",
        &format!("{path}?format=csv"),
        Some(&author),
        Some(&json!({ "pool_id": "unassigned" })),
    );
    let lines: Vec<_> = csv.as_str().unwrap().lines().collect();
    assert_eq!((status, lines.len()), (200, 2), "{csv}");
    assert!(
        lines[0].starts_with("node_id,pool_id,")
            && lines[1].starts_with(&format!("{},unassigned,", node.id)),
        "{csv}"
    );

    for (question, field) in [
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" }), "to"),
        (json!({ "pool_id": "x" }), "pool_id"),
        (json!({ "params": { "nonsense": 1 } }), "params"),
    ] {
        let (status, refusal) = lucid.call("POST", path, Some(&author), Some(&question));
        assert_eq!(status, 400, "{refusal}");
        assert!(refusal["error"].to_string().contains(field), "{field}: {refusal}");
    }
    let validation = "/api/v1/policies/validation/hardware-and-identity/1.0.0/simulate";
    assert_eq!(lucid.call("POST", validation, Some(&author), Some(&json!({}))).0, 400);
    assert_eq!(
        lucid.call("POST", path, Some(&lucid.token("alice", "node_operator")), Some(&json!({}))).0,
        403
    );

    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, &author).unwrap();
    let run = |more: &[&str]| {
        let args = [
            "policy",
            "simulate",
            "observation-only@1.0.0",
            "--server",
            &lucid.base,
            "--token-file",
            token.to_str().unwrap(),
        ];
        let output =
            Command::new(env!("CARGO_BIN_EXE_lucid")).args(args).args(more).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, table) = run(&[]);
    assert!(
        code == Some(0) && table.contains("mean score") && table.contains("of 1 nodes"),
        "{table}"
    );
    let (code, csv) = run(&["--output", "csv"]);
    assert!(code == Some(0) && csv.lines().count() == 2, "{csv}");
    assert_eq!(run(&["--param", "x"]).0, Some(2));
}
