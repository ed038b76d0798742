pub mod scores;

use lucid_model::{
    consensus::{BlockRef, Vote},
    epochs::{
        epoch::EpochRecord,
        facts::{Fact, FactRow},
        frame::FrameHead,
        receipt::{ChunkHeader, ScoreRow, ScoredChunk, epoch_root},
        score::{Ppm, ScoreCenti},
    },
    id::PoolScope,
    policies::Revision,
};
use lucid_ports::{Attempt, EpochFilter, FramePart, Order, Staged, StagedChunk, VoteFilter};

use crate::{Backend, all, examples::*, fifty};

pub fn frame(observed_s: i64) -> Vec<lucid_model::epochs::frame::FrameChunk> {
    let rows = (0..2_500).map(|i| {
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, observed_s);
        (node_id(i), row)
    });
    FrameHead { period: period(1), revision: Revision(3), score_multiplier: Ppm(1_500_000) }.chunks(
        PoolScope::Pool(pool_id(1)),
        rows.collect(),
        0,
    )
}

pub async fn a_frame_is_written_once(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.frame(HOUR).await.unwrap(), []);
    assert_eq!(store.frame_parts(HOUR).await.unwrap(), None);
    for observed_s in [10, 20] {
        store.write_frame(period(1), Box::new(frame(observed_s).into_iter())).await.unwrap();
        assert_eq!(store.frame(HOUR).await.unwrap(), frame(10), "the first one stays");
    }
    store.write_frame(period(2), Box::new(std::iter::empty())).await.unwrap();
    let late = frame(10)
        .into_iter()
        .map(|chunk| lucid_model::epochs::frame::FrameChunk { period: period(2), ..chunk });
    store.write_frame(period(2), Box::new(late)).await.unwrap();
    assert_eq!(store.frame(2 * HOUR).await.unwrap(), []);
    assert_eq!(
        store.frame_parts(2 * HOUR).await.unwrap(),
        Some(vec![]),
        "an empty frame is a frame"
    );
}

pub async fn a_frame_is_read_chunk_by_chunk(backend: &mut dyn Backend) {
    let store = backend.store();
    store.write_frame(period(1), Box::new(frame(10).into_iter())).await.unwrap();
    let part = |nodes| FramePart { pool: PoolScope::Pool(pool_id(1)), nodes };
    assert_eq!(store.frame_parts(HOUR).await.unwrap(), Some(vec![part(2_000), part(500)]));
    for (index, chunk) in (0..).zip(frame(10)) {
        let stored = store.frame_chunk(HOUR, index).await.unwrap().unwrap();
        assert_eq!((stored.digest(), stored), (chunk.digest(), chunk));
    }
    assert_eq!(store.frame_chunk(HOUR, 2).await.unwrap(), None);
    assert_eq!(store.frame_chunk(2 * HOUR, 0).await.unwrap(), None);
}

const EARLIER: Attempt = Attempt::from_bytes([1; 12]);
const LATER: Attempt = Attempt::from_bytes([2; 12]);

/// Two pools of one node each, scored with so much.
fn scored(score: u32) -> Vec<ScoredChunk> {
    let held = ScoreRow { held: true, eligible: false, ..row(3, 0) };
    vec![
        chunk(1, 0, PoolScope::Unassigned, vec![row(1, score), held]),
        chunk(1, 1, PoolScope::Pool(pool_id(1)), vec![row(2, score)]),
    ]
}

