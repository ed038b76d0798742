use lucid_model::{
    audit::chain::ChainHead,
    consensus::{BlockRef, VoteState},
    epochs::{
        receipt::{OnDemandReceipt, ScoreRow},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    fleet::{
        alert::AlertKind,
        node::{Node, NodeCaps, NodeStatus},
        pool::health::{Health, Members, Replaced, Standing},
    },
    id::{Digest, FamilyId, OnDemandId, PoolScope},
    money::{
        MicroUsdt,
        ledger::{Head, Stream},
        payout::{Freeze, PaymentsSwitch, Proposal},
        settlement::SettlementRecord,
    },
    policies::{Activation, Findings, Revision, Scope},
    telemetry::observation::Verdict,
    time::TimeMs,
};
use lucid_ports::{
    Environment, ImportRecord, Registered, Registration, Report, ReportOutcome, Stamp, Store,
};
use uuid::Uuid;

use crate::{
    audit::{
        requests::{answer, key, request},
        seal,
    },
    epochs::frame,
    examples::*,
    fleet::{alerts::alert, enrolments::enrolment},
    money::decisions::{corrected, decision, mismatch, proposal, resolved},
    notifications::webhooks::{delivery, webhook},
    policies::{self, activation, bundle},
    review::shadows::{adjustment, end, result, scores, shadow},
};

/// At least one record of every kind, by way of the ports.
pub async fn fill(store: &dyn Store) {
    let family = FamilyId(Uuid::from_u128(3));
    store
        .stamp_or(Stamp {
            environment: Environment::Sandbox,
            network: "nile".into(),
            rail: "sandbox".into(),
            family,
        })
        .await
        .unwrap();
    fleet(store).await;
    rules(store).await;
    epochs(store).await;
    money(store).await;
    telemetry(store).await;
    alerts(store).await;
    shadows(store).await;
    store.add_audit(audit("alone")).await.unwrap();
    let heads: Vec<ChainHead> = store.audit_heads().await.unwrap();
    assert!(store.add_audit_seal(seal(1, Digest::default(), 5, heads)).await.unwrap());
}

async fn shadows(store: &dyn Store) {
    for begun in [shadow(1), shadow(2)] {
        assert!(store.add_shadow(begun, audit("policy.shadow")).await.unwrap());
    }
    assert!(store.end_shadow(shadow(2).id, end(), audit("policy.shadow_end")).await.unwrap());
    let frozen = Some(Freeze {
        at: TimeMs(8),
        by: "alice".into(),
        reason: "a breach".into(),
        fence: 4,
        still_at: Some(TimeMs(9)),
    });
    assert!(
        store
            .set_payments_switch(
                PaymentsSwitch {
                    frozen,
                    restored_at: None,
                    backup_at: None,
                    reconciliation: None,
                    version: 1
                },
                audit("payouts.freeze")
            )
            .await
            .unwrap()
    );
    assert!(store.add_proposal(proposal(1), audit("payout.propose")).await.unwrap());
    assert!(
        store
            .add_proposal(Proposal { about: corrected(), ..proposal(2) }, audit("payout.propose"))
            .await
            .unwrap()
    );
    assert!(store.add_mismatch(mismatch(1), audit("payout.mismatch")).await.unwrap());
    assert!(
        store
            .add_proposal(Proposal { about: resolved(), ..proposal(3) }, audit("payout.propose"))
            .await
            .unwrap()
    );
    assert!(
        store
            .decide_proposal(proposal(2).id, decision(true), audit("payout.decide"))
            .await
            .unwrap()
    );
    assert!(store.add_shadow_result(result(1, 1, scores())).await.unwrap());
    assert!(
        store
            .add_shadow_result(result(1, 2, Findings::Failed("out of fuel".into())))
            .await
            .unwrap()
    );
    assert!(store.add_adjustment(adjustment(1, 1, 1), audit("score.adjust")).await.unwrap());
    assert!(store.add_adjustment(adjustment(1, 1, 2), audit("score.adjust")).await.unwrap());
}

async fn fleet(store: &dyn Store) {
    for i in [1, 2] {
        assert!(store.create_pool(pool(i), audit("pool.create")).await.unwrap());
    }
    store.delete_pool(pool_id(2), None, audit("pool.delete")).await.unwrap();
    let first = Standing::first(pool_id(1), Members { working: 3, failed: 3 }, TimeMs(10));
    assert!(store.keep_standing(first.clone()).await.unwrap());
    let replaced = vec![Replaced { node: node_id(1), at: TimeMs(7) }];
    assert!(
        store
            .keep_standing(Standing {
                better: Some(Health::Degraded),
                replaced,
                version: 2,
                ..first
            })
            .await
            .unwrap()
    );
    assert!(store.create_enrolment(enrolment(1), audit("enrolment.create")).await.unwrap());
    let caps = NodeCaps { per_owner: 50, per_ipv4: 50, ..NodeCaps::default() };
    let with = |node: Node| Registration { caps, ..registration(node) };
    let placed = |i| Node { pool: Some(pool_id(1)), ..node(i) };
    for registration in [
        with(node(1)),
        Registration { assign_audit: Some(audit("node.assign")), ..with(placed(2)) },
        with(placed(3)),
        Registration { enrolment: Some(enrolment(1).id), ..with(node(4)) },
        with(full_node(9)),
        with(node(5)),
    ] {
        assert!(matches!(store.register_node(registration).await.unwrap(), Registered::Done(_)));
    }
    let gone = Node { status: NodeStatus::Deregistered, version: 2, ..node(5) };
    assert!(store.update_node(gone, audit("node.deregister")).await.unwrap());
    // At the address of the one that is gone.
    assert!(matches!(
        store.register_node(with(Node { id: node_id(6), ..node(5) })).await.unwrap(),
        Registered::Done(_)
    ));
}

async fn rules(store: &dyn Store) {
    for (name, at) in [("a", 1), ("b", 2)] {
        assert!(store.add_version(bundle(name, at), audit("policy.add")).await.unwrap());
    }
    let later = Activation { from_s: 3_600, ..activation("b", Scope::Pool(pool_id(1))) };
    let both = vec![activation("a", Scope::Default), later];
    store.activate(Revision(0), both, vec![audit("policy.activate")]).await.unwrap();
    store
        .activate(
            Revision(2),
            vec![activation("b", Scope::Default)],
            vec![audit("policy.activate")],
        )
        .await
        .unwrap();
    store.add_report(policies::report(1, Some("a"))).await.unwrap();
    store.add_report(policies::report(2, None)).await.unwrap();
    store
        .record_import(ImportRecord { digest: Digest::of(b"file"), outcome: "added".into() })
        .await
        .unwrap();
    for name in ["done", "open"] {
        store.begin_request(request(name, 1, 5)).await.unwrap();
    }
    store.answer_request(key("done"), answer()).await.unwrap();
}

async fn epochs(store: &dyn Store) {
    store.write_frame(period(1), Box::new(frame(10).into_iter())).await.unwrap();
    store.write_frame(period(2), Box::new(std::iter::empty())).await.unwrap();
    let owned = ScoreRow { reason: None, ..row(2, 8_100) };
    let chunks = vec![
        chunk(1, 0, PoolScope::Unassigned, vec![row(1, 8_000), row(9, 7_000)]),
        chunk(1, 1, PoolScope::Pool(pool_id(1)), vec![row(3, 50), owned]),
    ];
    assert!(
        store.commit_epoch(epoch(1), chunks, vec![vote(1, 1), vote(1, 2)]).await.unwrap().is_some()
    );
    store
        .pin_block(epoch(1).epoch.start_s, BlockRef { id: "b-1".into(), hash: "h-1".into() })
        .await
        .unwrap();
    let held = ScoreRow { held: true, eligible: false, ..row(1, 0) };
    let chunks = vec![chunk(2, 0, PoolScope::Unassigned, vec![held, row(9, 7_500)])];
    assert!(store.commit_epoch(epoch(2), chunks, vec![vote(2, 1)]).await.unwrap().is_some());
    let sent = lucid_model::consensus::Vote {
        state: VoteState::Accepted,
        vote_id: Some("v-1".into()),
        attempts: 1,
        ..vote(1, 1)
    };
    store.update_votes(vec![sent]).await.unwrap();
    let receipt = OnDemandReceipt {
        id: OnDemandId(Uuid::from_u128(1)),
        node: node_id(1),
        calculated_at: TimeMs(7_000),
        period_s: 3_600,
        observations: 1,
        observed_s: 60,
        score: ScoreCenti(77),
        raw: RawCenti(78),
        multiplier: Ppm(1),
        factors: Factors {
            observation_time: Ppm(1),
            session_quality: Ppm(2),
            uptime: Ppm(3),
            resource_efficiency: Ppm(4),
            network_performance: Ppm(5),
        },
        policy: policy("default"),
        params: Digest::of(b"params"),
        rules: 1,
        facts: Digest::of(b"facts"),
    };
    store.add_on_demand(receipt).await.unwrap();
}

async fn money(store: &dyn Store) {
    for i in 1..=3 {
        let mut head = Head::default();
        for period in 0..4 {
            let entry = booked_at(accrual(period, i, 100), head);
            head = Head { seq: entry.seq, balances: entry.balances };
            store.book(vec![entry]).await.unwrap();
        }
    }
    let record = SettlementRecord {
        period: period(1),
        count: 2,
        sum: MicroUsdt(90),
        budget: MicroUsdt(100),
        remainder: MicroUsdt(10),
        note: Some("held back".into()),
    };
    assert!(store.record_settlement(record).await.unwrap());
    store.keep_distribution(distribution(2, 9)).await.unwrap();
    assert!(store.create_run(run(1), audit("run.create")).await.unwrap());
    for i in 1..=3 {
        assert!(store.create_payout(payout(i), audit("payout.create")).await.unwrap());
    }
}

async fn alerts(store: &dyn Store) {
    for i in [1, 2] {
        assert!(store.add_webhook(webhook(i), audit("webhook.create")).await.unwrap());
    }
    assert!(store.remove_webhook(webhook(2).id, None, audit("webhook.delete")).await.unwrap());
    store.add_deliveries(vec![delivery(1, 1), delivery(2, 2)]).await.unwrap();
    for (i, kind) in [(1, AlertKind::Cpu), (2, AlertKind::Silent), (3, AlertKind::Suspended)] {
        assert!(store.raise_alert(alert(i, 1, kind)).await.unwrap());
    }
    store.clear_alert(node_id(1), AlertKind::Silent, TimeMs(5_000)).await.unwrap();
}

async fn telemetry(store: &dyn Store) {
    for (node, reports) in [(1, 1_100_u32), (2, 3), (3, 0)] {
        for i in 0..reports {
            let at = i64::from(i) * 30_000;
            let report = Report {
                sequence: Some((u64::from(i) + 1, Digest::of(&i.to_le_bytes()))),
                samples: vec![sample(node, at, u64::MAX - u64::from(i))],
                presence: Some(span(at - at % 3_000_000, at + 30_000)),
                ..report(node, at + 40_000)
            };
            assert!(matches!(store.store_report(report).await.unwrap(), ReportOutcome::Stored(_)));
        }
        let mut told = session(u128::from(node), node, 0, 60_000);
        if node == 3 {
            told.verdict = Verdict::Rejected("no such node".into());
            told.usage = None;
        }
        store.store_report(Report { sessions: vec![told], ..report(node, 70_000) }).await.unwrap();
    }
    // Some hours are rolled up, and the last ones are not.
    for _ in 0..10 {
        store.roll_up(None, TimeMs(20_000_000), 10).await.unwrap();
    }
}

/// What was copied goes on where it was: nothing is taken twice, nothing is lost.
pub async fn goes_on(store: &dyn Store) {
    let token = store.enrolment(enrolment(1).id).await.unwrap().unwrap();
    assert_eq!(token.uses, 1);
    let joining = |i| Registration { enrolment: Some(token.id), ..registration(node(i)) };
    assert!(matches!(store.register_node(joining(20)).await.unwrap(), Registered::Done(_)));
    assert!(matches!(store.register_node(joining(21)).await.unwrap(), Registered::Done(_)));
    assert!(
        matches!(store.register_node(joining(22)).await.unwrap(), Registered::EnrolmentSpent),
        "of three uses one was before the copy"
    );
    let rest = Registration {
        caps: NodeCaps { per_owner: 9, ..NodeCaps::default() },
        ..registration(node(23))
    };
    assert!(matches!(store.register_node(rest.clone()).await.unwrap(), Registered::Done(_)));
    let beyond = Registration { node: node(24), ..rest };
    assert!(matches!(store.register_node(beyond).await.unwrap(), Registered::CapReached(_)));

    let repeated =
        Report { sequence: Some((3, Digest::of(&2_u32.to_le_bytes()))), ..report(2, 100_000) };
    assert_eq!(store.store_report(repeated).await.unwrap(), ReportOutcome::Repeated);
    let grown = session(2, 2, 0, 90_000);
    store.store_report(Report { sessions: vec![grown], ..report(2, 100_000) }).await.unwrap();
    assert_eq!(
        store.observed(&[node_id(2)], span(0, 100_000)).await.unwrap()[0].sessions[0].span,
        span(0, 90_000)
    );

    let stream = Stream::Node(node_id(1));
    let head = store.head(stream).await.unwrap();
    assert_eq!(head.seq, 4);
    assert_eq!(
        store.book(vec![booked_at(accrual(3, 1, 100), head)]).await.unwrap(),
        [lucid_ports::Booked::Already]
    );
    assert_eq!(
        store.book(vec![booked_at(accrual(9, 1, 100), head)]).await.unwrap(),
        [lucid_ports::Booked::Done]
    );
    assert_eq!(store.active().await.unwrap().0, Revision(3));
    let chunks = vec![chunk(3, 0, PoolScope::Unassigned, vec![row(1, 9_000)])];
    let seconds = store.node(node_id(1)).await.unwrap().unwrap().observed_s;
    assert!(store.commit_epoch(epoch(3), chunks, vec![vote(3, 1)]).await.unwrap().is_some());
    let counted = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!((counted.observed_s, counted.score), (seconds + 1_800, Some(ScoreCenti(9_000))));
}
