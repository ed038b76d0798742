use lucid_model::{
    consensus::{BlockRef, Vote, VoteState, VoteTally},
    epochs::{epoch::EpochRecord, receipt::epoch_root},
    fleet::node::Node,
    id::{NodeId, PoolScope},
    time::TimeMs,
};
use lucid_ports::{Attempt, MadeVotes, Order, Store, VoteFilter};

use crate::{Backend, all, examples::*};

fn block(id: &str) -> BlockRef {
    BlockRef { id: id.into(), hash: format!("hash of {id}") }
}

fn keys(votes: &[Vote]) -> Vec<(i64, NodeId)> {
    votes.iter().map(|vote| (vote.epoch_start_s, vote.node)).collect()
}

async fn two_epochs(store: &dyn Store) {
    for i in 1..=2 {
        store.register_node(registration(Node { owner: owner_id(i), ..node(i) })).await.unwrap();
    }
    for i in [2, 1] {
        store.commit_epoch(epoch(i), vec![], vec![vote(i, 2), vote(i, 1)]).await.unwrap();
    }
}

pub async fn a_block_is_pinned_once(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    assert_eq!(
        (store.epochs_without_block().await.unwrap(), store.newest_block().await.unwrap()),
        (vec![HOUR, 2 * HOUR], None)
    );
    store.pin_block(2 * HOUR, block("a")).await.unwrap();
    store.pin_block(2 * HOUR, block("b")).await.unwrap();
    assert_eq!(
        (store.epochs_without_block().await.unwrap(), store.newest_block().await.unwrap()),
        (vec![HOUR], Some(block("a")))
    );
    store.pin_block(HOUR, block("c")).await.unwrap();
    assert_eq!(
        store.newest_block().await.unwrap(),
        Some(block("a")),
        "of the newest epoch, not the one that got its block last"
    );
    assert_eq!(store.last_epoch().await.unwrap().unwrap().block, Some(block("a")));
    let votes =
        store.votes(&VoteFilter::default(), all((), Order::Descending)).await.unwrap().items;
    assert_eq!(
        votes.iter().map(|vote| vote.block.clone().unwrap().id).collect::<Vec<_>>(),
        ["a", "a", "c", "c"]
    );
}

pub async fn votes_are_due_when_they_have_a_block(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    assert_eq!(store.due_votes(TimeMs(100), 10).await.unwrap(), []);
    store.pin_block(HOUR, block("a")).await.unwrap();
    store.pin_block(2 * HOUR, block("b")).await.unwrap();
    assert_eq!(store.due_votes(TimeMs(99), 10).await.unwrap(), []);
    assert_eq!(store.due_votes(TimeMs(100), 1).await.unwrap().len(), 1);
    let due = store.due_votes(TimeMs(100), 3).await.unwrap();
    assert_eq!(
        keys(&due),
        [(HOUR, node_id(1)), (HOUR, node_id(2))],
        "those of the second epoch wait for these"
    );
    let (vote_id, answer) = (Some("v-1".to_owned()), Some("ok".to_owned()));
    let accepted =
        Vote { state: VoteState::Accepted, vote_id, answer, attempts: 1, ..due[0].clone() };
    let later = Vote { attempts: 1, next_attempt_at: TimeMs(500), ..due[1].clone() };
    store.update_votes(vec![accepted.clone(), later.clone()]).await.unwrap();
    assert_eq!(keys(&store.due_votes(TimeMs(100), 9).await.unwrap()), [(2 * HOUR, node_id(1))]);
    let of_epoch = store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!(of_epoch.items[..2], [accepted, later]);
}

pub async fn a_node_votes_in_the_order_of_its_epochs(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    for (epoch, id) in [(HOUR, "a"), (2 * HOUR, "b")] {
        store.pin_block(epoch, block(id)).await.unwrap();
    }
    let due = store.due_votes(TimeMs(100), 9).await.unwrap();
    // One is on its way again later, of the other the chain has to decide: only the first holds up
    // what comes after it.
    let waits = Vote { next_attempt_at: TimeMs(500), ..due[0].clone() };
    let undecided =
        Vote { vote_id: Some("v".into()), next_attempt_at: TimeMs(400), ..due[1].clone() };
    store.update_votes(vec![waits.clone(), undecided.clone()]).await.unwrap();
    assert_eq!(keys(&store.due_votes(TimeMs(100), 9).await.unwrap()), [(2 * HOUR, node_id(2))]);
    assert_eq!(
        keys(&store.due_votes(TimeMs(100), 1).await.unwrap()),
        [(2 * HOUR, node_id(2))],
        "none that waits takes its place"
    );
    assert_eq!(
        store.due_votes(TimeMs(400), 9).await.unwrap()[0],
        undecided,
        "the chain is asked about it"
    );
    let lost = Vote { vote_id: None, next_attempt_at: TimeMs(100), ..undecided };
    store.update_votes(vec![lost, Vote { state: VoteState::Rejected, ..waits }]).await.unwrap();
    assert_eq!(
        keys(&store.due_votes(TimeMs(100), 9).await.unwrap()),
        [(HOUR, node_id(2)), (2 * HOUR, node_id(1))]
    );
}

