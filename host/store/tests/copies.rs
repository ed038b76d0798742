//! Copies both ways over real files and a real server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops and says where"
)]

use std::{ops::ControlFlow, path::Path};

use lucid_ports::{
    AuditFilter, AuditLog, AuditStore, DecisionStore, NodeFilter, NodeSort, NodeStore, Order,
    PoolStore, SettlementStore, Store,
};
use lucid_store::{
    CopyError, CopyProgress, CopyReport, Kind, Limits, OpenError, Step, Stores,
    transfer::OnProgress,
};
use lucid_store_conformance::{all, examples::*, filled, mongo_server::fresh};
use lucid_store_mongo::{Mongo, MongoStore};
use lucid_store_sqlite::{Sqlite, SqliteStore};
use tempfile::TempDir;

static STORES: Stores = Stores::new(&[&Sqlite, &Mongo]);

async fn copy(from: &str, to: &str, told: OnProgress<'_>) -> Result<CopyReport, CopyError> {
    lucid_store::copy(&STORES, from, to, &Limits::default(), told).await
}

async fn compare(from: &str, to: &str, told: OnProgress<'_>) -> Result<CopyReport, CopyError> {
    lucid_store::compare(&STORES, from, to, told).await
}

fn on(_: CopyProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn url(dir: &Path) -> String {
    format!("sqlite://{}", dir.display())
}

/// A SQLite store with a record of every kind.
async fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    filled::fill(&store).await;
    dir
}

fn assert_equal(report: &CopyReport) {
    assert!(
        report.is_equal(),
        "{:?}",
        report
            .kinds
            .iter()
            .filter(|kind| kind.from != kind.to)
            .map(|k| (k.kind, k.first_difference.clone()))
            .collect::<Vec<_>>()
    );
    assert_eq!(report.misfits, Vec::<String>::new());
}

fn assert_full(report: &CopyReport) {
    for kind in &report.kinds {
        assert!(kind.from.count > 0, "no {} were there to be copied", kind.kind.name());
    }
}

