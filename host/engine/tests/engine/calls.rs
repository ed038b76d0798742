use std::sync::Arc;

use lucid_model::{
    epochs::{
        facts::{OBSERVATION_FACTS, REGISTRATION_FACTS, SCORE_CLAIM_FACTS},
        score::Ppm,
    },
    policies::{Batch, PolicyKind, RegistrationClaim, Scope},
};
use lucid_ports::{CallError, PolicyRuntime};

use crate::support::{built_in, call, context, hostile, pool, publish, rig};

#[tokio::test]
async fn each_hostile_policy_fails_alone() {
    let rig = rig();
    let good = built_in("observation-only");
    // The hog is slow: with the usual fuel it ends before its memory does.
    let hostile = |name: &str| {
        let mut bundle = hostile(name);
        if name == "memory-hog" {
            bundle.manifest =
                bundle.manifest.replace("fuel_base = 2000000", "fuel_base = 1000000000");
        }
        bundle
    };
    let hostile_ones = [
        "loop-forever",
        "loop-late",
        "trap",
        "memory-hog",
        "too-few-results",
        "out-of-bounds",
        "bad-reason",
    ]
    .map(hostile);
    let mut bundles = vec![(&good, Scope::Default)];
    bundles.extend(hostile_ones.iter().zip(1..).map(|(bundle, number)| (bundle, pool(number))));
    publish(&rig.engine, 1, &bundles).await.unwrap();
    let snapshot = rig.engine.snapshot();
    let kind_words = [
        "fuel",
        "fuel",
        "unreachable",
        "trap",
        "answered 7 multipliers for 8 rows",
        "larger than 10000000",
        "is not in its table",
    ];
    for (number, words) in (1..).zip(kind_words) {
        let (bad, good) = (
            snapshot.scoring(pool(number), 0).unwrap(),
            snapshot.scoring(Scope::Default, 0).unwrap(),
        );
        let ((bad_context, bad_batch), (good_context, good_batch)) =
            (call(bad.identity(), 8), call(good.identity(), 8));
        let (failed, scored) = tokio::join!(
            bad.score(bad_context.clone(), bad_batch.clone()),
            good.score(good_context, good_batch)
        );
        let failed = failed.unwrap_err();
        assert!(
            matches!(&failed, CallError::Policy { policy, detail } if *policy == bad.identity().policy && detail.contains(words)),
            "{failed}"
        );
        assert_eq!(scored.unwrap().multipliers, vec![Ppm(1_000_000); 8]);
        assert_eq!(
            bad.score(bad_context, bad_batch).await.unwrap_err(),
            failed,
            "a policy's failure says the same each time"
        );
    }
}