pub async fn old_votes_expire_and_votes_are_counted(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    let accepted = Vote { state: VoteState::Accepted, ..vote(1, 1) };
    store.update_votes(vec![accepted]).await.unwrap();
    let tallied = async |node| store.tally_votes(HOUR, 3 * HOUR, node).await.unwrap();
    let tally = |accepted, pending, expired| VoteTally {
        pending,
        accepted,
        expired,
        ..VoteTally::default()
    };
    assert_eq!(tallied(None).await, [(HOUR, tally(1, 1, 0)), (2 * HOUR, tally(0, 2, 0))]);
    assert_eq!(store.expire_votes(TimeMs(77), 9).await.unwrap(), 0, "closed at that moment");
    assert_eq!(
        store.expire_votes(TimeMs(78), 1).await.unwrap(),
        1,
        "no more at once than asked for"
    );
    assert_eq!(
        store.expire_votes(TimeMs(78), 9).await.unwrap(),
        2,
        "with a block or without, but nothing that is settled"
    );
    assert_eq!(tallied(None).await, [(HOUR, tally(1, 0, 1)), (2 * HOUR, tally(0, 0, 2))]);
    assert_eq!(
        tallied(Some(node_id(1))).await,
        [(HOUR, tally(1, 0, 0)), (2 * HOUR, tally(0, 0, 1))]
    );
    assert_eq!(store.tally_votes(0, HOUR, None).await.unwrap(), []);
}

pub async fn a_vote_that_contradicts_another_is_named(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=2 {
        store.register_node(registration(node(i))).await.unwrap();
    }
    let (attempt, chunks) = (
        Attempt::from_bytes([1; 12]),
        vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, 10), row(2, 20)])],
    );
    let record = EpochRecord { root: epoch_root(&chunks), ..epoch(1) };
    store.stage_chunks(period(1), attempt, chunks.clone()).await.unwrap();
    store.close_staged(record.clone(), attempt).await.unwrap();
    let follow: Vec<_> =
        chunks[0].rows.iter().filter_map(|row| Vote::of_score(&record, row)).collect();
    // One of another score, and one that is what will be made.
    let there = [vote(1, 1), follow[1].clone()];
    store.commit_epoch(epoch(2), vec![], there.to_vec()).await.unwrap();
    let made = store.make_votes(record.closed_at).await.unwrap();
    assert_eq!(made, MadeVotes { worked: true, contradicted: vec![follow[0].clone()] });
    let listed = store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!(listed.items, there, "what is there stays");
}

pub async fn votes_are_listed_by_epoch(backend: &mut dyn Backend) {
    let store = backend.store();
    two_epochs(&*store).await;
    let listed = async |filter: VoteFilter| {
        let page = store.votes(&filter, all((), Order::Descending)).await.unwrap();
        page.items.into_iter().map(|v| (v.epoch_start_s / HOUR, v.node)).collect::<Vec<_>>()
    };
    let (one, two) = (node_id(1), node_id(2));
    assert_eq!(listed(VoteFilter::default()).await, [(2, two), (2, one), (1, two), (1, one)]);
    assert_eq!(
        listed(VoteFilter { node: Some(one), ..VoteFilter::default() }).await,
        [(2, one), (1, one)]
    );
    assert_eq!(
        listed(VoteFilter { owner: Some(owner_id(2)), ..VoteFilter::default() }).await,
        [(2, two), (1, two)]
    );
    assert_eq!(
        listed(VoteFilter { state: Some(VoteState::Expired), ..VoteFilter::default() }).await,
        []
    );
    let page = store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!((page.total, &page.items[0]), (4, &vote(1, 1)));
    // A chain may name two votes alike, and one that takes no abstentions gets none.
    let alike =
        |vote: Vote| Vote { state: VoteState::Accepted, vote_id: Some("vote_1".into()), ..vote };
    let abstained = Vote { state: VoteState::Abstained, ..vote(2, 1) };
    store.update_votes(vec![alike(vote(1, 1)), alike(vote(1, 2)), abstained]).await.unwrap();
    assert_eq!(
        listed(VoteFilter { state: Some(VoteState::Accepted), ..VoteFilter::default() }).await,
        [(1, two), (1, one)]
    );
    assert_eq!(
        listed(VoteFilter { state: Some(VoteState::Abstained), ..VoteFilter::default() }).await,
        [(2, one)]
    );
    let tallies = store.tally_votes(HOUR, 3 * HOUR, Some(one)).await.unwrap();
    assert_eq!(
        tallies.iter().map(|(_, tally)| (tally.accepted, tally.abstained)).collect::<Vec<_>>(),
        [(1, 0), (0, 1)]
    );
}
