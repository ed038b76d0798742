use lucid_model::{
    node::Node,
    time::TimeMs,
    vote::{BlockRef, Vote, VoteState},
};
use lucid_ports::{Order, Store, VoteFilter};

use super::{Backend, all, examples::*};

fn block(id: &str) -> BlockRef {
    BlockRef { id: id.into(), hash: format!("hash of {id}") }
}

async fn two_epochs(store: &dyn Store) {
    for i in 1..=2 {
        store.register_node(registration(Node { owner: owner_id(i), ..node(i) })).await.unwrap();
    }
    for i in [2, 1] {
        store.commit_epoch(epoch(i), vec![], vec![vote(i, 2), vote(i, 1)]).await.unwrap();
    }
}

pub(crate) async fn a_block_is_pinned_once(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    assert_eq!(store.epochs_without_block().await.unwrap(), [HOUR, 2 * HOUR]);
    store.pin_block(2 * HOUR, block("a")).await.unwrap();
    store.pin_block(2 * HOUR, block("b")).await.unwrap();
    assert_eq!(store.epochs_without_block().await.unwrap(), [HOUR]);
    assert_eq!(store.last_epoch().await.unwrap().unwrap().block, Some(block("a")));
    let votes = store.due_votes(TimeMs(100), 10).await.unwrap();
    assert!(votes.len() == 2 && votes.iter().all(|v| v.block == Some(block("a")) && v.epoch_start_s == 2 * HOUR));
}

pub(crate) async fn votes_are_due_when_they_have_a_block(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    assert_eq!(store.due_votes(TimeMs(100), 10).await.unwrap(), []);
    store.pin_block(HOUR, block("a")).await.unwrap();
    store.pin_block(2 * HOUR, block("b")).await.unwrap();
    assert_eq!(store.due_votes(TimeMs(99), 10).await.unwrap(), []);
    let due = store.due_votes(TimeMs(100), 3).await.unwrap();
    let keys: Vec<_> = due.iter().map(|v| (v.epoch_start_s, v.node)).collect();
    assert_eq!(keys, [(HOUR, node_id(1)), (HOUR, node_id(2)), (2 * HOUR, node_id(1))]);
    let (vote_id, answer) = (Some("v-1".to_owned()), Some("ok".to_owned()));
    let accepted = Vote { state: VoteState::Accepted, vote_id, answer, attempts: 1, ..due[0].clone() };
    let later = Vote { attempts: 1, next_attempt_at: TimeMs(500), ..due[1].clone() };
    store.update_votes(vec![accepted.clone(), later.clone()]).await.unwrap();
    assert_eq!(store.due_votes(TimeMs(100), 9).await.unwrap().len(), 2);
    let of_epoch = store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!(of_epoch.items[..2], [accepted, later]);
}

pub(crate) async fn votes_are_listed_by_epoch(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    let listed = async |filter: VoteFilter| {
        let page = store.votes(&filter, all((), Order::Descending)).await.unwrap();
        page.items.into_iter().map(|v| (v.epoch_start_s / HOUR, v.node)).collect::<Vec<_>>()
    };
    let (one, two) = (node_id(1), node_id(2));
    assert_eq!(listed(VoteFilter::default()).await, [(2, two), (2, one), (1, two), (1, one)]);
    assert_eq!(listed(VoteFilter { node: Some(one), ..VoteFilter::default() }).await, [(2, one), (1, one)]);
    assert_eq!(listed(VoteFilter { owner: Some(owner_id(2)), ..VoteFilter::default() }).await, [(2, two), (1, two)]);
    assert_eq!(listed(VoteFilter { state: Some(VoteState::Expired), ..VoteFilter::default() }).await, []);
    let page = store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!((page.total, &page.items[0]), (4, &vote(1, 1)));
}
