use lucid_model::{
    consensus::VoteState,
    fleet::{node::NodeStatus, pool::PoolStatus},
    id::WebhookId,
    money::payout::{PayoutState, PayoutStatus},
    notifications::webhook::DeliveryState,
    time::TimeMs,
};
use lucid_ports::{
    AuditFilter, DeliveryFilter, EnrolmentFilter, EpochFilter, NodeFilter, NodeSort, Order,
    PageRequest, PayoutFilter, PayoutSort, PoolFilter, PoolSort, ScoreFilter, ScoreSort,
    VoteFilter,
};
use lucid_store_conformance::{all, examples::*};

use crate::{
    SqliteStore, audit, consensus,
    epochs::{self, scores},
    fleet::{alerts, enrolments, nodes, pools},
    money::payouts,
    notifications::webhooks,
    query::List,
};

/// A list that its index sorts, or one whose filter leaves few enough rows to sort them.
#[derive(PartialEq, Clone, Copy)]
enum By {
    Index,
    Sorting,
}

fn both<S: Copy>(sort: S) -> [PageRequest<S>; 2] {
    [all(sort, Order::Ascending), all(sort, Order::Descending)]
}

fn node_lists(lists: &mut Vec<(By, String, List)>) {
    for page in [NodeSort::CreatedAt, NodeSort::UpdatedAt, NodeSort::Score, NodeSort::Name]
        .into_iter()
        .flat_map(both)
    {
        let owned = NodeFilter { owner: Some(owner_id(1)), ..NodeFilter::default() };
        for (name, by, filter) in [
            ("nodes", By::Index, NodeFilter::default()),
            (
                "nodes of an owner",
                if page.sort == NodeSort::Score { By::Sorting } else { By::Index },
                owned.clone(),
            ),
            (
                "active nodes",
                By::Index,
                NodeFilter { status: Some(NodeStatus::Active), ..NodeFilter::default() },
            ),
            (
                "nodes of a pool",
                By::Sorting,
                NodeFilter { pool: Some(pool_id(1)), ..NodeFilter::default() },
            ),
            (
                "active nodes of an owner",
                By::Sorting,
                NodeFilter { status: Some(NodeStatus::Active), ..owned },
            ),
        ] {
            lists.push((by, format!("{name} by {:?}", page.sort), nodes::list(&filter, page)));
        }
    }
    for page in [PoolSort::CreatedAt, PoolSort::UpdatedAt, PoolSort::Name, PoolSort::NodeCount]
        .into_iter()
        .flat_map(both)
    {
        lists.push((
            By::Index,
            format!("pools by {:?}", page.sort),
            pools::list(&PoolFilter::default(), page),
        ));
        let active = PoolFilter { status: Some(PoolStatus::Active) };
        lists.push((
            By::Sorting,
            format!("active pools by {:?}", page.sort),
            pools::list(&active, page),
        ));
    }
}

