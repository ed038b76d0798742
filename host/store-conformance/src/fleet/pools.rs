use lucid_model::{
    fleet::{
        node::{Node, NodeEvent, NodeStatus},
        pool::{
            Pool, PoolConfig, PoolStatus,
            health::{Health, Members, Replaced, Standing},
        },
    },
    time::TimeMs,
};
use lucid_ports::{Assigned, Order, PageRequest, PoolFilter, PoolSort, RoomOrder, Store};

use crate::{Backend, all, examples::*, fifty};

async fn create(store: &dyn Store, pool: Pool) -> bool {
    store.create_pool(pool, audit("pool.create")).await.unwrap()
}

pub async fn a_pool_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    assert!(create(&*store, pool(1)).await);
    assert_eq!(store.pool(pool_id(1)).await.unwrap(), Some(pool(1)));
    let config = PoolConfig { auto_assignment: false, failover_enabled: true, ..pool(1).config };
    let changed =
        Pool { description: None, status: PoolStatus::Maintenance, config, version: 2, ..pool(1) };
    assert!(store.update_pool(changed.clone(), audit("pool.update")).await.unwrap());
    assert_eq!(store.pool(pool_id(1)).await.unwrap(), Some(changed.clone()));
    assert!(
        !store.update_pool(changed, audit("pool.update")).await.unwrap(),
        "the version is used up"
    );
    assert!(create(&*store, pool(2)).await);
    assert!(
        !store
            .update_pool(
                Pool { name: "pool 1".into(), version: 2, ..pool(2) },
                audit("pool.update")
            )
            .await
            .unwrap()
    );
    assert_eq!(store.pool(pool_id(9)).await.unwrap(), None);
    assert_eq!(store.pool_named("pool 2").await.unwrap(), Some(pool(2)));
    assert_eq!(store.pool_named("pool 3").await.unwrap(), None);
}

pub async fn one_of_fifty_pools_gets_the_name(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move { create(&*store, Pool { name: "same".into(), ..pool(i) }).await }
    })
    .await;
    assert_eq!(outcomes.into_iter().filter(|created| *created).count(), 1);
}

pub async fn a_pool_never_holds_more_than_its_limit(backend: &mut dyn Backend) {
    let store = backend.store();
    create(&*store, pool(1)).await;
    for i in 0..50 {
        store.register_node(registration(node(i))).await.unwrap();
    }
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            store.assign_node(node_id(i), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Assigned::Done(_))).count(), 10);
    assert_eq!(outcomes.iter().filter(|o| **o == Assigned::PoolFull).count(), 40);
    assert_eq!(store.pool(pool_id(1)).await.unwrap().unwrap().node_count, 10);
    let member = store.pool_members(pool_id(1)).await.unwrap()[0];
    assert_eq!(
        store.assign_node(member, 1, None, audit("node.assign")).await.unwrap(),
        Assigned::Conflict,
        "an old version"
    );
    let Assigned::Done(mut left) =
        store.assign_node(member, 2, None, audit("node.assign")).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((left.pool, left.version), (None, 3));
    assert_eq!(store.pool(pool_id(1)).await.unwrap().unwrap().node_count, 9);
    assert_eq!(
        store.assign_node(member, 3, Some(pool_id(2)), audit("node.assign")).await.unwrap(),
        Assigned::NoSuchPool
    );
    let smaller = Pool { max_nodes: 8, version: 2, ..pool(1) };
    assert!(
        !store.update_pool(smaller.clone(), audit("pool.update")).await.unwrap(),
        "nine are in"
    );
    assert!(
        store.update_pool(Pool { max_nodes: 9, ..smaller }, audit("pool.update")).await.unwrap()
    );
    left.apply(NodeEvent::Deregister, TimeMs(1)).unwrap();
    left.version = 4;
    store.update_node(*left, audit("node.deregister")).await.unwrap();
    assert_eq!(
        store.assign_node(member, 4, Some(pool_id(1)), audit("node.assign")).await.unwrap(),
        Assigned::Conflict,
        "a node that is gone"
    );
}

