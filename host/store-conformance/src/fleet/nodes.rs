use futures::TryStreamExt as _;
use lucid_model::{
    epochs::score::ScoreCenti,
    fleet::{
        node::{CapReached, Node, NodeCaps, NodeEvent, NodeStatus, PublicKey, SiblingCounts},
        pool::Pool,
    },
    id::PoolScope,
    time::TimeMs,
};
use lucid_ports::{
    Assigned, AuditFilter, Newcomer, NodeFilter, NodeSort, Order, PageRequest, RegisterConflict,
    Registered, Registration, Store,
};

use crate::{Backend, all, examples::*, fifty};

/// What became of a registration, the record apart.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Other(Registered),
}

async fn register(store: &dyn Store, node: Node) -> Outcome {
    let asked = node.clone();
    match store.register_node(registration(node)).await.unwrap() {
        Registered::Done(stored) => {
            assert_eq!(*stored, asked);
            Outcome::Done
        }
        other => Outcome::Other(other),
    }
}

fn conflict(with: RegisterConflict) -> Outcome {
    Outcome::Other(Registered::Conflict(with))
}

async fn audited(store: &dyn Store) -> u64 {
    store.audit(&AuditFilter::default(), all((), Order::Descending)).await.unwrap().total
}

pub async fn a_node_keeps_every_field(backend: &mut dyn Backend) {
    let store = backend.store();
    for node in [full_node(1), node(2)] {
        assert_eq!(register(&*store, node.clone()).await, Outcome::Done);
        assert_eq!(store.node(node.id).await.unwrap(), Some(node));
    }
    assert_eq!(store.node_by_external_id("ext-1").await.unwrap(), Some(full_node(1)));
    assert_eq!(store.node_by_key(PublicKey([7; 32])).await.unwrap(), Some(full_node(1)));
    assert_eq!(store.node(node_id(3)).await.unwrap(), None);
    let changed = Node { wallet: None, name: "other".into(), version: 2, ..full_node(1) };
    assert!(store.update_node(changed.clone(), audit("node.update")).await.unwrap());
    assert_eq!(store.node(changed.id).await.unwrap(), Some(changed));
    assert_eq!(audited(&*store).await, 3);
}

pub async fn a_live_node_has_its_key_address_and_external_id_alone(backend: &mut dyn Backend) {
    let store = backend.store();
    let first = full_node(1);
    assert_eq!(register(&*store, first.clone()).await, Outcome::Done);
    let same_key = Node { public_key: first.public_key, ..node(2) };
    assert_eq!(register(&*store, same_key).await, conflict(RegisterConflict::PublicKey));
    let same_address = Node { address: first.address, ..node(2) };
    assert_eq!(register(&*store, same_address.clone()).await, conflict(RegisterConflict::Address));
    let same_name = Node { external_id: first.external_id.clone(), ..node(2) };
    assert_eq!(register(&*store, same_name).await, conflict(RegisterConflict::ExternalId));
    assert_eq!(
        register(&*store, Node { address: at(first.address.unwrap().ip, 9_001), ..same_address })
            .await,
        Outcome::Done
    );
    assert_eq!(audited(&*store).await, 2, "a conflict leaves no trace");
    let moved = Node { address: first.address, version: 2, ..node(2) };
    assert!(
        !store.update_node(moved, audit("node.update")).await.unwrap(),
        "nor does an update take an address"
    );
}

pub async fn a_node_that_is_gone_leaves_its_place(backend: &mut dyn Backend) {
    let store = backend.store();
    let mut gone = full_node(1);
    register(&*store, gone.clone()).await;
    gone.apply(NodeEvent::Deregister, TimeMs(9_000)).unwrap();
    gone.version += 1;
    assert!(store.update_node(gone.clone(), audit("node.deregister")).await.unwrap());
    assert_eq!(register(&*store, Node { id: node_id(2), ..full_node(1) }).await, Outcome::Done);
    assert_eq!(store.node(gone.id).await.unwrap(), Some(gone));
    assert_eq!(
        store
            .nodes(&NodeFilter::default(), all(NodeSort::Name, Order::Ascending))
            .await
            .unwrap()
            .total,
        1
    );
    assert_eq!(store.node_by_external_id("ext-1").await.unwrap().unwrap().id, node_id(2));
}

pub async fn an_unapproved_registration_gives_way(backend: &mut dyn Backend) {
    let store = backend.store();
    let pending = |i, at_ms| {
        let (address, external_id) = (node(1).address, Some("same".into()));
        Node {
            status: NodeStatus::Pending,
            created_at: TimeMs(at_ms),
            address,
            external_id,
            ..node(i)
        }
    };
    assert_eq!(register(&*store, pending(1, 0)).await, Outcome::Done);
    let quarter = 15 * 60 * 1000;
    assert_eq!(register(&*store, pending(2, quarter)).await, conflict(RegisterConflict::Address));
    assert_eq!(register(&*store, pending(2, quarter + 1)).await, Outcome::Done);
    let given_way = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!((given_way.status, given_way.version), (NodeStatus::Deregistered, 2));
    let keyed = Node { public_key: Some(PublicKey([9; 32])), ..pending(3, quarter + 2) };
    assert_eq!(register(&*store, keyed).await, Outcome::Done, "a key at once replaces none");
    let other_key = Node { public_key: Some(PublicKey([8; 32])), ..pending(4, quarter + 3) };
    assert_eq!(register(&*store, other_key).await, conflict(RegisterConflict::Address));
}

