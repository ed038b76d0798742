use lucid_model::{
    epochs::{adjustment::Adjustment, receipt::ScoreRow, score::ScoreCenti},
    id::{Digest, PoolScope, ShadowId, UserId},
    money::MicroUsdt,
    policies::{Findings, ParamValues, PolicyKind, Shadow, ShadowEnd, ShadowResult},
    review::simulation::{Change, Earned, Side, Summary},
    time::TimeMs,
};
use lucid_ports::Order;
use uuid::Uuid;

use crate::{Backend, all, examples::*, fifty};

pub fn shadow(i: u128) -> Shadow {
    Shadow {
        id: ShadowId(Uuid::from_u128(i)),
        kind: PolicyKind::Scoring,
        policy: policy("next"),
        params: ParamValues::from([("minimum".to_owned(), 7), ("maximum".to_owned(), -1)]),
        pool: Some(PoolScope::Pool(pool_id(1))),
        from_s: HOUR,
        started_at: TimeMs(5_000),
        actor: "alice".into(),
        reason: "to see".into(),
        ended: None,
    }
}

pub fn end() -> ShadowEnd {
    ShadowEnd {
        at: TimeMs(9_000),
        by: UserId::from_subject("bob").to_string(),
        reason: "seen".into(),
    }
}

fn summary<C>(total: C, winner: C) -> Summary<C> {
    Summary {
        nodes: 3,
        changed: 2,
        total,
        winners: vec![(node_id(1), PoolScope::Unassigned, winner)],
        losers: Vec::new(),
    }
}

/// What a shadow said about a period.
pub fn result(i: u128, at: i64, findings: Findings) -> ShadowResult {
    ShadowResult {
        shadow: ShadowId(Uuid::from_u128(i)),
        period: period(at),
        at: TimeMs(at),
        findings,
    }
}

pub fn scores() -> Findings {
    let side = |score_seconds| Side { score_centi: 1, score_seconds, clamped: 3, held: 4 };
    let change = |seconds| Change { epochs: 2, before: side(7), after: side(seconds) };
    Findings::Scores(summary(change(u64::MAX), change(12)))
}

pub fn adjustment(node: u32, at: i64, number: u32) -> Adjustment {
    let before = ScoreRow { reason: None, ..row(node, 8_000) };
    let after = ScoreRow { score: ScoreCenti(10), eligible: false, held: true, ..row(node, 7_000) };
    Adjustment {
        node: node_id(node),
        epoch_start_s: at * HOUR,
        number,
        session: session(4, node, 0, 1).session,
        at: TimeMs(77),
        actor: "alice".into(),
        reason: "made up".into(),
        chunk_root: Digest::of(b"chunk"),
        before,
        after,
    }
}

pub async fn a_shadow_keeps_every_field_and_is_ended_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let plain =
        Shadow { pool: None, params: ParamValues::new(), kind: PolicyKind::Payout, ..shadow(2) };
    for begun in [shadow(1), plain.clone()] {
        assert!(store.add_shadow(begun.clone(), audit("policy.shadow")).await.unwrap());
        assert!(
            !store
                .add_shadow(Shadow { reason: "again".into(), ..begun }, audit("policy.shadow"))
                .await
                .unwrap()
        );
    }
    assert_eq!(store.running_shadows().await.unwrap(), [shadow(1), plain.clone()]);
    let ended =
        fifty(|_| {
            let store = store.clone();
            async move {
                store.end_shadow(shadow(1).id, end(), audit("policy.shadow_end")).await.unwrap()
            }
        })
        .await;
    assert_eq!(ended.iter().filter(|done| **done).count(), 1);
    assert!(
        !store.end_shadow(shadow(9).id, end(), audit("policy.shadow_end")).await.unwrap(),
        "there is none"
    );
    drop(store);
    backend.reopen();
    let store = backend.store();
    let over = Shadow { ended: Some(end()), ..shadow(1) };
    assert_eq!(store.running_shadows().await.unwrap(), std::slice::from_ref(&plain));
    assert_eq!(
        store.shadows(all((), Order::Descending)).await.unwrap().items,
        [plain, over.clone()]
    );
    assert_eq!(store.shadow(over.id).await.unwrap(), Some(over));
    assert_eq!(store.shadow(shadow(9).id).await.unwrap(), None);
}

pub async fn a_shadow_speaks_of_a_period_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let earned = |after| Earned { before: MicroUsdt(5), after: MicroUsdt(after) };
    let money = Findings::Money(summary(earned(6), earned(-7)));
    let said = [
        result(1, 1, scores()),
        result(1, 2, money),
        result(1, 3, Findings::Failed("out of fuel".into())),
    ];
    for one in &said {
        assert!(store.add_shadow_result(one.clone()).await.unwrap());
    }
    assert!(
        !store.add_shadow_result(result(1, 1, Findings::Failed("later".into()))).await.unwrap()
    );
    assert!(store.add_shadow_result(result(2, 1, scores())).await.unwrap(), "another one");
    let of_first = store.shadow_results(shadow(1).id, all((), Order::Ascending)).await.unwrap();
    assert_eq!((of_first.items, of_first.total), (said.to_vec(), 3));
    assert_eq!(
        store.shadow_results(shadow(9).id, all((), Order::Ascending)).await.unwrap().items,
        []
    );
}

pub async fn adjustments_are_kept_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let added = fifty(|i| {
        let store = store.clone();
        let one = Adjustment { reason: i.to_string(), ..adjustment(1, 1, 1) };
        async move { (store.add_adjustment(one, audit("score.adjust")).await.unwrap(), i) }
    })
    .await;
    let winners: Vec<_> = added.iter().filter(|(done, _)| *done).collect();
    assert_eq!(winners.len(), 1);
    let first = Adjustment { reason: winners[0].1.to_string(), ..adjustment(1, 1, 1) };
    let others = [adjustment(1, 1, 2), adjustment(2, 1, 1), adjustment(1, 2, 1)];
    for one in &others {
        assert!(store.add_adjustment(one.clone(), audit("score.adjust")).await.unwrap());
    }
    drop(store);
    backend.reopen();
    let store = backend.store();
    let [second, of_another, later] = others;
    assert_eq!(
        store.adjustments(Some(node_id(1)), 0, 9 * HOUR).await.unwrap(),
        [first.clone(), second.clone(), later.clone()]
    );
    assert_eq!(store.adjustments(None, 0, 2 * HOUR).await.unwrap(), [first, second, of_another]);
    assert_eq!(store.adjustments(None, 2 * HOUR, 3 * HOUR).await.unwrap(), [later]);
    assert_eq!(store.adjustments(Some(node_id(3)), 0, 9 * HOUR).await.unwrap(), []);
}