pub async fn an_attempt_is_gone_on_with_and_closed(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=3 {
        store.register_node(registration(node(i))).await.unwrap();
    }
    assert_eq!(store.staged(HOUR).await.unwrap(), None);
    store.stage_chunks(period(1), EARLIER, vec![scored(10).remove(0)]).await.unwrap();
    store.stage_chunks(period(1), LATER, vec![scored(20).remove(0)]).await.unwrap();
    store.stage_chunks(period(1), LATER, vec![scored(30).remove(0)]).await.unwrap();
    let staged = Staged { attempt: LATER, chunks: vec![StagedChunk::of(&scored(20)[0])] };
    assert_eq!(
        store.staged(HOUR).await.unwrap(),
        Some(staged),
        "what an attempt stored first stays"
    );
    let record = EpochRecord { root: epoch_root(&scored(20)), ..epoch(1) };
    assert!(store.close_staged(record.clone(), LATER).await.is_err(), "one chunk is missing");
    assert_eq!(
        (store.last_epoch().await.unwrap(), store.scored(HOUR).await.unwrap()),
        (None, vec![]),
        "nothing is closed"
    );
    store.stage_chunks(period(1), LATER, vec![scored(20).remove(1)]).await.unwrap();
    assert_eq!(store.close_staged(record.clone(), LATER).await.unwrap(), Some(record.clone()));
    let late = EpochRecord { root: epoch_root(&scored(10)), ..epoch(1) };
    assert_eq!(store.close_staged(late, EARLIER).await.unwrap(), None, "it is closed");
    store.stage_chunks(period(1), EARLIER, scored(10)).await.unwrap();
    assert_eq!(store.staged(HOUR).await.unwrap(), None, "nothing is on its way");
    assert_eq!(
        (store.last_epoch().await.unwrap(), store.scored(HOUR).await.unwrap()),
        (Some(record.clone()), scored(20))
    );
    assert_eq!(store.scored_chunk(HOUR, 1).await.unwrap(), Some(scored(20).remove(1)));
    assert_eq!(store.scored_chunk(HOUR, 2).await.unwrap(), None);
    let listed =
        async || store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap();
    assert_eq!(
        (listed().await.total, store.epochs_without_block().await.unwrap()),
        (0, vec![HOUR]),
        "votes are made when they are wanted"
    );
    for row in scored(20).into_iter().flat_map(|chunk| chunk.rows) {
        assert_eq!(
            store.score(HOUR, row.node).await.unwrap().map(|view| view.row),
            Some(row),
            "a score is there at once"
        );
    }
    while store.apply_scores().await.unwrap() {}
    while store.make_votes(record.closed_at).await.unwrap().worked {}
    let votes = listed().await;
    let follow: Vec<_> = scored(20)
        .iter()
        .flat_map(|chunk| &chunk.rows)
        .filter_map(|row| Vote::of_score(&record, row))
        .collect();
    assert_eq!((votes.total, votes.items), (2, follow), "votes follow from the rows");
    for (i, score) in [(1, Some(20)), (2, Some(20)), (3, None)] {
        let node = store.node(node_id(i)).await.unwrap().unwrap();
        assert_eq!((node.score, node.observed_s), (score.map(ScoreCenti), 1_800));
    }
    let next = ScoredChunk {
        header: ChunkHeader { period: period(2), ..scored(20)[1].header.clone() },
        ..scored(20).remove(1)
    };
    let next = ScoredChunk { header: ChunkHeader { index: 0, ..next.header }, ..next };
    let record = EpochRecord { root: epoch_root(std::slice::from_ref(&next)), ..epoch(2) };
    let of_next = Attempt::from_bytes([3; 12]);
    store.stage_chunks(period(2), of_next, vec![next]).await.unwrap();
    assert!(store.close_staged(record.clone(), of_next).await.unwrap().is_some());
    while store.make_votes(record.closed_at.plus_ms(1)).await.unwrap().worked {}
    assert_eq!(listed().await.total, 2, "nobody sends votes of long ago");
}

