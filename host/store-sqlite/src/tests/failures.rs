use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use lucid_ports::{AuditFilter, AuditLog, AuditStore, HealthStore, NodeStore, Order, StoreError};
use lucid_store_conformance::{all, examples::*};
use rusqlite::Connection;

use crate::{
    SqliteStore,
    fault::Fault,
    query::execute,
    writer::{Pace, Writer},
};

fn unavailable<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

/// Says something to the writer's connection that no port says.
async fn tell_writer(store: &SqliteStore, sql: &'static str) {
    store.core.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_as_no_space_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.register_node(registration(node(1))).await.unwrap();
    tell_writer(&store, "PRAGMA max_page_count = 1").await;
    let mut big = audit("big");
    big.detail = "x".repeat(1 << 20);
    assert!(matches!(store.add_audit(big).await, Err(StoreError::NoSpace { .. })));
    assert!(store.node(node_id(1)).await.unwrap().is_some(), "reads go on");
    tell_writer(&store, "PRAGMA max_page_count = 1000000").await;
    store.register_node(registration(node(2))).await.unwrap();
    assert_eq!(
        store.audit(&AuditFilter::default(), all((), Order::Ascending)).await.unwrap().total,
        2
    );
}

#[tokio::test]
async fn a_disk_that_turned_read_only_is_told_as_no_permission() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    tell_writer(&store, "PRAGMA query_only = 1").await;
    assert!(matches!(
        store.register_node(registration(node(1))).await,
        Err(StoreError::NotPermitted { .. })
    ));
    assert_eq!(store.node(node_id(1)).await.unwrap(), None);
    drop(store);
    let store = SqliteStore::open(dir.path()).unwrap();
    store.register_node(registration(node(1))).await.unwrap();
}

#[tokio::test]
async fn every_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    for database in [&store.core, &store.telemetry] {
        let pragma = |name: &'static str| {
            move |c: &Connection| {
                Ok(c.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?)
            }
        };
        assert_eq!(database.write(pragma("synchronous")).await.unwrap(), 2.into());
        assert_eq!(database.write(pragma("journal_mode")).await.unwrap(), "wal".to_owned().into());
    }
}

fn started(connection: Connection) -> Writer {
    Writer::start(
        "x",
        connection,
        Pace { time_max: Duration::from_secs(3600), ..Pace::AT_ONCE },
        None,
        Arc::default(),
    )
    .unwrap()
}

/// A writer of its own with room for any pause, and the file it writes.
fn writer(dir: &tempfile::TempDir) -> (Arc<Writer>, Connection) {
    let file = dir.path().join("x.db");
    let connection = Connection::open(&file).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    connection.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT").unwrap();
    (Arc::new(started(connection)), Connection::open(&file).unwrap())
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

fn insert(x: i64) -> impl FnOnce(&Connection) -> Result<(), Fault> {
    move |connection| execute(connection, "INSERT INTO t (x) VALUES (?)", [x]).map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_comes_after_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, elsewhere) = writer(&dir);
    let (second_is_queued, wait_for_second) = mpsc::channel::<()>();
    let (second_runs, wait_for_run) = tokio::sync::oneshot::channel::<()>();
    let (finish, wait_for_finish) = mpsc::channel::<()>();
    let first = tokio::spawn({
        let writer = Arc::clone(&writer);
        async move {
            let job = move |connection: &Connection| {
                insert(1)(connection)?;
                wait_for_second.recv().map_err(|error| Fault::Bad(error.to_string()))
            };
            writer.run(job).await
        }
    });
    let second = tokio::spawn({
        let writer = Arc::clone(&writer);
        async move {
            let queued = writer.run(move |connection| {
                second_runs.send(()).map_err(|()| Fault::Bad("nobody waits".to_owned()))?;
                wait_for_finish.recv().map_err(|error| Fault::Bad(error.to_string()))?;
                insert(2)(connection)
            });
            // The job is in the queue once the future waits for its answer.
            let mut queued = std::pin::pin!(queued);
            assert!(futures_pending(queued.as_mut()).await);
            second_is_queued.send(()).unwrap();
            queued.await
        }
    });
    wait_for_run.await.unwrap();
    assert!(!first.is_finished(), "the first job ran, but nothing is on disk");
    assert_eq!(count(&elsewhere), 0);
    finish.send(()).unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(count(&elsewhere), 2);
}

/// Polls once.
async fn futures_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_that_fails_takes_only_its_own_changes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, elsewhere) = writer(&dir);
    let jobs: Vec<_> = (0..20)
        .map(|i| {
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                writer
                    .run(move |connection| {
                        insert(i)(connection)?;
                        match i % 4 {
                            1 => Err(Fault::Bad("no".to_owned())),
                            2 => panic!("a fault of ours"),
                            _ => Ok(()),
                        }
                    })
                    .await
            })
        })
        .collect();
    for (i, job) in jobs.into_iter().enumerate() {
        let outcome = job.await.unwrap();
        assert_eq!(
            matches!(outcome, Err(StoreError::Inconsistent { .. })),
            matches!(i % 4, 1 | 2),
            "{outcome:?}"
        );
    }
    assert_eq!(count(&elsewhere), 10);
}

