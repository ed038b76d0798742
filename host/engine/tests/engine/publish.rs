use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use lucid_model::policies::{PolicyKind, Revision, Scope};
use lucid_ports::PolicyRuntime;

use crate::support::{
    activation, as_version, built_in, call, hostile, policy_of, pool, publish, rig, stored,
};

#[tokio::test]
async fn a_publication_that_fails_leaves_the_old_snapshot() {
    let rig = rig();
    let good = built_in("observation-only");
    publish(&rig.engine, 4, &[(&good, Scope::Default)]).await.unwrap();
    let bad = hostile("undeclared-import");
    let error =
        publish(&rig.engine, 5, &[(&built_in("proportional"), Scope::Default), (&bad, pool(1))])
            .await
            .unwrap_err();
    assert_eq!(*error.policy, policy_of(&bad));
    assert!(
        error.detail.starts_with("imports: the component imports hostile:env/secrets"),
        "{error}"
    );
    let snapshot = rig.engine.snapshot();
    assert_eq!(snapshot.revision(), Revision(4));
    assert_eq!(snapshot.scoring(pool(1), 0).unwrap().identity().policy, policy_of(&good));
    assert!(snapshot.payout(Scope::Default, 0).is_none());
}

#[tokio::test]
async fn a_publication_names_what_does_not_fit() {
    let rig = rig();
    let bundle = built_in("observation-only");
    let attempt = async |activation, bundles| {
        rig.engine.publish(Revision(1), vec![activation], bundles).await.unwrap_err().detail
    };
    let fitting = || activation(&bundle, 1, Scope::Default, &[]);
    assert!(attempt(fitting(), Vec::new()).await.ends_with("is not there"));
    let mut other_kind = fitting();
    other_kind.kind = PolicyKind::Payout;
    assert!(
        attempt(other_kind, vec![stored(&bundle)])
            .await
            .contains("what is asked for is payout policy")
    );
    let unknown_param = activation(&bundle, 1, Scope::Default, &[("luck", 1)]);
    assert_eq!(
        attempt(unknown_param, vec![stored(&bundle)]).await,
        "param luck: the policy has no such param"
    );
}

#[tokio::test]
async fn the_newest_activation_of_a_scope_counts_and_an_empty_publication_clears() {
    let rig = rig();
    let bundle = built_in("observation-weighted");
    let older = activation(&bundle, 1, Scope::Default, &[("comfortable-load", 1)]);
    let newer = activation(&bundle, 2, Scope::Default, &[("comfortable-load", 2)]);
    rig.engine.publish(Revision(2), vec![newer, older], vec![stored(&bundle)]).await.unwrap();
    let identity =
        rig.engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap().identity().clone();
    assert!(identity.params.contains(&("comfortable-load".to_owned(), 2)));
    assert_eq!(rig.engine.loaded_components(), 1);
    rig.engine.publish(Revision(3), Vec::new(), Vec::new()).await.unwrap();
    assert!(rig.engine.snapshot().scoring(Scope::Default, 0).is_none());
    assert_eq!(rig.engine.loaded_components(), 0, "a component that nobody uses is dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_result_during_swaps_belongs_to_one_version() {
    const SWAPS: u64 = 40;
    let rig = rig();
    let bundle = as_version(&built_in("observation-weighted"), "1.1.0");
    // Every version gives every row the same multiplier, and no two versions the same one.
    let version = |revision: u64| {
        let weight = i64::try_from(revision).unwrap() * 1_000;
        let params = [
            ("observation-time-weight", weight),
            ("session-quality-weight", 0),
            ("uptime-weight", 0),
            ("resource-efficiency-weight", 0),
            ("network-performance-weight", 0),
        ];
        activation(&bundle, revision, Scope::Default, &params)
    };
    let publish = async |revision: u64| {
        rig.engine
            .publish(Revision(revision), vec![version(revision)], vec![stored(&bundle)])
            .await
            .unwrap()
    };
    publish(1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (engine, stop) = (Arc::clone(&rig.engine), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let snapshot = engine.snapshot();
                    let policy = snapshot.scoring(Scope::Default, 0).unwrap();
                    let (context, batch) = call(policy.identity(), 500);
                    let scores = policy
                        .score(context, batch)
                        .await
                        .expect("no call fails because of a swap");
                    let expected = u32::try_from(snapshot.revision().0).unwrap() * 500;
                    assert!(
                        scores.multipliers.iter().all(|multiplier| multiplier.0 == expected),
                        "half of revision {:?}",
                        snapshot.revision()
                    );
                    seen.insert(snapshot.revision().0);
                }
                seen
            })
        })
        .collect();
    for revision in 2..=SWAPS {
        publish(revision).await;
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(!caller.await.unwrap().is_empty());
    }
    assert_eq!(rig.engine.snapshot().revision(), Revision(SWAPS));
}