/// Copies a page at a time, stopped after each, until it is done.
async fn copy_in_pieces(from: &str, to: &str) -> (CopyReport, u32) {
    for stops in 0..10_000 {
        let mut pages = 0;
        let mut stop = |progress: CopyProgress| {
            pages += u32::from(progress.step == Step::Copying);
            if pages > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let limits = Limits { page_records: Some(2) };
        match lucid_store::copy(&STORES, from, to, &limits, &mut stop).await {
            Ok(report) => return (report, stops),
            Err(CopyError::Stopped) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("never done");
}

#[tokio::test]
async fn a_url_names_its_backend() {
    let refusal = async |url| STORES.open(url).await.err().unwrap().to_string();
    assert!(refusal("mongodb://host:notaport/x").await.contains("mongodb url"));
    assert!(refusal("mongodb://").await.contains("not a store url"));
    assert!(refusal("postgres://localhost/x").await.contains("postgres:// is unknown"));
    STORES.open("memory://").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_from_sqlite_to_sqlite_says_the_same() {
    let (from, to) = (filled().await, tempfile::tempdir().unwrap());
    let report = copy(&url(from.path()), &url(to.path()), &mut on).await.unwrap();
    assert_equal(&report);
    assert_full(&report);
    let (one, other) =
        (SqliteStore::open(from.path()).unwrap(), SqliteStore::open(to.path()).unwrap());
    assert_eq!(
        one.pool(pool_id(1)).await.unwrap(),
        other.pool(pool_id(1)).await.unwrap(),
        "with the number of its nodes"
    );
    // The copy goes on with a chain of its own, beside the one that was copied.
    other.add_audit(audit("after")).await.unwrap();
    assert_eq!(other.audit_heads().await.unwrap().len(), 2);
    let found = lucid_service::verify_audit(
        &other,
        &lucid_model::audit::verify::Trust::default(),
        &mut |_| {},
    )
    .await
    .unwrap();
    assert_eq!(found.flaw, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_there_and_back_says_the_same_everywhere() {
    let Some(there) = fresh() else { return };
    let (from, back) = (filled().await, tempfile::tempdir().unwrap());
    let report = copy(&url(from.path()), &there, &mut on).await.unwrap();
    assert_equal(&report);
    assert_full(&report);
    assert_equal(&copy(&there, &url(back.path()), &mut on).await.unwrap());
    assert_equal(&compare(&url(from.path()), &url(back.path()), &mut on).await.unwrap());
    assert_equal(&compare(&url(back.path()), &there, &mut on).await.unwrap());

    let (one, other) =
        (SqliteStore::open(from.path()).unwrap(), MongoStore::open(&there).await.unwrap());
    let frozen = one.payments_switch().await.unwrap();
    assert!(
        frozen.frozen.is_some() && other.payments_switch().await.unwrap() == frozen,
        "what is frozen stays frozen"
    );
    let shared = one.distribution(period(2).start_s).await.unwrap();
    assert!(
        shared.is_some() && other.distribution(period(2).start_s).await.unwrap() == shared,
        "a settlement in the middle goes on"
    );
    same_answers(&one, &other).await;
    filled::goes_on(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_from_mongodb_to_mongodb_says_the_same() {
    let (Some(from), Some(to)) = (fresh(), fresh()) else { return };
    {
        let store = MongoStore::open(&from).await.unwrap();
        filled::fill(&store).await;
    }
    let report = copy(&from, &to, &mut on).await.unwrap();
    assert_equal(&report);
    assert_full(&report);
    let (one, other) =
        (MongoStore::open(&from).await.unwrap(), MongoStore::open(&to).await.unwrap());
    same_answers(&one, &other).await;
}

/// What the ports answer, which is more than what is copied.
async fn same_answers(one: &dyn Store, other: &dyn Store) {
    let nodes = async |store: &dyn Store| {
        store
            .nodes(&NodeFilter::default(), all(NodeSort::CreatedAt, Order::Ascending))
            .await
            .unwrap()
    };
    assert_eq!(nodes(one).await.items, nodes(other).await.items);
    assert_eq!(one.pool(pool_id(1)).await.unwrap(), other.pool(pool_id(1)).await.unwrap());
    assert_eq!(one.last_epoch().await.unwrap(), other.last_epoch().await.unwrap());
    assert_eq!(one.scored(HOUR).await.unwrap(), other.scored(HOUR).await.unwrap());
    assert_eq!(one.frame(HOUR).await.unwrap(), other.frame(HOUR).await.unwrap());
    assert_eq!(one.totals(0, i64::MAX).await.unwrap(), other.totals(0, i64::MAX).await.unwrap());
    let ids = [node_id(1), node_id(2), node_id(3)];
    assert_eq!(one.live_states(&ids).await.unwrap(), other.live_states(&ids).await.unwrap());
    assert_eq!(
        one.observed(&ids, span(0, 9_000_000)).await.unwrap(),
        other.observed(&ids, span(0, 9_000_000)).await.unwrap()
    );
    let history = async |store: &dyn Store| {
        let filter = lucid_ports::ScoreFilter { node: Some(node_id(1)), ..Default::default() };
        store
            .scores(&filter, all(lucid_ports::ScoreSort::CalculatedAt, Order::Ascending))
            .await
            .unwrap()
            .items
    };
    assert_eq!(history(one).await, history(other).await);
    let audit = async |store: &dyn Store| {
        store.audit(&AuditFilter::default(), all((), Order::Ascending)).await.unwrap().items
    };
    assert_eq!(audit(one).await, audit(other).await);
    assert_eq!(one.active().await.unwrap(), other.active().await.unwrap());
    assert_eq!(
        one.heads_available(lucid_model::money::MicroUsdt(0)).await.unwrap(),
        other.heads_available(lucid_model::money::MicroUsdt(0)).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_is_stopped_after_every_page_comes_to_the_same_end() {
    let from = filled().await;
    let to = tempfile::tempdir().unwrap();
    let (report, stops) = copy_in_pieces(&url(from.path()), &url(to.path())).await;
    assert!(stops > 10 && report.resumed, "{stops}");
    assert_equal(&report);
    let Some(there) = fresh() else { return };
    let (report, stops) = copy_in_pieces(&url(to.path()), &there).await;
    assert!(stops > 10 && report.resumed, "{stops}");
    assert_equal(&report);
    let back = tempfile::tempdir().unwrap();
    assert_equal(&copy_in_pieces(&there, &url(back.path())).await.0);
    assert_equal(&compare(&url(from.path()), &url(back.path()), &mut on).await.unwrap());
}

/// The store that a copy fills.
async fn of(url: &str) -> std::sync::Arc<dyn lucid_store::transfer::Transfer> {
    STORES.of(url).unwrap().open_target(url).await.unwrap()
}

/// A crash between a page and its mark: the page comes again, and is there already.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_that_come_again_change_nothing() {
    let from = filled().await;
    let dir = tempfile::tempdir().unwrap();
    for to in [Some(url(dir.path())), fresh()].into_iter().flatten() {
        let limits = Limits { page_records: Some(3) };
        let mut at_once = |_| ControlFlow::Break(());
        let begun = lucid_store::copy(&STORES, &url(from.path()), &to, &limits, &mut at_once).await;
        assert!(matches!(begun, Err(CopyError::Stopped)));
        let mark = of(&to).await.read_mark().await.unwrap();
        let mut seen = Kind::Pools;
        let mut stop = |progress: CopyProgress| {
            seen = progress.kind;
            if progress.kind == Kind::Samples {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let stopped = lucid_store::copy(&STORES, &url(from.path()), &to, &limits, &mut stop).await;
        assert!(matches!(stopped, Err(CopyError::Stopped)));
        assert_eq!(seen, Kind::Samples);
        // As if nothing of it had been marked.
        let target = of(&to).await;
        assert_ne!(target.read_mark().await.unwrap(), mark);
        target.write_mark(mark).await.unwrap();
        drop(target);
        assert_equal(&copy(&url(from.path()), &to, &mut on).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_half_copied_store_is_not_served_and_not_copied_from() {
    let (from, other) = (filled().await, filled().await);
    let dir = tempfile::tempdir().unwrap();
    for to in [Some(url(dir.path())), fresh()].into_iter().flatten() {
        let mut stop = |_| ControlFlow::Break(());
        assert!(matches!(copy(&url(from.path()), &to, &mut stop).await, Err(CopyError::Stopped)));
        assert!(matches!(STORES.open(&to).await, Err(OpenError::HalfCopied)));
        let third = tempfile::tempdir().unwrap();
        let refused = copy(&to, &url(third.path()), &mut on).await;
        assert!(
            matches!(refused, Err(CopyError::Open { source, .. }) if matches!(*source, OpenError::HalfCopied))
        );
        let refused = copy(&url(other.path()), &to, &mut on).await;
        assert!(
            matches!(refused, Err(CopyError::OtherCopy { .. })),
            "it is half of another store's copy"
        );
        assert_equal(&copy(&url(from.path()), &to, &mut on).await.unwrap());
        STORES.open(&to).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_copied_is_refused_before_anything_is_written() {
    let (from, full) = (filled().await, filled().await);
    let from_url = url(from.path());
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nowhere");
    let refused = async |from: &str, to: &str| copy(from, to, &mut on).await.unwrap_err();
    let same = refused(&from_url, &format!("{from_url}/.")).await;
    assert!(matches!(same, CopyError::SameStore { .. }) && same.is_usage());
    assert!(refused("postgres://x/y", &from_url).await.is_usage());
    assert!(matches!(refused(&url(&nowhere), &url(empty.path())).await, CopyError::NoStore { .. }));
    assert!(!nowhere.exists());
    // A second time finds the same: nothing was begun.
    for _ in 0..2 {
        assert!(matches!(refused(&from_url, &url(full.path())).await, CopyError::NotEmpty { .. }));
    }
    let used = SqliteStore::open(from.path()).unwrap();
    let refused_now = refused(&from_url, &url(empty.path())).await;
    assert!(
        matches!(refused_now, CopyError::Open { source, .. } if matches!(*source, OpenError::InUse { .. }))
    );
    drop(used);
    if let Some(to) = fresh() {
        let store = MongoStore::open(&to).await.unwrap();
        store.register_node(registration(node(1))).await.unwrap();
        assert!(matches!(refused(&from_url, &to).await, CopyError::NotEmpty { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_differs_is_named() {
    let (from, to) = (filled().await, tempfile::tempdir().unwrap());
    assert_equal(&copy(&url(from.path()), &url(to.path()), &mut on).await.unwrap());
    let tamper = |sql: &str| {
        rusqlite::Connection::open(to.path().join("core.db")).unwrap().execute_batch(sql).unwrap()
    };
    tamper("UPDATE payouts SET amount = amount + 1");
    let report = compare(&url(from.path()), &url(to.path()), &mut on).await.unwrap();
    let differing: Vec<_> = report
        .kinds
        .iter()
        .filter(|kind| kind.first_difference.is_some())
        .map(|k| (k.kind, k.first_difference.clone()))
        .collect();
    assert_eq!(differing, [(Kind::Payouts, Some(payout(1).id.to_string()))]);
    assert!(!report.is_equal());
    tamper(
        "UPDATE payouts SET amount = amount - 1; UPDATE heads SET available = available + 1 WHERE stream <> 'treasury'",
    );
    let report = compare(&url(from.path()), &url(to.path()), &mut on).await.unwrap();
    assert!(!report.is_equal());
    assert_eq!(report.misfits.len(), 1, "{:?}", report.misfits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_vote_that_no_epoch_leads_to_is_told_of_on_either_side() {
    let Some(there) = fresh() else { return };
    let (from, back) = (filled().await, tempfile::tempdir().unwrap());
    assert_equal(&copy(&url(from.path()), &there, &mut on).await.unwrap());
    {
        let client = mongodb::Client::with_uri_str(&there).await.unwrap();
        let votes =
            client.default_database().unwrap().collection::<mongodb::bson::Document>("votes");
        let mut stray = votes.find_one(mongodb::bson::doc! {}).await.unwrap().unwrap();
        stray.insert("_id", "stray");
        stray.insert("epoch_start_s", 1_i64);
        votes.insert_one(stray).await.unwrap();
    }
    for report in [
        compare(&url(from.path()), &there, &mut on).await.unwrap(),
        copy(&there, &url(back.path()), &mut on).await.unwrap(),
    ] {
        assert!(!report.is_equal());
        assert_eq!(
            report
                .misfits
                .iter()
                .filter(|misfit| misfit.starts_with("votes in mongodb://"))
                .count(),
            1,
            "{:?}",
            report.misfits
        );
    }
}

/// Another record under a key that the copy needs, as only a hand could put it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conflict_names_kind_and_key() {
    let (from, to) = (filled().await, tempfile::tempdir().unwrap());
    let mut stop = |progress: CopyProgress| {
        if progress.kind == Kind::Nodes {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    assert!(matches!(
        copy(&url(from.path()), &url(to.path()), &mut stop).await,
        Err(CopyError::Stopped)
    ));
    let run = "INSERT INTO runs SELECT id, cycle, state, 'mallory', approver, payouts, total, reason, created_at, updated_at, version, plan, executor, nodes, root FROM source.runs";
    let file = rusqlite::Connection::open(to.path().join("core.db")).unwrap();
    file.execute_batch(&format!(
        "ATTACH '{}' AS source; {run}",
        from.path().join("core.db").display()
    ))
    .unwrap();
    drop(file);
    match copy(&url(from.path()), &url(to.path()), &mut on).await {
        Err(CopyError::Conflict { kind: Kind::Runs, key }) => assert_eq!(key, run_id()),
        other => panic!("{other:?}"),
    }
}

fn run_id() -> String {
    run(1).id.to_string()
}