pub async fn a_deleted_pool_leaves_no_member(backend: &mut dyn Backend) {
    let store = backend.store();
    create(&*store, pool(1)).await;
    for i in 0..3 {
        store.register_node(registration(node(i))).await.unwrap();
        store.assign_node(node_id(i), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    }
    let members: Vec<_> = (0..3).map(node_id).collect();
    assert_eq!(store.pool_members(pool_id(1)).await.unwrap(), members);
    assert_eq!(
        store.delete_pool(pool_id(1), Some(2), audit("pool.delete")).await.unwrap(),
        None,
        "it has another version"
    );
    assert_eq!(store.pool_members(pool_id(1)).await.unwrap(), members);
    assert_eq!(
        store.delete_pool(pool_id(1), Some(1), audit("pool.delete")).await.unwrap(),
        Some(members)
    );
    assert_eq!(store.delete_pool(pool_id(1), None, audit("pool.delete")).await.unwrap(), None);
    assert_eq!(store.node(node_id(1)).await.unwrap().unwrap().pool, None);
}

pub async fn pools_are_listed_in_every_order(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in (0..9).rev() {
        let (created_at, updated_at) = (TimeMs(i64::from(i / 3)), TimeMs(i64::from(9 - i / 3)));
        create(&*store, Pool { created_at, updated_at, name: format!("{}", 9 - i), ..pool(i) })
            .await;
        if i % 2 == 0 {
            store.register_node(registration(node(i))).await.unwrap();
            store.assign_node(node_id(i), 1, Some(pool_id(i)), audit("node.assign")).await.unwrap();
        }
    }
    for sort in [PoolSort::CreatedAt, PoolSort::UpdatedAt, PoolSort::Name, PoolSort::NodeCount] {
        for order in [Order::Ascending, Order::Descending] {
            let mut listed = Vec::new();
            for page in 1..=3 {
                listed.extend(
                    store
                        .pools(&PoolFilter::default(), PageRequest { page, limit: 4, sort, order })
                        .await
                        .unwrap()
                        .items,
                );
            }
            let key = |p: &Pool| match sort {
                PoolSort::CreatedAt => (p.created_at.0, String::new(), p.id),
                PoolSort::UpdatedAt => (p.updated_at.0, String::new(), p.id),
                PoolSort::Name => (0, p.name.clone(), p.id),
                PoolSort::NodeCount => (i64::from(p.node_count), String::new(), p.id),
            };
            let mut sorted: Vec<_> = listed.iter().map(key).collect();
            sorted.sort();
            if order == Order::Descending {
                sorted.reverse();
            }
            assert_eq!(listed.iter().map(key).collect::<Vec<_>>(), sorted, "{sort:?} {order:?}");
            assert_eq!(listed.len(), 9);
        }
    }
    let none = PoolFilter { status: Some(PoolStatus::Inactive) };
    assert_eq!(store.pools(&none, all(PoolSort::Name, Order::Ascending)).await.unwrap().total, 0);
}

pub async fn only_pools_with_room_take_nodes(backend: &mut dyn Backend) {
    let store = backend.store();
    create(&*store, Pool { max_nodes: 1, ..pool(1) }).await;
    create(&*store, Pool { status: PoolStatus::Maintenance, ..pool(2) }).await;
    create(
        &*store,
        Pool { config: PoolConfig { auto_assignment: false, ..PoolConfig::default() }, ..pool(3) },
    )
    .await;
    create(&*store, Pool { created_at: TimeMs(0), ..pool(4) }).await;
    let room = |pools: Vec<Pool>| pools.into_iter().map(|p| p.id).collect::<Vec<_>>();
    assert_eq!(
        room(store.pools_with_room(RoomOrder::Oldest, 10).await.unwrap()),
        [pool_id(4), pool_id(1)]
    );
    assert_eq!(room(store.pools_with_room(RoomOrder::Emptiest, 1).await.unwrap()), [pool_id(4)]);
    store.register_node(registration(node(1))).await.unwrap();
    store.assign_node(node_id(1), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    assert_eq!(room(store.pools_with_room(RoomOrder::Oldest, 10).await.unwrap()), [pool_id(4)]);
    store.register_node(registration(node(2))).await.unwrap();
    store.assign_node(node_id(2), 1, Some(pool_id(4)), audit("node.assign")).await.unwrap();
    create(&*store, pool(5)).await;
    assert_eq!(
        room(store.pools_with_room(RoomOrder::Oldest, 10).await.unwrap()),
        [pool_id(4), pool_id(5)]
    );
    assert_eq!(
        room(store.pools_with_room(RoomOrder::Emptiest, 10).await.unwrap()),
        [pool_id(5), pool_id(4)]
    );
}

pub async fn a_standing_is_kept_by_version_as_long_as_its_pool(backend: &mut dyn Backend) {
    let store = backend.store();
    let first = Standing::first(pool_id(1), Members { working: 3, failed: 3 }, TimeMs(10));
    assert!(!store.keep_standing(first.clone()).await.unwrap(), "there is no such pool");
    for i in 1..=2 {
        create(&*store, pool(i)).await;
    }
    let kept = fifty(|i| {
        let (store, first) = (store.clone(), first.clone());
        async move {
            store
                .keep_standing(Standing { checked_at: TimeMs(i64::from(i)), ..first })
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(kept.into_iter().filter(|kept| *kept).count(), 1);
    let replaced = vec![
        Replaced { node: node_id(1), at: TimeMs(7) },
        Replaced { node: node_id(2), at: TimeMs(8) },
    ];
    let next = Standing { better: Some(Health::Degraded), replaced, version: 2, ..first.clone() };
    assert!(store.keep_standing(next.clone()).await.unwrap());
    assert!(!store.keep_standing(next.clone()).await.unwrap(), "the version is used up");
    let other = Standing::first(pool_id(2), Members::default(), TimeMs(11));
    assert!(store.keep_standing(other.clone()).await.unwrap());
    drop(store);
    backend.reopen();
    let store = backend.store();
    assert_eq!(store.pool_standing(pool_id(1)).await.unwrap(), Some(next.clone()));
    assert_eq!(store.pool_standing(pool_id(3)).await.unwrap(), None);
    assert_eq!(store.pool_standings().await.unwrap(), [next, other.clone()]);
    store.delete_pool(pool_id(1), None, audit("pool.delete")).await.unwrap();
    assert_eq!(store.pool_standings().await.unwrap(), [other]);
}

pub async fn active_nodes_without_a_pool_stand_by(backend: &mut dyn Backend) {
    let store = backend.store();
    create(&*store, pool(1)).await;
    for i in 0..5 {
        let status = if i == 1 { NodeStatus::Error } else { NodeStatus::Active };
        store.register_node(registration(Node { status, ..node(i) })).await.unwrap();
    }
    store.assign_node(node_id(2), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    let ids = |nodes: Vec<Node>| nodes.into_iter().map(|node| node.id).collect::<Vec<_>>();
    assert_eq!(ids(store.standby_nodes(10).await.unwrap()), [node_id(0), node_id(3), node_id(4)]);
    assert_eq!(ids(store.standby_nodes(1).await.unwrap()), [node_id(0)]);
    store.assign_node(node_id(2), 2, None, audit("node.assign")).await.unwrap();
    assert_eq!(store.standby_nodes(10).await.unwrap().len(), 4);
}