#[tokio::test]
async fn a_deadline_is_the_hosts_failure_and_leaves_room_for_others() {
    let mut config = rig().config;
    config.deadline = std::time::Duration::from_millis(200);
    let dir = tempfile::tempdir().unwrap();
    config.cache_dir = dir.path().join("cache");
    let engine = lucid_engine::PolicyEngine::new(config).unwrap();
    let mut slow = hostile("loop-forever");
    slow.manifest = slow.manifest.replace("fuel_base = 2000000", "fuel_base = 10000000000");
    let good = built_in("observation-only");
    publish(&engine, 1, &[(&good, Scope::Default), (&slow, pool(1))]).await.unwrap();
    let snapshot = engine.snapshot();
    let (slow, good) =
        (snapshot.scoring(pool(1), 0).unwrap(), snapshot.scoring(Scope::Default, 0).unwrap());
    let (context, batch) = call(slow.identity(), 1);
    let stuck: Vec<_> = (0..3)
        .map(|_| {
            let (slow, context, batch) = (Arc::clone(&slow), context.clone(), batch.clone());
            tokio::spawn(async move { slow.score(context, batch).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let (context, batch) = call(good.identity(), 4);
    assert!(good.score(context, batch).await.is_ok());
    assert!(
        !stuck.iter().any(tokio::task::JoinHandle::is_finished),
        "the good policy did not wait for the slow one"
    );
    for stuck in stuck {
        let error = stuck.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, CallError::Host { detail, .. } if detail == "did not answer within 200 ms"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn policies_of_every_kind_answer() {
    let rig = rig();
    let bundles = ["observation-weighted", "proportional", "hardware-and-identity"].map(built_in);
    publish(&rig.engine, 3, &bundles.each_ref().map(|bundle| (bundle, Scope::Default)))
        .await
        .unwrap();
    let snapshot = rig.engine.snapshot();
    let scoring = snapshot.scoring(pool(1), 0).expect("a pool without its own has the default");
    let (about, batch) = call(scoring.identity(), 3);
    let scores = scoring.score(about.clone(), batch.clone()).await.unwrap();
    let explained = scoring.explain(about, batch).await.unwrap();
    let sum: u32 = explained.contributions.iter().map(|(_, column)| column[2].0).sum();
    assert_eq!(
        (scores.multipliers[2].0, scores.reasons.len(), explained.contributions.len()),
        (sum, 3, 5)
    );

    let payout = snapshot.payout(Scope::Default, 0).unwrap();
    let facts = payout.identity().facts.clone();
    let columns = facts
        .iter()
        .map(|fact| [if fact.info().name == "eligible" { 1 } else { 5 }; 2].into())
        .collect();
    let weights =
        payout.weigh(context(vec![10; facts.len()]), Batch { count: 2, columns }).await.unwrap();
    assert_eq!(
        (weights.weights, weights.held, weights.caps),
        (vec![5, 5], vec![Ppm(0); 2], vec![0; 2])
    );

    let validation = snapshot.validation(Scope::Default, 0).unwrap();
    let claim = RegistrationClaim {
        facts: REGISTRATION_FACTS.iter().map(|fact| fact.default).collect(),
        texts: vec![None; 4],
    };
    assert_eq!(validation.judge_registration(context(Vec::new()), claim.clone()).await, Ok(Ok(())));
    let mistyped = RegistrationClaim {
        texts: vec![None, None, Some("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HD".into()), None],
        ..claim
    };
    assert!(matches!(
        validation.judge_registration(context(Vec::new()), mistyped).await,
        Ok(Err(_))
    ));
    let session = vec![1_000, 2_000, 3_000, 500, 0, 0, 0, 0, 0];
    assert_eq!(session.len(), OBSERVATION_FACTS.len());
    assert_eq!(
        validation.judge_observations(context(Vec::new()), vec![session; 2]).await.unwrap().len(),
        2
    );
    let claims = vec![vec![8_550, 8_550, 0, 1], vec![8_550, -1, 0, 1]];
    assert_eq!(claims[0].len(), SCORE_CLAIM_FACTS.len());
    let verdicts = validation.judge_score_claims(context(Vec::new()), claims).await.unwrap();
    assert_eq!(verdicts, [Ok(()), Err("there is no receipt for the claimed time".to_owned())]);
}

#[tokio::test]
async fn what_the_caller_gets_wrong_is_no_fault_of_the_policy() {
    let rig = rig();
    publish(&rig.engine, 1, &[(&built_in("observation-weighted"), Scope::Default)]).await.unwrap();
    let policy = rig.engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap();
    let (about, batch) = call(policy.identity(), 2);
    let mut short = batch.clone();
    short.columns[1] = [].into();
    let mut many = batch.clone();
    many.count = 10_001;
    for (about, batch) in
        [(about.clone(), short), (about.clone(), many), (context(Vec::new()), batch.clone())]
    {
        assert!(matches!(policy.score(&about, &batch), Err(CallError::Host { .. })));
    }
    assert!(
        matches!(policy.weigh(&about, &batch), Err(CallError::Policy { .. })),
        "a scoring policy does not weigh"
    );
    assert_eq!(policy.score(&about, &Batch::default()).unwrap().multipliers, []);
}
