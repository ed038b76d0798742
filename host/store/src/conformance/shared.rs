use std::collections::BTreeSet;

use lucid_model::{
    id::FamilyId,
    ledger::{Head, Stream},
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Environment, Order, PageRequest, Stamp, Store};
use uuid::Uuid;

use super::{Backend, all, examples::*, fifty};

pub(crate) async fn a_stamp_is_written_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let stamps = fifty(|i| {
        let store = store.clone();
        async move {
            let family = FamilyId(Uuid::from_u128(u128::from(i)));
            store.stamp_or(Stamp { environment: Environment::Live, network: "mainnet".into(), rail: "lucid".into(), family }).await.unwrap()
        }
    })
    .await;
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]));
}

pub(crate) async fn audit_entries_are_found_by_what_they_tell(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..6_i64 {
        let mut entry = audit(if i % 2 == 0 { "even" } else { "odd" });
        (entry.at, entry.actor) = (TimeMs(i / 3), format!("actor {}", i % 3));
        store.add_audit(entry.clone()).await.unwrap();
        // The same entry again is the same entry.
        store.add_audit(entry).await.unwrap();
    }
    let newest = store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap();
    let mut oldest = store.audit(&AuditFilter::default(), all((), Order::Ascending)).await.unwrap();
    oldest.items.reverse();
    assert_eq!((newest.items.len(), newest.total), (6, 6));
    assert_eq!(newest, oldest);
    assert!(newest.items.windows(2).all(|pair| (pair[0].at, pair[0].id) > (pair[1].at, pair[1].id)));
    let filter = AuditFilter { actor: Some("actor 1".into()), action: Some("odd".into()), subject: Some("it".into()) };
    let found = store.audit(&filter, all((), Order::Descending)).await.unwrap();
    assert_eq!((found.total, found.items[0].action.as_str(), found.items[0].request_id.as_deref()), (1, "odd", Some("r-1")));
    let nothing = AuditFilter { subject: Some("else".into()), ..AuditFilter::default() };
    assert_eq!(store.audit(&nothing, all((), Order::Descending)).await.unwrap().total, 0);
    let mut paged = BTreeSet::new();
    for page in 1..=3 {
        let page = PageRequest { page, limit: 2, sort: (), order: Order::Descending };
        paged.extend(store.audit(&AuditFilter::default(), page).await.unwrap().items.into_iter().map(|entry| entry.id));
    }
    assert_eq!(paged.len(), 6);
}

pub(crate) async fn everything_is_there_after_a_restart(backend: &mut dyn Backend) {
    fill(&*backend.store()).await;
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.node(node_id(1)).await.unwrap().unwrap().score.unwrap().0, 8_000);
    assert_eq!(store.pool(pool_id(1)).await.unwrap().unwrap(), pool(1));
    assert_eq!(store.last_epoch().await.unwrap().unwrap(), epoch(1));
    assert_eq!(store.head(Stream::Node(node_id(1))).await.unwrap().seq, 1);
    assert_eq!(store.payout(payout(1).id).await.unwrap().unwrap(), payout(1));
    assert_eq!(store.live_states(&[node_id(1)]).await.unwrap()[0].unwrap().last_seen, TimeMs(9));
    assert_eq!(store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total, 2);
}

async fn fill(store: &dyn Store) {
    store.register_node(registration(node(1))).await.unwrap();
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    let chunks = vec![chunk(1, 0, lucid_model::id::PoolScope::Unassigned, vec![row(1, 8_000)])];
    store.commit_epoch(epoch(1), chunks, vec![vote(1, 1)]).await.unwrap();
    store.book(vec![booked_at(accrual(1, 1, 100), Head::default())]).await.unwrap();
    store.create_payout(payout(1)).await.unwrap();
    store.store_report(report(1, 9)).await.unwrap();
}
