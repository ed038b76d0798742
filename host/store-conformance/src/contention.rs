//! Fifty at once where one may have it, of what has no case of its own elsewhere; and lists read
//! page by page.

use std::collections::BTreeSet;

use lucid_model::{
    consensus::BlockRef,
    fleet::{
        node::{Node, PublicKey},
        pool::Pool,
    },
    money::payout::Payout,
    time::TimeMs,
};
use lucid_ports::{
    Assigned, EnrolmentFilter, EpochFilter, Fence, Order, PageRequest, PayoutUpdate, PoolFilter,
    PoolSort, Registered, ScoreFilter, ScoreSort, VoteFilter,
};

use crate::{
    Backend, epochs::frame, examples::*, fifty, fleet::enrolments::enrolment, policies::bundle,
};

fn winners(outcomes: &[bool]) -> usize {
    outcomes.iter().filter(|won| **won).count()
}

pub async fn one_of_fifty_has_the_key_and_the_external_id(backend: &mut dyn Backend) {
    let store = backend.store();
    for (first, shared) in [
        (0, Node { public_key: Some(PublicKey([9; 32])), ..node(0) }),
        (100, Node { external_id: Some("same".into()), ..node(0) }),
    ] {
        let outcomes = fifty(|i| {
            let (store, own) = (store.clone(), node(first + i));
            let node = Node {
                public_key: shared.public_key,
                external_id: shared.external_id.clone(),
                ..own
            };
            async move { store.register_node(registration(node)).await.unwrap() }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Registered::Done(_))).count(), 1);
        assert_eq!(outcomes.iter().filter(|o| matches!(o, Registered::Conflict(_))).count(), 49);
    }
}

pub async fn one_of_fifty_moves_of_a_node_wins(backend: &mut dyn Backend) {
    let store = backend.store();
    store.register_node(registration(node(1))).await.unwrap();
    for i in 0..2 {
        assert!(store.create_pool(pool(i), audit("pool.create")).await.unwrap());
    }
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .assign_node(node_id(1), 1, Some(pool_id(i % 2)), audit("node.assign"))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|o| matches!(o, Assigned::Done(_))).count(), 1);
    assert_eq!(
        outcomes.iter().filter(|o| matches!(o, Assigned::Conflict)).count(),
        49,
        "{outcomes:?}"
    );
    let pool = store.node(node_id(1)).await.unwrap().unwrap().pool.unwrap();
    for i in 0..2 {
        let members = if pool_id(i) == pool { vec![node_id(1)] } else { vec![] };
        assert_eq!(store.pool_members(pool_id(i)).await.unwrap(), members);
        assert_eq!(
            store.pool(pool_id(i)).await.unwrap().unwrap().node_count as usize,
            members.len()
        );
    }
}

pub async fn one_of_fifty_changes_of_a_pool_wins(backend: &mut dyn Backend) {
    let store = backend.store();
    store.create_pool(pool(1), audit("pool.create")).await.unwrap();
    let outcomes = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .update_pool(
                    Pool { max_nodes: 100 + i, version: 2, ..pool(1) },
                    audit("pool.update"),
                )
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(winners(&outcomes), 1);
    let winner = u32::try_from(outcomes.iter().position(|won| *won).unwrap()).unwrap();
    assert_eq!(store.pool(pool_id(1)).await.unwrap().unwrap().max_nodes, 100 + winner);
    // All want one name.
    for i in 2..52 {
        store.create_pool(pool(i), audit("pool.create")).await.unwrap();
    }
    let named = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .update_pool(
                    Pool { name: "same".into(), version: 2, ..pool(2 + i) },
                    audit("pool.update"),
                )
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(winners(&named), 1);
    // Removed once.
    let removed =
        fifty(|_| {
            let store = store.clone();
            async move {
                store.delete_pool(pool_id(1), None, audit("pool.delete")).await.unwrap().is_some()
            }
        })
        .await;
    assert_eq!(winners(&removed), 1);
}