pub async fn one_of_fifty_registrations_gets_the_address(backend: &mut dyn Backend) {
    let store = backend.store();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move { register(&*store, Node { id: node_id(i), ..node(1) }).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Done).count(), 1);
    assert_eq!(audited(&*store).await, 1);
}

pub async fn one_of_fifty_updates_wins(backend: &mut dyn Backend) {
    let store = backend.store();
    register(&*store, node(1)).await;
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            let changed = Node { name: format!("by {i}"), version: 2, ..node(1) };
            store.update_node(changed, audit("node.update")).await.unwrap()
        }
    })
    .await;
    let winner = outcomes.iter().position(|won| *won).unwrap();
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    assert_eq!(store.node(node_id(1)).await.unwrap().unwrap().name, format!("by {winner}"));
    assert_eq!(audited(&*store).await, 2);
}

pub async fn an_update_never_takes_back_pool_or_score(backend: &mut dyn Backend) {
    let store = backend.store();
    register(&*store, node(1)).await;
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    let Assigned::Done(assigned) =
        store.assign_node(node_id(1), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((assigned.pool, assigned.version), (Some(pool_id(1)), 2));
    store
        .commit_epoch(
            epoch(1),
            vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, 8_000)])],
            vec![],
        )
        .await
        .unwrap();
    let mut stale = Node { pool: Some(pool_id(9)), version: 3, ..*assigned };
    assert!(store.update_node(stale.clone(), audit("node.update")).await.unwrap());
    let stored = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (stored.pool, stored.score, stored.observed_s),
        (Some(pool_id(1)), Some(ScoreCenti(8_000)), 1_800)
    );
    (stale.pool, stale.version) = (None, 4);
    assert!(store.update_node(stale, audit("node.update")).await.unwrap());
    assert_eq!(store.node(node_id(1)).await.unwrap().unwrap().pool, None);
}

pub async fn nodes_are_listed_in_every_order(backend: &mut dyn Backend) {
    let store = backend.store();
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    for i in (0..25).rev() {
        let tied = i64::from(i / 5);
        let status = if i % 2 == 0 { NodeStatus::Active } else { NodeStatus::Inactive };
        let score = (i >= 5).then_some(ScoreCenti(i / 5));
        let (created_at, updated_at) = (TimeMs(tied), TimeMs(100 - tied));
        register(
            &*store,
            Node {
                created_at,
                updated_at,
                name: format!("n{tied}"),
                score,
                status,
                owner: owner_id(i % 3),
                ..node(i)
            },
        )
        .await;
    }
    store.assign_node(node_id(4), 1, Some(pool_id(1)), audit("node.assign")).await.unwrap();
    for sort in [NodeSort::CreatedAt, NodeSort::UpdatedAt, NodeSort::Score, NodeSort::Name] {
        for order in [Order::Ascending, Order::Descending] {
            let mut listed = Vec::new();
            for page in 1..=4 {
                let page = store
                    .nodes(&NodeFilter::default(), PageRequest { page, limit: 7, sort, order })
                    .await
                    .unwrap();
                assert_eq!(page.total, 25);
                listed.extend(page.items);
            }
            let key = |n: &Node| match sort {
                NodeSort::CreatedAt => (n.created_at.0, String::new(), n.id),
                NodeSort::UpdatedAt => (n.updated_at.0, String::new(), n.id),
                NodeSort::Score => (n.score.map_or(-1, |s| i64::from(s.0)), String::new(), n.id),
                NodeSort::Name => (0, n.name.clone(), n.id),
            };
            let mut sorted = listed.clone();
            sorted.sort_by_key(key);
            if order == Order::Descending {
                sorted.reverse();
            }
            assert_eq!(
                listed.iter().map(key).collect::<Vec<_>>(),
                sorted.iter().map(key).collect::<Vec<_>>(),
                "{sort:?} {order:?}"
            );
            assert_eq!(listed.len(), 25);
        }
    }
    let filter = NodeFilter {
        owner: Some(owner_id(1)),
        status: Some(NodeStatus::Active),
        pool: Some(pool_id(1)),
    };
    let found = store.nodes(&filter, all(NodeSort::Name, Order::Ascending)).await.unwrap();
    assert_eq!((found.total, found.items[0].id), (1, node_id(4)));
    let beyond =
        PageRequest { page: u64::MAX, limit: 100, sort: NodeSort::Name, order: Order::Ascending };
    assert_eq!(store.nodes(&NodeFilter::default(), beyond).await.unwrap().items, []);
    let counts = store.count_by_status().await.unwrap();
    assert!(
        counts.contains(&(NodeStatus::Active, 13)) && counts.contains(&(NodeStatus::Inactive, 12)),
        "{counts:?}"
    );
}