pub async fn one_of_fifty_closes_what_is_staged(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=3 {
        store.register_node(registration(node(i))).await.unwrap();
    }
    let staged =
        |score: u32| (Attempt::from_bytes([u8::try_from(score).unwrap(); 12]), scored(score));
    for (attempt, chunks) in [staged(10), staged(20)] {
        store.stage_chunks(period(1), attempt, chunks).await.unwrap();
    }
    let outcomes = fifty(|i| {
        let store = store.clone();
        let (attempt, chunks) = staged(if i % 2 == 0 { 10 } else { 20 });
        let record = EpochRecord { root: epoch_root(&chunks), ..epoch(1) };
        async move { store.close_staged(record, attempt).await.unwrap() }
    })
    .await;
    let told: Vec<_> = outcomes.into_iter().flatten().collect();
    assert_eq!(told.len(), 1, "one call closed it");
    let stored = store.scored(HOUR).await.unwrap();
    assert_eq!(
        (store.last_epoch().await.unwrap().as_ref(), epoch_root(&stored)),
        (told.first(), told[0].root)
    );
    let settled = fifty(|_| {
        let store = store.clone();
        async move { while store.apply_scores().await.unwrap() {} }
    });
    settled.await;
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (node.score, node.observed_s),
        (Some(stored[0].rows[0].score), 1_800),
        "and its nodes were counted once"
    );
    let made = fifty(|_| {
        let store = store.clone();
        async move { store.make_votes(epoch(1).closed_at).await.unwrap() }
    })
    .await;
    assert!(made.iter().any(|made| made.worked));
    while store.make_votes(epoch(1).closed_at).await.unwrap().worked {}
    assert_eq!(
        store.votes(&VoteFilter::default(), all((), Order::Ascending)).await.unwrap().total,
        2
    );
}

pub async fn an_epoch_is_closed_exactly_once(backend: &mut dyn Backend) {
    let store = backend.store();
    store.register_node(registration(node(1))).await.unwrap();
    let outcomes = fifty(|i| {
        let store = store.clone();
        let chunks = vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, i)])];
        async move {
            store
                .commit_epoch(EpochRecord { rules: i, ..epoch(1) }, chunks, vec![vote(1, 1)])
                .await
                .unwrap()
        }
    })
    .await;
    let told: Vec<_> = outcomes.into_iter().flatten().collect();
    assert_eq!(told.len(), 1, "one call closed it: {told:?}");
    assert_eq!(store.last_epoch().await.unwrap(), Some(told[0].clone()));
    let winner = told[0].rules;
    assert_eq!(told[0], EpochRecord { rules: winner, ..epoch(1) });
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!((node.score, node.observed_s), (Some(ScoreCenti(winner)), 1_800));
}

pub async fn closing_an_epoch_moves_its_nodes(backend: &mut dyn Backend) {
    let store = backend.store();
    store.register_node(registration(node(1))).await.unwrap();
    let block = Some(BlockRef { id: "b".into(), hash: "h".into() });
    let record = EpochRecord { block, ..epoch(1) };
    store
        .commit_epoch(
            record.clone(),
            vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, 8_000)])],
            vec![],
        )
        .await
        .unwrap();
    assert_eq!(store.last_epoch().await.unwrap(), Some(record));
    let held = ScoreRow { held: true, ..row(1, 0) };
    store
        .commit_epoch(epoch(2), vec![chunk(2, 0, PoolScope::Unassigned, vec![held])], vec![])
        .await
        .unwrap();
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (node.score, node.observed_s, node.version),
        (Some(ScoreCenti(8_000)), 3_600, 1),
        "a node that is held keeps its score"
    );
}

pub async fn epochs_are_listed_by_start(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=5 {
        store.commit_epoch(epoch(i), vec![], vec![]).await.unwrap();
    }
    let filter = EpochFilter { from_s: Some(2 * HOUR), to_s: Some(5 * HOUR) };
    let listed = store.epochs(filter, all((), Order::Descending)).await.unwrap();
    assert_eq!((listed.total, listed.items), (3, vec![epoch(4), epoch(3), epoch(2)]));
    assert_eq!(
        store.epochs(EpochFilter::default(), all((), Order::Ascending)).await.unwrap().total,
        5
    );
}
