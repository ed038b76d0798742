//! Nodes and pools.

use lucid_model::{
    fleet::{
        enrolment::{Enrolment, EnrolmentScope},
        node::{Node, NodeCaps, NodeStatus, PublicKey},
        pool::Pool,
    },
    id::{Digest, EnrolmentId},
    time::TimeMs,
};
use lucid_ports::{Assigned, EnrolmentStore, NodeStore, PoolStore, Registered, Registration};
use lucid_store_conformance::examples::*;
use uuid::Uuid;

use super::{at_every_command, entry, told};

fn token(number: u32) -> Enrolment {
    Enrolment {
        id: EnrolmentId(Uuid::from_u128(0x5000_0000 + u128::from(number))),
        digest: Digest::of(&number.to_le_bytes()),
        owner: owner_id(number),
        name: "one".into(),
        scope: EnrolmentScope::Approve,
        pool: None,
        uses_max: 1,
        uses: 0,
        expires_at: TimeMs(50_000),
        revoked_at: None,
        created_at: TimeMs(500),
        created_by: "alice".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_cut_off() {
    let holder =
        |number: u32| Node { status: NodeStatus::Pending, owner: owner_id(number), ..node(number) };
    let newcomer = |number: u32| Node {
        id: node_id(100_000 + number),
        public_key: Some(PublicKey(Digest::of(&number.to_le_bytes()).0)),
        pool: Some(pool_id(number)),
        owner: owner_id(number),
        ..node(number)
    };
    let registration = |number: u32| Registration {
        node: newcomer(number),
        caps: NodeCaps { per_owner: 1, ..NodeCaps::default() },
        enrolment: Some(token(number).id),
        audit: entry("node.register", number),
        assign_audit: Some(entry("node.assign", number)),
    };
    at_every_command(
        async |store, number| {
            store
                .register_node(Registration {
                    audit: entry("holder", number),
                    ..lucid_store_conformance::examples::registration(holder(number))
                })
                .await
                .unwrap();
            store
                .create_pool(Pool { max_nodes: 1, ..pool(number) }, entry("pool.create", number))
                .await
                .unwrap();
            store.create_enrolment(token(number), entry("enrolment.create", number)).await.unwrap();
        },
        async |store, number| store.register_node(registration(number)).await,
        async |store, number, _| {
            let again = store.register_node(registration(number)).await.unwrap();
            assert!(matches!(again, Registered::Done(_) | Registered::Repeated(_)), "{again:?}");
            let kept = store.node(newcomer(number).id).await.unwrap().unwrap();
            assert_eq!((kept.status, kept.pool), (NodeStatus::Active, Some(pool_id(number))));
            assert_eq!(
                store.node(node_id(number)).await.unwrap().unwrap().status,
                NodeStatus::Deregistered
            );
            assert_eq!(store.pool(pool_id(number)).await.unwrap().unwrap().node_count, 1);
            assert_eq!(store.enrolment(token(number).id).await.unwrap().unwrap().uses, 1);
            let subject = number.to_string();
            assert_eq!(
                (
                    told(store, "node.register", &subject).await,
                    told(store, "node.assign", &subject).await
                ),
                (1, 1)
            );
            assert_eq!(told(store, "node.deregister", &node_id(number).to_string()).await, 1);
            // Its place under the cap and its slot are held once: another gets neither.
            let other = Node {
                id: node_id(200_000 + number),
                address: None,
                owner: owner_id(number),
                ..node(number)
            };
            let refused = store.register_node(Registration {
                node: other,
                enrolment: None,
                audit: audit("no"),
                assign_audit: None,
                ..registration(number)
            });
            assert!(matches!(refused.await.unwrap(), Registered::CapReached(_)));
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_into_a_pool_that_is_cut_off() {
    at_every_command(
        async |store, number| {
            store.register_node(registration(node(number))).await.unwrap();
            store
                .create_pool(Pool { max_nodes: 1, ..pool(number) }, audit("pool.create"))
                .await
                .unwrap();
        },
        async |store, number| {
            store
                .assign_node(
                    node_id(number),
                    1,
                    Some(pool_id(number)),
                    entry("node.assign", number),
                )
                .await
        },
        async |store, number, answered| {
            if let Some(answered) = answered {
                assert!(matches!(answered, Assigned::Done(_)), "{answered:?}");
            }
            let again = store
                .assign_node(
                    node_id(number),
                    1,
                    Some(pool_id(number)),
                    entry("node.assign", number),
                )
                .await
                .unwrap();
            assert!(matches!(again, Assigned::Done(_) | Assigned::Conflict), "{again:?}");
            let kept = store.node(node_id(number)).await.unwrap().unwrap();
            assert_eq!((kept.pool, kept.version), (Some(pool_id(number)), 2));
            assert_eq!(store.pool_members(pool_id(number)).await.unwrap(), [node_id(number)]);
            assert_eq!(told(store, "node.assign", &number.to_string()).await, 1);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_of_a_pool_that_is_cut_off() {
    let members = |number: u32| [node_id(2 * number), node_id(2 * number + 1)];
    at_every_command(
        async |store, number| {
            store.create_pool(pool(number), audit("pool.create")).await.unwrap();
            for member in [2 * number, 2 * number + 1] {
                store.register_node(registration(node(member))).await.unwrap();
                store
                    .assign_node(node_id(member), 1, Some(pool_id(number)), audit("joins"))
                    .await
                    .unwrap();
            }
        },
        async |store, number| {
            store.delete_pool(pool_id(number), None, entry("pool.delete", number)).await
        },
        async |store, number, _| {
            store.delete_pool(pool_id(number), None, entry("pool.delete", number)).await.unwrap();
            assert_eq!(store.pool(pool_id(number)).await.unwrap(), None);
            for member in members(number) {
                let left = store.node(member).await.unwrap().unwrap();
                assert_eq!((left.pool, left.version), (None, 3));
                assert_eq!(
                    told(store, "node.assign", &member.to_string()).await,
                    1,
                    "of its leaving, once"
                );
            }
            assert_eq!(told(store, "pool.delete", &number.to_string()).await, 1);
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_made_smaller_and_cut_off() {
    let smaller = |number: u32| Pool { max_nodes: 2, version: 2, ..pool(number) };
    at_every_command(
        async |store, number| {
            store
                .create_pool(Pool { max_nodes: 4, ..pool(number) }, audit("pool.create"))
                .await
                .unwrap();
            for member in 0..3 {
                store.register_node(registration(node(4 * number + member))).await.unwrap();
            }
            store
                .assign_node(node_id(4 * number), 1, Some(pool_id(number)), audit("joins"))
                .await
                .unwrap();
        },
        async |store, number| {
            store.update_pool(smaller(number), entry("pool.update", number)).await
        },
        async |store, number, answered| {
            assert_ne!(answered, Some(false));
            store.update_pool(smaller(number), entry("pool.update", number)).await.unwrap();
            let kept = store.pool(pool_id(number)).await.unwrap().unwrap();
            assert_eq!((kept.max_nodes, kept.version, kept.node_count), (2, 2, 1));
            // One place is left: one of two gets it.
            let second = store
                .assign_node(node_id(4 * number + 1), 1, Some(pool_id(number)), audit("joins"))
                .await
                .unwrap();
            assert!(matches!(second, Assigned::Done(_)), "{second:?}");
            let third = store
                .assign_node(node_id(4 * number + 2), 1, Some(pool_id(number)), audit("joins"))
                .await
                .unwrap();
            assert_eq!(third, Assigned::PoolFull);
            // Larger again, what was blocked is free.
            let larger = Pool { max_nodes: 3, version: 3, ..pool(number) };
            assert!(store.update_pool(larger, audit("pool.update")).await.unwrap());
            let third = store
                .assign_node(node_id(4 * number + 2), 1, Some(pool_id(number)), audit("joins"))
                .await
                .unwrap();
            assert!(matches!(third, Assigned::Done(_)), "{third:?}");
            assert_eq!(told(store, "pool.update", &number.to_string()).await, 1);
        },
    )
    .await;
}
