//! What a process left behind that ended at any point, and several processes at once.

use std::sync::Arc;

use lucid_model::{
    audit::{record::Record, verify::Trust},
    fleet::{
        node::{Node, NodeStatus},
        pool::Pool,
    },
};
use lucid_ports::{Assigned, AuditFilter, AuditLog, AuditStore, NodeStore, Order, PoolStore};
use lucid_service::verify_audit;
use lucid_store_conformance::{all, examples::*};
use mongodb::bson::{Document, doc};

use super::{fresh, open};
use crate::{MongoStore, audit::intents, fields};

async fn entries(store: &MongoStore) -> u64 {
    let found = verify_audit(store, &Trust::default(), &mut |_| {}).await.unwrap();
    assert_eq!(found.flaw, None);
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Ascending)).await.unwrap().total,
        found.progress.entries
    );
    found.progress.entries
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_a_process_left_in_documents_are_drained_by_another() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    store.register_node(registration(node(1))).await.unwrap();
    assert_eq!(entries(&store).await, 1);
    // As if the process had ended between the write and the link.
    let left = doc! { "$set": { "audit": intents(&[audit("node.update"), audit("node.update")]) } };
    store
        .collection("nodes")
        .update_one(doc! { "_id": fields::id(node_id(1).0) }, left)
        .await
        .unwrap();
    drop(store);
    let store = open(&url);
    assert_eq!(entries(&store).await, 3);
    let carrying = store
        .collection("nodes")
        .count_documents(doc! { "audit.id": { "$exists": true } })
        .await
        .unwrap();
    assert_eq!(carrying, 0);
    assert_eq!(store.audit_heads().await.unwrap().len(), 2, "each process has a chain of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_entries_are_not_listed_yet_is_listed_by_the_next_reader() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    store.add_audit(audit("one")).await.unwrap();
    // As if the process had ended between the link and the list.
    let link = store.collection("audit_links").find_one(doc! {}).await.unwrap().unwrap();
    let listed = store.collection("audit").find_one_and_delete(doc! {}).await.unwrap().unwrap();
    let mut waiting: Document = listed.clone();
    waiting.insert("id", listed.get("_id").cloned().unwrap());
    let again = doc! { "$set": { "waiting": [waiting], "unlisted": true } };
    store
        .collection("audit_links")
        .update_one(doc! { "_id": link.get("_id").cloned().unwrap() }, again)
        .await
        .unwrap();
    assert_eq!(entries(&store).await, 1);
    assert_eq!(store.collection("audit").find_one(doc! {}).await.unwrap().unwrap(), listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_tell_of_each_change_once() {
    let Some(url) = fresh() else { return };
    let stores: Vec<_> = (0..3).map(|_| Arc::new(open(&url))).collect();
    let mut running = Vec::new();
    for i in 0..30 {
        let (store, sweeper) =
            (Arc::clone(&stores[i as usize % 3]), Arc::clone(&stores[(i as usize + 1) % 3]));
        running.push(tokio::spawn(async move {
            drop(store.register_node(registration(node(i))).await.unwrap())
        }));
        running.push(tokio::spawn(async move { drop(sweeper.audit_heads().await.unwrap()) }));
    }
    for one in running {
        one.await.unwrap();
    }
    assert_eq!(entries(&stores[0]).await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_done_and_not_answered_is_found_again() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    let (first, entry) = (node(1), audit("node.update"));
    store.register_node(registration(first.clone())).await.unwrap();
    let changed = Node { name: "other".into(), version: 2, ..first };
    assert!(store.update_node(changed.clone(), entry.clone()).await.unwrap());
    // The same write once more, as the driver repeats it: not a conflict with itself, before and
    // after the drain.
    assert!(store.update_node(changed.clone(), entry.clone()).await.unwrap());
    assert_eq!(entries(&store).await, 2);
    assert!(store.update_node(changed.clone(), entry).await.unwrap());
    assert!(
        !store.update_node(changed, audit("node.update")).await.unwrap(),
        "another write is one"
    );
    assert_eq!(entries(&store).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_made_smaller_is_never_overfilled() {
    let Some(url) = fresh() else { return };
    let store = Arc::new(open(&url));
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    for i in 0..20 {
        store.register_node(registration(node(i))).await.unwrap();
    }
    for i in 0..4 {
        store.assign_node(node_id(i), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    }
    let assigning: Vec<_> = (4..20)
        .map(|i| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store
                    .assign_node(node_id(i), 1, Some(pool_id(1)), audit("node.assign"))
                    .await
                    .unwrap()
            })
        })
        .collect();
    let smaller = Pool { max_nodes: 5, version: 2, ..pool(1) };
    let made = store.update_pool(smaller.clone(), audit("pool.update")).await.unwrap();
    let mut assigned = 4;
    for one in assigning {
        assigned += u32::from(matches!(one.await.unwrap(), Assigned::Done(_)));
    }
    let found = store.pool(pool_id(1)).await.unwrap().unwrap();
    assert_eq!(found.node_count, assigned);
    assert_eq!(
        (found.max_nodes, found.node_count <= found.max_nodes),
        (if made { 5 } else { 10 }, true),
        "{found:?}"
    );
    // Larger again: what was blocked is free.
    let larger = Pool { max_nodes: 12, version: found.version + 1, ..found };
    assert!(store.update_pool(larger, audit("pool.update")).await.unwrap());
    let mut outside = Vec::new();
    for i in 0..20 {
        outside.extend(store.node(node_id(i)).await.unwrap().filter(|node| node.pool.is_none()));
    }
    for node in outside.into_iter().take(12 - assigned as usize) {
        let outcome = store
            .assign_node(node.id, node.version, Some(pool_id(1)), audit("node.assign"))
            .await
            .unwrap();
        assert!(matches!(outcome, Assigned::Done(_)), "{outcome:?}");
    }
    assert_eq!(store.pool_members(pool_id(1)).await.unwrap().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_pool_that_was_half_removed_leave_it_at_the_next_start() {
    let Some(url) = fresh() else { return };
    let store = open(&url);
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    store.register_node(registration(node(1))).await.unwrap();
    assert!(matches!(
        store.assign_node(node_id(1), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap(),
        Assigned::Done(_)
    ));
    assert_eq!(
        store.delete_pool(pool_id(1), None, audit("pool.delete")).await.unwrap(),
        Some(vec![node_id(1)])
    );
    // As if the process had ended before the node was taken out.
    let back =
        doc! { "$set": { "pool": fields::id(pool_id(1).0), "slot": 0_i64, "version": 4_i64 } };
    store.register_node(registration(node(2))).await.unwrap();
    store
        .collection("nodes")
        .update_one(doc! { "_id": fields::id(node_id(2).0) }, back)
        .await
        .unwrap();
    drop(store);
    let store = open(&url);
    let member = store.node(node_id(2)).await.unwrap().unwrap();
    assert_eq!((member.pool, member.version, member.status), (None, 5, NodeStatus::Active));
    let about = AuditFilter { subject: Some(node_id(2).to_string()), ..AuditFilter::default() };
    let told = store.audit(&about, all((), Order::Ascending)).await.unwrap().items;
    assert_eq!(told.last().unwrap().entry.after, Some(member.digest()));
}
