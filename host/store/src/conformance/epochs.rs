use lucid_model::{
    epoch::EpochRecord,
    facts::{Fact, FactRow},
    frame::FrameHead,
    id::PoolScope,
    policy::Revision,
    receipt::ScoreRow,
    score::{Ppm, ScoreCenti},
    vote::BlockRef,
};
use lucid_ports::{EpochFilter, Order};

use super::{Backend, all, examples::*, fifty};

pub(crate) fn frame(observed_s: i64) -> Vec<lucid_model::frame::FrameChunk> {
    let rows = (0..2_500).map(|i| {
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, observed_s);
        (node_id(i), row)
    });
    FrameHead { period: period(1), revision: Revision(3), score_multiplier: Ppm(1_500_000) }.chunks(PoolScope::Pool(pool_id(1)), rows.collect(), 0)
}

pub(crate) async fn a_frame_is_written_once(backend: &mut dyn Backend) {
    let store = backend.store();
    assert_eq!(store.frame(HOUR).await.unwrap(), []);
    assert_eq!(store.write_frame(period(1), frame(10)).await.unwrap(), frame(10));
    assert_eq!(store.write_frame(period(1), frame(20)).await.unwrap(), frame(10));
    assert_eq!(store.frame(HOUR).await.unwrap(), frame(10));
    assert_eq!(store.write_frame(period(2), vec![]).await.unwrap(), []);
    let late = frame(10).into_iter().map(|chunk| lucid_model::frame::FrameChunk { period: period(2), ..chunk }).collect();
    assert_eq!(store.write_frame(period(2), late).await.unwrap(), [], "an empty frame is a frame");
}

pub(crate) async fn an_epoch_is_closed_exactly_once(backend: &mut dyn Backend) {
    let store = backend.store();
    store.register_node(registration(node(1))).await.unwrap();
    let outcomes = fifty(|i| {
        let store = store.clone();
        let chunks = vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, i)])];
        async move { store.commit_epoch(EpochRecord { rules: i, ..epoch(1) }, chunks, vec![vote(1, 1)]).await.unwrap() }
    })
    .await;
    let winner = u32::try_from(outcomes.iter().position(|won| *won).unwrap()).unwrap();
    assert_eq!(outcomes.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.last_epoch().await.unwrap(), Some(EpochRecord { rules: winner, ..epoch(1) }));
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!((node.score, node.observed_s), (Some(ScoreCenti(winner)), 1_800));
}

pub(crate) async fn closing_an_epoch_moves_its_nodes(backend: &mut dyn Backend) {
    let store = backend.store();
    store.register_node(registration(node(1))).await.unwrap();
    let block = Some(BlockRef { id: "b".into(), hash: "h".into() });
    let record = EpochRecord { block, ..epoch(1) };
    store.commit_epoch(record.clone(), vec![chunk(1, 0, PoolScope::Unassigned, vec![row(1, 8_000)])], vec![]).await.unwrap();
    assert_eq!(store.last_epoch().await.unwrap(), Some(record));
    let held = ScoreRow { held: true, ..row(1, 0) };
    store.commit_epoch(epoch(2), vec![chunk(2, 0, PoolScope::Unassigned, vec![held])], vec![]).await.unwrap();
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!((node.score, node.observed_s, node.version), (Some(ScoreCenti(8_000)), 3_600, 1), "a node that is held keeps its score");
}

pub(crate) async fn epochs_are_listed_by_start(backend: &mut dyn Backend) {
    let store = backend.store();
    for i in 1..=5 {
        store.commit_epoch(epoch(i), vec![], vec![]).await.unwrap();
    }
    let filter = EpochFilter { from_s: Some(2 * HOUR), to_s: Some(5 * HOUR) };
    let listed = store.epochs(filter, all((), Order::Descending)).await.unwrap();
    assert_eq!((listed.total, listed.items), (3, vec![epoch(4), epoch(3), epoch(2)]));
    assert_eq!(store.epochs(EpochFilter::default(), all((), Order::Ascending)).await.unwrap().total, 5);
}