fn score_lists(lists: &mut Vec<(By, String, List)>) {
    for page in
        [ScoreSort::Score, ScoreSort::CalculatedAt, ScoreSort::NodeId].into_iter().flat_map(both)
    {
        for (name, by, filter) in [
            ("scores", By::Index, ScoreFilter::default()),
            (
                "scores of an owner",
                if page.sort == ScoreSort::NodeId { By::Index } else { By::Sorting },
                ScoreFilter { owner: Some(owner_id(1)), ..ScoreFilter::default() },
            ),
            (
                "scores of a pool",
                By::Sorting,
                ScoreFilter { pool: Some(pool_id(1)), ..ScoreFilter::default() },
            ),
        ] {
            lists.push((
                by,
                format!("{name} by {:?}", page.sort),
                scores::latest_list(&filter, &page),
            ));
        }
    }
    for page in both(()) {
        lists.push((By::Index, "epochs".into(), epochs::list(EpochFilter::default(), page)));
        lists.push((By::Index, "votes".into(), consensus::list(&VoteFilter::default(), page)));
        lists.push((
            By::Index,
            "a node's votes".into(),
            consensus::list(&VoteFilter { node: Some(node_id(1)), ..VoteFilter::default() }, page),
        ));
        lists.push((
            By::Index,
            "an owner's votes".into(),
            consensus::list(
                &VoteFilter { owner: Some(owner_id(1)), ..VoteFilter::default() },
                page,
            ),
        ));
        let pending = VoteFilter { state: Some(VoteState::Pending), ..VoteFilter::default() };
        lists.push((By::Index, "pending votes".into(), consensus::list(&pending, page)));
        for state in [None, Some(DeliveryState::Pending)] {
            let filter = DeliveryFilter { webhook: WebhookId(owner_id(1).0), state };
            lists.push((By::Index, format!("deliveries {state:?}"), webhooks::list(filter, page)));
        }
        lists.push((By::Index, "a node's alerts".into(), alerts::list(node_id(1), page)));
        lists.push((
            By::Index,
            "enrolments".into(),
            enrolments::list(EnrolmentFilter::default(), page),
        ));
        lists.push((
            By::Index,
            "an owner's enrolments".into(),
            enrolments::list(EnrolmentFilter { owner: Some(owner_id(1)) }, page),
        ));
        let text = || Some("a".to_owned());
        let span =
            AuditFilter { from: Some(TimeMs(1)), to: Some(TimeMs(9)), ..AuditFilter::default() };
        for filter in [AuditFilter::default(), span] {
            for filter in [
                filter.clone(),
                AuditFilter { actor: text(), ..filter.clone() },
                AuditFilter { action: text(), ..filter.clone() },
                AuditFilter { subject: text(), ..filter.clone() },
                AuditFilter { actor: text(), action: text(), subject: text(), ..filter },
            ] {
                lists.push((By::Index, format!("audit {filter:?}"), audit::list(&filter, page)));
            }
        }
    }
}

fn payout_lists(lists: &mut Vec<(By, String, List)>) {
    for page in
        [PayoutSort::CreatedAt, PayoutSort::UpdatedAt, PayoutSort::Amount, PayoutSort::Status]
            .into_iter()
            .flat_map(both)
    {
        for (name, by, filter) in [
            ("payouts", By::Index, PayoutFilter::default()),
            (
                "payouts of an owner",
                if page.sort == PayoutSort::CreatedAt { By::Index } else { By::Sorting },
                PayoutFilter { owner: Some(owner_id(1)), ..PayoutFilter::default() },
            ),
            (
                "payouts of a node",
                By::Sorting,
                PayoutFilter { node: Some(node_id(1)), ..PayoutFilter::default() },
            ),
            (
                "payouts of a run",
                By::Sorting,
                PayoutFilter { run: Some(run(1).id), ..PayoutFilter::default() },
            ),
            (
                "payouts in a state",
                By::Sorting,
                PayoutFilter { state: Some(PayoutState::Manual), ..PayoutFilter::default() },
            ),
            (
                "pending payouts",
                By::Sorting,
                PayoutFilter { status: Some(PayoutStatus::Pending), ..PayoutFilter::default() },
            ),
        ] {
            lists.push((by, format!("{name} by {:?}", page.sort), payouts::list(&filter, page)));
        }
    }
}

#[tokio::test]
async fn no_list_reads_a_whole_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let mut lists = Vec::new();
    node_lists(&mut lists);
    score_lists(&mut lists);
    payout_lists(&mut lists);
    let count = lists.len();
    let plans = store
        .core
        .read(move |c| {
            Ok(lists
                .into_iter()
                .map(|(by, name, list)| (by, name, list.plan(c)))
                .collect::<Vec<_>>())
        })
        .await
        .unwrap();
    assert_eq!(plans.len(), count);
    for (by, name, plan) in plans {
        for step in &plan {
            // epochs, latest_scores and votes are walked by their primary keys, which is their
            // order.
            let walks_key = ["SCAN epochs", "SCAN l", "SCAN votes"].contains(&step.as_str());
            assert!(
                !step.starts_with("SCAN") || step.contains(" USING ") || walks_key,
                "{name}: {plan:?}"
            );
            assert!(by == By::Sorting || !step.contains("TEMP B-TREE"), "{name}: {plan:?}");
        }
    }
}