pub async fn the_fleet_is_walked_by_id(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..10 {
        let status = if i == 3 { NodeStatus::Deregistered } else { NodeStatus::Active };
        register(&*store, Node { status, ..node(i) }).await;
    }
    let (mut walked, mut after) = (Vec::new(), None);
    loop {
        let next = store.live_nodes_after(after, 4).await.unwrap();
        let Some(last) = next.last() else { break };
        after = Some(last.id);
        walked.extend(next.into_iter().map(|n| n.id));
    }
    let live: Vec<_> = (0..10).filter(|i| *i != 3).map(node_id).collect();
    assert_eq!(walked, live);
    let batches: Vec<_> = store.live_nodes(4).await.unwrap().try_collect().await.unwrap();
    let ids: Vec<Vec<_>> =
        batches.iter().map(|batch| batch.iter().map(|n| n.id).collect()).collect();
    assert_eq!(ids, live.chunks(4).collect::<Vec<_>>());
}

pub async fn siblings_are_counted(backend: &mut dyn Backend) {
    let store = backend.store();
    let ip = |text: &str| text.parse().unwrap();
    let wallet = full_node(1).wallet;
    for (i, owner, address, wallet) in [
        (1, 1, at(ip("192.0.2.1"), 9_000), wallet),
        (2, 1, at(ip("192.0.2.1"), 9_001), None),
        (3, 2, at(ip("192.0.2.200"), 9_002), wallet),
        (4, 2, None, wallet),
        (5, 3, at(ip("2001:db8:0:1::1"), 9_000), None),
        (6, 3, at(ip("2001:db8:0:1:ffff::1"), 9_000), None),
    ] {
        register(&*store, Node { owner: owner_id(owner), address, wallet, ..node(i) }).await;
    }
    let newcomer = |owner, ip, wallet: Option<lucid_model::fleet::node::Wallet>| Newcomer {
        owner: owner_id(owner),
        ip,
        wallet: wallet.map(|w| w.address),
    };
    let of = |same_owner, same_ip, same_network, same_wallet| SiblingCounts {
        same_owner,
        same_ip,
        same_network,
        same_wallet,
    };
    for (asked, except, expected) in [
        (newcomer(1, Some(ip("192.0.2.1")), wallet), None, of(2, 2, 3, 3)),
        (newcomer(1, Some(ip("192.0.2.1")), wallet), Some(node_id(1)), of(1, 1, 2, 2)),
        (newcomer(9, Some(ip("2001:db8:0:1::9")), None), None, of(0, 0, 2, 0)),
        (newcomer(9, None, None), None, SiblingCounts::default()),
    ] {
        assert_eq!(store.count_siblings(asked, except).await.unwrap(), expected, "{asked:?}");
    }
}

pub async fn a_cap_holds_for_fifty_at_once(backend: &mut dyn Backend) {
    let store = backend.store();
    let caps = NodeCaps { per_owner: 7, ..NodeCaps::default() };
    let outcomes =
        fifty(|i| {
            let store = store.clone();
            async move {
                store.register_node(Registration { caps, ..registration(node(i)) }).await.unwrap()
            }
        })
        .await;
    let reached = Registered::CapReached(CapReached { what: "nodes of one owner", limit: 7 });
    assert_eq!(outcomes.iter().filter(|o| **o == reached).count(), 43);
    assert_eq!(audited(&*store).await, 7, "what was refused leaves no trace");
}

pub async fn a_registration_is_repeated_not_doubled(backend: &mut dyn Backend) {
    let store = backend.store();
    store.create_pool(Pool { max_nodes: 1, ..pool(1) }, audit("pool.create")).await.unwrap();
    let wanted = Registration {
        assign_audit: Some(audit("node.assign")),
        ..registration(Node { pool: Some(pool_id(1)), ..node(1) })
    };
    let Registered::Done(first) = store.register_node(wanted.clone()).await.unwrap() else {
        panic!()
    };
    assert_eq!(first.pool, Some(pool_id(1)));
    assert_eq!(store.register_node(wanted).await.unwrap(), Registered::Repeated(first));
    assert_eq!(audited(&*store).await, 3);
    let late = Registration {
        assign_audit: Some(audit("node.assign")),
        ..registration(Node { pool: Some(pool_id(1)), ..node(2) })
    };
    let Registered::Done(second) = store.register_node(late).await.unwrap() else { panic!() };
    assert_eq!(
        (second.pool, audited(&*store).await),
        (None, 4),
        "the pool is full: registered all the same"
    );
}

pub async fn nodes_without_an_address_do_not_collide(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=3 {
        assert_eq!(register(&*store, Node { address: None, ..node(i) }).await, Outcome::Done);
        assert_eq!(store.node(node_id(i)).await.unwrap().unwrap().address, None);
    }
}
