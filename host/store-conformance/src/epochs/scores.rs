use lucid_model::{
    epochs::{
        receipt::{OnDemandReceipt, ScoreRow, epoch_root},
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    fleet::node::Node,
    id::{Digest, OnDemandId, PoolScope},
    time::TimeMs,
};
use lucid_ports::{NodeTotals, Order, ScoreFilter, ScoreSort, Store, StoreError};

use crate::{Backend, all, examples::*};

const POOL: fn() -> PoolScope = || PoolScope::Pool(pool_id(1));

/// Epoch 1 scores nodes 1–3 without a pool, epoch 2 nodes 2 and 3 in one, epoch 3 holds node 3.
async fn three_epochs(store: &dyn Store) {
    for i in 1..=3 {
        store
            .register_node(registration(Node { owner: owner_id(i % 2), ..node(i) }))
            .await
            .unwrap();
    }
    let first = vec![row(1, 50), row(2, 60), row(3, 60)];
    store
        .commit_epoch(epoch(1), vec![chunk(1, 0, PoolScope::Unassigned, first)], vec![])
        .await
        .unwrap();
    let second = vec![
        chunk(2, 0, PoolScope::Unassigned, vec![row(2, 70)]),
        chunk(2, 1, POOL(), vec![row(3, 70)]),
    ];
    store.commit_epoch(epoch(2), second, vec![]).await.unwrap();
    let held = ScoreRow { held: true, eligible: false, ..row(3, 0) };
    store.commit_epoch(epoch(3), vec![chunk(3, 0, POOL(), vec![held])], vec![]).await.unwrap();
}

pub async fn scores_are_read_as_they_were_hashed(backend: &mut dyn Backend) {
    let store = backend.store();
    // Rows against the order of their ids: the root depends on theirs.
    let chunks = vec![
        chunk(1, 0, PoolScope::Unassigned, vec![row(3, 1), row(2, 2)]),
        chunk(1, 1, POOL(), vec![row(1, 3)]),
    ];
    store.commit_epoch(epoch(1), chunks.clone(), vec![]).await.unwrap();
    let stored = store.scored(HOUR).await.unwrap();
    assert_eq!(stored, chunks);
    assert_eq!(epoch_root(&stored), epoch_root(&chunks));
    let one = store.score(HOUR, node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (one.row, one.header, one.calculated_at),
        (row(1, 3), chunks[1].header.clone(), epoch(1).closed_at)
    );
    assert_eq!(store.score(HOUR, node_id(9)).await.unwrap(), None);
    assert_eq!(store.scored(9 * HOUR).await.unwrap(), []);
}

pub async fn the_latest_scores_are_listed(backend: &mut dyn Backend) {
    let store = backend.store();
    three_epochs(&*store).await;
    let listed = async |filter: ScoreFilter, sort, order| {
        let page = store.scores(&filter, all(sort, order)).await.unwrap();
        assert_eq!(page.total, u64::try_from(page.items.len()).unwrap());
        page.items.into_iter().map(|v| (v.row.node, v.row.score.0)).collect::<Vec<_>>()
    };
    let everywhere = ScoreFilter::default;
    let (one, two, three) = ((node_id(1), 50), (node_id(2), 70), (node_id(3), 70));
    assert_eq!(listed(everywhere(), ScoreSort::Score, Order::Descending).await, [three, two, one]);
    assert_eq!(
        listed(everywhere(), ScoreSort::CalculatedAt, Order::Ascending).await,
        [one, two, three]
    );
    assert_eq!(listed(everywhere(), ScoreSort::NodeId, Order::Ascending).await, [one, two, three]);
    let owned = ScoreFilter { owner: Some(owner_id(1)), ..everywhere() };
    assert_eq!(listed(owned, ScoreSort::Score, Order::Ascending).await, [one, three]);
    let pooled = ScoreFilter { pool: Some(pool_id(1)), ..everywhere() };
    assert_eq!(listed(pooled, ScoreSort::Score, Order::Ascending).await, [three]);
    let given =
        Node { owner: owner_id(7), version: 2, ..store.node(node_id(1)).await.unwrap().unwrap() };
    assert!(store.update_node(given, audit("node.update")).await.unwrap());
    let owned = ScoreFilter { owner: Some(owner_id(7)), ..everywhere() };
    assert_eq!(
        listed(owned, ScoreSort::Score, Order::Ascending).await,
        [one],
        "a score goes with its node"
    );
}

pub async fn a_nodes_history_is_listed(backend: &mut dyn Backend) {
    let store = backend.store();
    three_epochs(&*store).await;
    let of_node = ScoreFilter { node: Some(node_id(3)), ..ScoreFilter::default() };
    let newest =
        store.scores(&of_node, all(ScoreSort::CalculatedAt, Order::Descending)).await.unwrap();
    let starts: Vec<_> = newest.items.iter().map(|v| v.header.period.start_s).collect();
    assert_eq!((newest.total, starts), (3, vec![3 * HOUR, 2 * HOUR, HOUR]));
    assert!(newest.items[0].row.held);
    let best = store.scores(&of_node, all(ScoreSort::Score, Order::Descending)).await.unwrap();
    assert_eq!(best.items[0].row.score, ScoreCenti(70));
    let pooled =
        ScoreFilter { pool: Some(pool_id(1)), owner: Some(owner_id(1)), ..of_node.clone() };
    assert_eq!(
        store.scores(&pooled, all(ScoreSort::NodeId, Order::Ascending)).await.unwrap().total,
        2
    );
    let foreign = ScoreFilter { owner: Some(owner_id(0)), ..of_node };
    assert_eq!(
        store.scores(&foreign, all(ScoreSort::NodeId, Order::Ascending)).await.unwrap().total,
        0
    );
}

pub async fn scores_are_found_by_the_second(backend: &mut dyn Backend) {
    let store = backend.store();
    three_epochs(&*store).await;
    let at = epoch(1).closed_at;
    let receipt = OnDemandReceipt {
        id: OnDemandId(uuid::Uuid::from_u128(1)),
        node: node_id(1),
        calculated_at: at.plus_ms(999),
        period_s: 3_600,
        observations: 1,
        observed_s: 60,
        score: ScoreCenti(77),
        raw: RawCenti(77),
        multiplier: Ppm(1),
        factors: Factors::default(),
        policy: policy("default"),
        params: Digest::default(),
        rules: 1,
        facts: Digest::default(),
    };
    store.add_on_demand(receipt.clone()).await.unwrap();
    let mut found = store.scores_computed_at(node_id(1), at.plus_ms(500)).await.unwrap();
    found.sort();
    assert_eq!(found, [ScoreCenti(50), ScoreCenti(77)]);
    assert_eq!(store.scores_computed_at(node_id(1), TimeMs(at.0 + 1_000)).await.unwrap(), []);
    assert_eq!(
        store.scores_computed_at(node_id(3), epoch(3).closed_at).await.unwrap(),
        [],
        "a node that is held has no score"
    );
    assert_eq!(
        store.forget_on_demand(at.plus_ms(999), 10).await.unwrap(),
        0,
        "computed at that instant is not before it"
    );
    assert_eq!(store.forget_on_demand(at.plus_ms(1_000), 10).await.unwrap(), 1);
    assert_eq!(store.forget_on_demand(at.plus_ms(1_000), 10).await.unwrap(), 0);
    assert_eq!(
        store.scores_computed_at(node_id(1), at.plus_ms(500)).await.unwrap(),
        [ScoreCenti(50)],
        "an epoch's receipt stays"
    );
}

pub async fn totals_count_eligible_epochs_only(backend: &mut dyn Backend) {
    let store = backend.store();
    three_epochs(&*store).await;
    let totals = store.totals(HOUR, 4 * HOUR).await.unwrap();
    let expected = |node, pool, raw_sum_centi, epochs: u32| {
        let observed_s = 1_800 * u64::from(epochs);
        NodeTotals {
            node: node_id(node),
            pool,
            eligible: true,
            observed_s,
            score_seconds: raw_sum_centi * 1_800,
            raw_sum_centi,
            epochs,
        }
    };
    let unassigned = PoolScope::Unassigned;
    assert_eq!(
        totals,
        [
            expected(1, unassigned, 5_050, 1),
            expected(2, unassigned, 10_130, 2),
            expected(3, POOL(), 10_130, 2)
        ]
    );
    let last = store.totals(3 * HOUR, 4 * HOUR).await.unwrap();
    let nothing = NodeTotals {
        node: node_id(3),
        pool: POOL(),
        eligible: false,
        observed_s: 0,
        score_seconds: 0,
        raw_sum_centi: 0,
        epochs: 0,
    };
    assert_eq!(last, [nothing]);
    let mut observed = store.observed_seconds(2 * HOUR, 4 * HOUR).await.unwrap();
    observed.sort();
    assert_eq!(observed, [(node_id(2), 1_800), (node_id(3), 3_600)]);
}

pub async fn a_sum_that_does_not_fit_is_an_error(backend: &mut dyn Backend) {
    let store = backend.store();
    let huge = |e| {
        chunk(
            e,
            0,
            PoolScope::Unassigned,
            vec![ScoreRow { raw: RawCenti(u32::MAX), observed_s: u32::MAX / 2, ..row(1, 1) }],
        )
    };
    for i in 1..=2 {
        store.commit_epoch(epoch(i), vec![huge(i)], vec![]).await.unwrap();
    }
    assert!(matches!(store.totals(0, 9 * HOUR).await, Err(StoreError::Inconsistent { .. })));
}
