//! Epochs, frames, reports, policies and the audit log.

use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        receipt::{ScoredChunk, epoch_root},
    },
    id::{Digest, PoolScope},
    policies::{ParamValues, PolicyKind, Revision, Scope},
    time::TimeMs,
};
use lucid_ports::{
    Activated, Attempt, AuditFilter, AuditLog, AuditStore, EpochStore, FrameStore, NodeStore,
    Order, PolicyStore, Registration, Report, ReportOutcome, ScoreFilter, ScoreSort, ScoreStore,
    SeriesStore, TelemetryStore, VoteFilter, VoteStore,
};
use lucid_store_conformance::{all, epochs::frame, examples::*, policies};

use super::{MongoStore, at_every_command, entry, told};

/// Two pools of a node each.
fn chunks(number: u32) -> Vec<ScoredChunk> {
    let i = i64::from(number);
    vec![
        chunk(i, 0, PoolScope::Unassigned, vec![row(1, number)]),
        chunk(i, 1, PoolScope::Pool(pool_id(1)), vec![row(2, number)]),
    ]
}

/// Each of the two nodes counted each epoch once, and has the score of the last one: its own, its
/// latest, and in its history.
async fn nodes_have(store: &MongoStore, number: u32) {
    for id in [node_id(1), node_id(2)] {
        let counted = store.node(id).await.unwrap().unwrap();
        assert_eq!(
            (counted.observed_s, counted.score.unwrap().0),
            (1_800 * u64::from(number), number)
        );
        let of_node = ScoreFilter { node: Some(id), ..ScoreFilter::default() };
        assert_eq!(
            store
                .scores(&of_node, all(ScoreSort::CalculatedAt, Order::Ascending))
                .await
                .unwrap()
                .total,
            u64::from(number)
        );
    }
    let latest = store
        .scores(&ScoreFilter::default(), all(ScoreSort::NodeId, Order::Ascending))
        .await
        .unwrap();
    assert_eq!(latest.items.iter().map(|view| view.row.score.0).collect::<Vec<_>>(), [number; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_after_a_close_and_is_cut_off() {
    let record =
        |number: u32| EpochRecord { root: epoch_root(&chunks(number)), ..epoch(i64::from(number)) };
    let attempt = |number: u32| Attempt::from_bytes([u8::try_from(number).unwrap(); 12]);
    at_every_command(
        async |store, number| {
            if number == 1 {
                store.register_node(registration(node(1))).await.unwrap();
                store.register_node(registration(node(2))).await.unwrap();
            }
            store
                .stage_chunks(period(i64::from(number)), attempt(number), chunks(number))
                .await
                .unwrap();
            store.close_staged(record(number), attempt(number)).await.unwrap();
        },
        async |store, _| {
            while store.apply_scores().await? {}
            Ok(())
        },
        async |store, number, _| {
            assert_eq!(store.last_epoch().await.unwrap(), Some(record(number)));
            for row in chunks(number).into_iter().flat_map(|chunk| chunk.rows) {
                let found = store.score(i64::from(number) * HOUR, row.node).await.unwrap();
                assert_eq!(found.map(|view| view.row), Some(row), "wherever it stopped");
            }
            while store.apply_scores().await.unwrap() {}
            nodes_have(store, number).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_of_an_epoch_that_is_cut_off() {
    let votes = |number: u32| vec![vote(i64::from(number), 1), vote(i64::from(number), 2)];
    at_every_command(
        async |store, number| {
            if number == 1 {
                store.register_node(registration(node(1))).await.unwrap();
                store.register_node(registration(node(2))).await.unwrap();
            }
        },
        async |store, number| {
            store.commit_epoch(epoch(i64::from(number)), chunks(number), votes(number)).await
        },
        async |store, number, answered| {
            let seen = store
                .last_epoch()
                .await
                .unwrap()
                .is_some_and(|last| last.epoch == period(i64::from(number)));
            // The next attempt would close it otherwise, if there was none before it.
            let other = EpochRecord { rules: 2, ..epoch(i64::from(number)) };
            let again = store.commit_epoch(other, chunks(number), votes(number)).await.unwrap();
            assert_eq!(again.is_some(), !seen, "whoever closed it says so");
            let closed = store.last_epoch().await.unwrap().unwrap();
            for told in [answered.flatten(), again].into_iter().flatten() {
                assert_eq!(told, closed, "and says what counts");
            }
            assert_eq!(
                store
                    .commit_epoch(epoch(i64::from(number)), chunks(number), votes(number))
                    .await
                    .unwrap(),
                None
            );
            assert_eq!(store.scored(i64::from(number) * HOUR).await.unwrap(), chunks(number));
            assert_eq!(
                store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap().total,
                2 * u64::from(number)
            );
            for (i, earned) in
                store.totals(0, i64::from(number + 1) * HOUR).await.unwrap().iter().enumerate()
            {
                assert_eq!(
                    (earned.epochs, earned.observed_s),
                    (number, 1_800 * u64::from(number)),
                    "node {i}"
                );
            }
            nodes_have(store, number).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_cut_off() {
    // So many samples that the live document is sealed into a bucket, and two sessions to fold.
    let first = |number: u32| Report {
        samples: (0..80).map(|i| sample(number, i, 1)).collect(),
        ..report(number, 90)
    };
    let second = |number: u32| Report {
        sequence: Some((1, Digest::of(b"body"))),
        samples: (80..160).map(|i| sample(number, i, 1)).collect(),
        presence: Some(span(0, 200)),
        sessions: (0..2).map(|i| session(u128::from(number) * 2 + i, number, 0, 100)).collect(),
        ..report(number, 200)
    };
    at_every_command(
        async |store, number| {
            store.register_node(registration(node(number))).await.unwrap();
            store.store_report(first(number)).await.unwrap();
        },
        async |store, number| store.store_report(second(number)).await,
        async |store, number, answered| {
            if let Some(answered) = answered {
                assert!(
                    matches!(&answered, ReportOutcome::Stored(sessions) if sessions.len() == 2),
                    "{answered:?}"
                );
            }
            let again = store.store_report(second(number)).await.unwrap();
            assert!(
                matches!(again, ReportOutcome::Stored(_) | ReportOutcome::Repeated),
                "{again:?}"
            );
            assert_eq!(store.store_report(second(number)).await.unwrap(), ReportOutcome::Repeated);
            let samples = store.samples(node_id(number), span(0, 1_000), 1_000).await.unwrap();
            assert_eq!(
                samples.iter().map(|sample| sample.at.0).collect::<Vec<_>>(),
                (0..160).collect::<Vec<_>>()
            );
            assert_eq!(store.usage(node_id(number), span(0, 1_000)).await.unwrap().samples, 160);
            let seen = store.observed(&[node_id(number)], span(0, 1_000)).await.unwrap().remove(0);
            assert_eq!((seen.sessions.len(), seen.presence), (2, vec![span(0, 200)]));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_cut_off_while_it_is_kept_and_activated() {
    let stored = |number: u32| {
        let mut stored = policies::bundle(&format!("policy {number}"), i64::from(number));
        stored.bundle.component = vec![u8::try_from(number % 256).unwrap(); 9 << 20];
        stored
    };
    let activation = |number: u32| lucid_model::policies::Activation {
        revision: Revision(0),
        kind: PolicyKind::Scoring,
        scope: Scope::Default,
        policy: policy(&format!("policy {number}")),
        params: ParamValues::default(),
        from_s: 0,
        at: TimeMs(5),
        actor: "alice".into(),
        reason: String::new(),
    };
    let before = |number: u32| Revision(u64::from(number) - 1);
    at_every_command(
        async |_, _| {},
        async |store, number| {
            store.add_version(stored(number), entry("policy.add", number)).await?;
            store.activate(before(number), vec![activation(number)], vec![entry("policy.activate", number)]).await
        },
        async |store, number, answered| {
            assert!(answered.is_none_or(|answered| answered == Activated::Done(Revision(u64::from(number)))));
            store.add_version(stored(number), entry("policy.add", number)).await.unwrap();
            assert_eq!(store.bundle(stored(number).version.policy.digest).await.unwrap(), Some(stored(number)));
            store.activate(before(number), vec![activation(number)], vec![entry("policy.activate", number)]).await.unwrap();
            let (revision, active) = store.active().await.unwrap();
            assert_eq!((revision, active.len(), &active[0].policy), (Revision(u64::from(number)), 1, &stored(number).version.policy));
            let subject = number.to_string();
            assert_eq!((told(store, "policy.add", &subject).await, told(store, "policy.activate", &subject).await), (1, 1));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_off_while_it_is_drained() {
    let about =
        |number: u32| AuditFilter { subject: Some(number.to_string()), ..AuditFilter::default() };
    at_every_command(
        async |_, _| {},
        async |store, number| {
            store
                .register_node(Registration {
                    audit: entry("node.register", number),
                    ..registration(node(number))
                })
                .await?;
            store.add_audit(entry("alone", number)).await?;
            store.audit(&about(number), all((), Order::Ascending)).await
        },
        async |store, number, _| {
            store
                .register_node(Registration {
                    audit: entry("node.register", number),
                    ..registration(node(number))
                })
                .await
                .unwrap();
            store.add_audit(entry("alone", number)).await.unwrap();
            let told = store.audit(&about(number), all((), Order::Ascending)).await.unwrap().items;
            let mut actions: Vec<_> =
                told.iter().map(|found| found.entry.action.as_str()).collect();
            actions.sort_unstable();
            assert_eq!(actions, ["alone", "node.register"], "each once");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_cut_off() {
    let of = |number: u32| {
        let chunks = frame(i64::from(number)).into_iter();
        chunks
            .map(|chunk| lucid_model::epochs::frame::FrameChunk {
                period: period(i64::from(number)),
                ..chunk
            })
            .collect::<Vec<_>>()
    };
    at_every_command(
        async |_, _| {},
        async |store, number| {
            store.write_frame(period(i64::from(number)), Box::new(of(number).into_iter())).await
        },
        async |store, number, answered| {
            let other: Vec<_> = frame(7_777)
                .into_iter()
                .map(|chunk| lucid_model::epochs::frame::FrameChunk {
                    period: period(i64::from(number)),
                    ..chunk
                })
                .collect();
            let seen = store.frame(i64::from(number) * HOUR).await.unwrap();
            store
                .write_frame(period(i64::from(number)), Box::new(other.clone().into_iter()))
                .await
                .unwrap();
            let kept = store.frame(i64::from(number) * HOUR).await.unwrap();
            assert!(kept == of(number) || kept == other, "one of the two, whole");
            assert!(seen.is_empty() || seen == kept, "and what was seen stays");
            assert!(answered.is_none() || seen == of(number), "what was answered is stored");
        },
    )
    .await;
}