#[tokio::test]
async fn a_commit_that_fails_answers_all_of_its_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, elsewhere) = writer(&dir);
    // A constraint that is only looked at by COMMIT stands for a disk that refuses the sync.
    let sql = "PRAGMA foreign_keys = ON";
    let fails = |connection: &Connection| {
        connection.execute_batch("CREATE TABLE d (x INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED) STRICT; INSERT INTO d VALUES (7)")?;
        Ok(())
    };
    elsewhere.execute_batch(sql).unwrap();
    drop(writer);
    let connection = Connection::open(dir.path().join("x.db")).unwrap();
    connection.execute_batch(sql).unwrap();
    let writer = started(connection);
    let (bad, good) = tokio::join!(writer.run(fails), writer.run(insert(1)));
    assert!(unavailable(bad));
    // It shared the transaction, or came after it; either way its answer is the truth.
    assert_eq!(count(&elsewhere), i64::from(good.is_ok()));
    writer.run(insert(2)).await.unwrap();
    assert_eq!(count(&elsewhere), i64::from(good.is_ok()) + 1);
}

#[tokio::test]
async fn what_was_accepted_is_written_before_the_store_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, elsewhere) = writer(&dir);
    for i in 0..50 {
        let mut job = std::pin::pin!(writer.run(insert(i)));
        futures_pending(job.as_mut()).await;
    }
    drop(writer);
    assert_eq!(count(&elsewhere), 50, "nobody waited for the answers");
}

/// A full file system of a few MiB cannot be had everywhere; a connection that refuses to grow is
/// as full.
#[tokio::test]
async fn a_probe_fails_while_nothing_can_be_written_and_not_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    assert!(store.probe().await.unwrap().is_some_and(|free_bytes| free_bytes > 0));
    tell_writer(&store, "PRAGMA query_only = 1").await;
    // The commit that said so is a proof for a while.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert!(matches!(store.probe().await, Err(StoreError::NotPermitted { .. })));
    assert_eq!(store.damage().await.unwrap(), None, "no permission is no damage");
}

#[tokio::test]
async fn nothing_is_acknowledged_that_was_written_into_files_that_are_gone() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, elsewhere) = (parent.path().join("data"), parent.path().join("elsewhere"));
    let store = SqliteStore::open(&dir).unwrap();
    store.register_node(registration(node(1))).await.unwrap();
    std::fs::rename(&dir, &elsewhere).unwrap();
    assert!(unavailable(store.register_node(registration(node(2))).await));
    assert!(unavailable(store.probe().await));
    // Another store at its place is not it.
    drop(SqliteStore::open(&dir).unwrap());
    let told = store.probe().await.unwrap_err().to_string();
    assert!(told.contains("core.db was removed or replaced"), "{told}");
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::rename(&elsewhere, &dir).unwrap();
    store.probe().await.unwrap();
    store.register_node(registration(node(3))).await.unwrap();
    std::fs::remove_file(dir.join("telemetry.db-wal")).unwrap();
    assert!(unavailable(store.probe().await), "its log is as much of it as the file");
}

#[tokio::test]
async fn damage_is_found_by_the_check_and_met_by_a_read_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let store = SqliteStore::open(dir.path()).unwrap();
    store.register_node(registration(node(1))).await.unwrap();
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    // All pages but the first, which says what the file is.
    damaged[4_096..].fill(0x5a);
    std::fs::write(&path, &damaged).unwrap();
    let store = SqliteStore::open(dir.path());
    // What is said to the file at its opening may meet the damage by itself.
    let store = match store {
        Err(refused) => {
            assert!(matches!(refused, lucid_store::OpenError::Damaged { .. }), "{refused}");
            // One page that nothing reads at its opening.
            damaged = whole;
            let pages = damaged.len() / 4_096;
            damaged[(pages - 1) * 4_096..].fill(0x5a);
            std::fs::write(&path, &damaged).unwrap();
            SqliteStore::open(dir.path()).unwrap()
        }
        Ok(store) => store,
    };
    assert_eq!(store.damage().await.unwrap(), None, "nobody looked yet");
    let found = store.check_pages().await.unwrap().unwrap();
    assert_eq!(store.damage().await.unwrap(), Some(found));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_that_panics_goes_on_with_the_next_job() {
    fn panics_once(connection: &Connection) -> Result<(), Fault> {
        let seven: i64 =
            connection.query_row("SELECT count(*) FROM t WHERE x = 7", [], |row| row.get(0))?;
        assert_eq!(seven, 0, "a fault of ours");
        Ok(())
    }
    let dir = tempfile::tempdir().unwrap();
    let (writer, elsewhere) = writer(&dir);
    drop(writer);
    let connection = Connection::open(dir.path().join("x.db")).unwrap();
    let writer =
        Writer::start("x", connection, Pace::AT_ONCE, Some(panics_once), Arc::default()).unwrap();
    assert!(unavailable(writer.run(insert(7)).await));
    writer.run(insert(8)).await.unwrap();
    assert_eq!(count(&elsewhere), 1);
}