pub async fn one_of_fifty_tokens_has_the_id(backend: &mut dyn Backend) {
    let store = backend.store();
    let created = fifty(|_| {
        let store = store.clone();
        async move { store.create_enrolment(enrolment(1), audit("enrolment.create")).await.unwrap() }
    })
    .await;
    assert_eq!(winners(&created), 1);
    let revoked = fifty(|i| {
        let store = store.clone();
        async move {
            store
                .revoke_enrolment(enrolment(1).id, TimeMs(i64::from(i)), audit("enrolment.revoke"))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(winners(&revoked), 1);
    let winner = i64::try_from(revoked.iter().position(|won| *won).unwrap()).unwrap();
    assert_eq!(
        store.enrolment(enrolment(1).id).await.unwrap().unwrap().revoked_at,
        Some(TimeMs(winner))
    );
}

pub async fn one_of_fifty_payouts_has_the_transaction(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 0..50 {
        store.create_payout(payout(i), audit("payout.create")).await.unwrap();
    }
    let claimed = fifty(|i| {
        let store = store.clone();
        let change = Payout { txid: Some("same".into()), version: 2, ..payout(i) };
        async move {
            store
                .update_payouts(Fence(1), vec![(change, Some(audit("payout.change")))])
                .await
                .unwrap()[0]
        }
    })
    .await;
    assert_eq!(claimed.iter().filter(|o| **o == PayoutUpdate::Done).count(), 1);
    assert_eq!(claimed.iter().filter(|o| **o == PayoutUpdate::Taken).count(), 49);
}

pub async fn one_of_fifty_frames_versions_and_blocks_is_kept(backend: &mut dyn Backend) {
    let store = backend.store();
    let frames = fifty(|i| {
        let store = store.clone();
        async move {
            store.write_frame(period(1), Box::new(frame(i64::from(i)).into_iter())).await.unwrap();
            store.frame(HOUR).await.unwrap()
        }
    })
    .await;
    assert!(frames.iter().all(|frame| *frame == frames[0]), "all see the one that is kept");
    assert!((0..50).any(|i| frame(i) == frames[0]), "it is one of them, whole");
    let added =
        fifty(|i| {
            let store = store.clone();
            async move {
                store.add_version(bundle("a", i64::from(i)), audit("policy.add")).await.unwrap()
            }
        })
        .await;
    assert_eq!(winners(&added), 1);
    store.commit_epoch(epoch(1), vec![], vec![vote(1, 1)]).await.unwrap();
    fifty(|i| {
        let store = store.clone();
        async move {
            store.pin_block(HOUR, BlockRef { id: format!("{i}"), hash: "h".into() }).await.unwrap()
        }
    })
    .await;
    let block = store.last_epoch().await.unwrap().unwrap().block;
    assert!(block.is_some());
    assert_eq!(store.due_votes(TimeMs(100), 10).await.unwrap()[0].block, block);
}

pub async fn every_list_is_read_page_by_page(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=5 {
        store.register_node(registration(node(i))).await.unwrap();
        store.create_pool(pool(i), audit("pool.create")).await.unwrap();
        store.create_enrolment(enrolment(i), audit("enrolment.create")).await.unwrap();
    }
    for i in 1..=5 {
        let rows = (1..=5).map(|node| row(node, 10 * node)).collect();
        store
            .commit_epoch(
                epoch(i),
                vec![chunk(i, 0, lucid_model::id::PoolScope::Unassigned, rows)],
                vec![vote(i, 1)],
            )
            .await
            .unwrap();
    }
    for order in [Order::Ascending, Order::Descending] {
        let mut found = [const { Vec::<String>::new() }; 6];
        for (page, count) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
            let (of, history) = (
                ScoreFilter::default(),
                ScoreFilter { node: Some(node_id(1)), ..ScoreFilter::default() },
            );
            let plain = PageRequest { page, limit: 2, sort: (), order };
            let epochs = store.epochs(EpochFilter::default(), plain).await.unwrap();
            let votes = store.votes(&VoteFilter::default(), plain).await.unwrap();
            let latest = store
                .scores(&of, PageRequest { page, limit: 2, sort: ScoreSort::NodeId, order })
                .await
                .unwrap();
            let earlier = store
                .scores(
                    &history,
                    PageRequest { page, limit: 2, sort: ScoreSort::CalculatedAt, order },
                )
                .await
                .unwrap();
            let pools = store
                .pools(
                    &PoolFilter::default(),
                    PageRequest { page, limit: 2, sort: PoolSort::Name, order },
                )
                .await
                .unwrap();
            let tokens = store.enrolments(EnrolmentFilter::default(), plain).await.unwrap();
            let totals =
                [epochs.total, votes.total, latest.total, earlier.total, pools.total, tokens.total];
            assert_eq!(totals, [5; 6], "a total is that of the whole list");
            let items = [
                epochs.items.iter().map(|e| format!("{:09}", e.epoch.start_s)).collect::<Vec<_>>(),
                votes.items.iter().map(|v| format!("{:09}", v.epoch_start_s)).collect(),
                latest.items.iter().map(|s| s.row.node.to_string()).collect(),
                earlier.items.iter().map(|s| format!("{:09}", s.header.period.start_s)).collect(),
                pools.items.iter().map(|p| p.name.clone()).collect(),
                tokens.items.iter().map(|t| t.id.to_string()).collect(),
            ];
            assert!(items.iter().all(|items| items.len() == count), "page {page}: {items:?}");
            found.iter_mut().zip(items).for_each(|(found, items)| found.extend(items));
        }
        for mut list in found {
            assert_eq!(
                list.iter().collect::<BTreeSet<_>>().len(),
                5,
                "nothing twice, nothing left out: {list:?}"
            );
            if order == Order::Descending {
                list.reverse();
            }
            assert!(list.is_sorted(), "{list:?}");
        }
    }
}
