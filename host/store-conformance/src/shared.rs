use lucid_model::{
    id::FamilyId,
    money::ledger::{Head, Stream},
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Environment, Order, Origin, Stamp, Store, VoteFilter};
use uuid::Uuid;

use crate::{
    Backend, all, epochs::frame, examples::*, fifty, fleet::enrolments::enrolment, policies::bundle,
};

pub async fn a_stamp_is_written_once(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.known_stamp().await.unwrap(), None);
    let stamps = fifty(|i| {
        let store = store.clone();
        async move {
            let family = FamilyId(Uuid::from_u128(u128::from(i)));
            store
                .stamp_or(Stamp {
                    environment: Environment::Live,
                    network: "mainnet".into(),
                    rail: "lucid".into(),
                    family,
                })
                .await
                .unwrap()
        }
    })
    .await;
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]));
    assert_eq!(store.known_stamp().await.unwrap().as_ref(), Some(&stamps[0]));
}

pub async fn a_store_that_is_well_says_so(backend: &mut dyn Backend) {
    let store = backend.store();
    for _ in 0..2 {
        store.probe().await.unwrap();
        store.register_node(registration(node(1))).await.unwrap();
    }
    assert_eq!(store.check_pages().await.unwrap(), None);
    assert_eq!(store.damage().await.unwrap(), None);
}

pub async fn a_store_that_is_where_it_was_is_the_same(backend: &mut dyn Backend) {
    for _ in 0..3 {
        let store = backend.store();
        assert_eq!(store.origin().await.unwrap(), Origin::Here);
        store.take_possession().await.unwrap();
        assert_eq!(store.origin().await.unwrap(), Origin::Here);
        drop(store);
        backend.reopen();
    }
}

pub async fn everything_is_there_after_a_restart(backend: &mut dyn Backend) {
    fill(&*backend.store()).await;
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.node(node_id(1)).await.unwrap().unwrap().score.unwrap().0, 8_000);
    assert_eq!(store.pool(pool_id(1)).await.unwrap().unwrap(), pool(1));
    assert_eq!(store.last_epoch().await.unwrap().unwrap(), epoch(1));
    assert_eq!(store.head(Stream::Node(node_id(1))).await.unwrap().seq, 1);
    assert_eq!(store.payout(payout(1).id).await.unwrap().unwrap(), payout(1));
    assert_eq!(store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().last_seen, TimeMs(9));
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total,
        6
    );
    assert_eq!(store.enrolment(enrolment(1).id).await.unwrap(), Some(enrolment(1)));
    assert_eq!(store.run(run(1).id).await.unwrap(), Some(run(1)));
    assert_eq!(
        store.bundle(bundle("a", 1).version.policy.digest).await.unwrap(),
        Some(bundle("a", 1))
    );
    assert_eq!(store.frame(HOUR).await.unwrap(), frame(10));
    assert_eq!(
        store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap().items,
        [vote(1, 1)]
    );
    let seconds = store.observed_seconds(0, 2 * HOUR).await.unwrap();
    assert_eq!(seconds, [(node_id(1), 1_800)]);
}

async fn fill(store: &dyn Store) {
    store.register_node(registration(node(1))).await.unwrap();
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    let chunks = vec![chunk(1, 0, lucid_model::id::PoolScope::Unassigned, vec![row(1, 8_000)])];
    store.commit_epoch(epoch(1), chunks, vec![vote(1, 1)]).await.unwrap();
    store.book(vec![booked_at(accrual(1, 1, 100), Head::default())]).await.unwrap();
    store.create_payout(payout(1), audit("payout.create")).await.unwrap();
    store.store_report(report(1, 9)).await.unwrap();
    store.create_enrolment(enrolment(1), audit("enrolment.create")).await.unwrap();
    store.create_run(run(1), audit("run.open")).await.unwrap();
    store.add_version(bundle("a", 1), audit("policy.add")).await.unwrap();
    store.write_frame(period(1), Box::new(frame(10).into_iter())).await.unwrap();
}
