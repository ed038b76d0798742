use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::{SqliteStore, database::open_of_any_schema};

/// Far below the five seconds that a connection waits for another, and far above what a commit
/// takes on a busy machine.
const WRITE_MAX: Duration = Duration::from_millis(1_500);
/// More than the log may have before it is started over.
const LOG_MIB: usize = 80;

fn log_bytes(dir: &std::path::Path) -> u64 {
    std::fs::metadata(dir.join("telemetry.db-wal")).unwrap().len()
}

async fn write_mib(store: &SqliteStore) -> Duration {
    let began = Instant::now();
    let insert = |c: &Connection| {
        Ok(c.execute("INSERT INTO scratch VALUES (zeroblob(1048576))", []).map(|_| ())?)
    };
    store.telemetry.write(insert).await.unwrap();
    began.elapsed()
}

/// Somebody reads for minutes: a backup, an export, a tool of the operator's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_its_time_does_not_stall_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    store
        .telemetry
        .write(|c| Ok(c.execute_batch("CREATE TABLE scratch (bytes BLOB)")?))
        .await
        .unwrap();
    let (reader, _, _) = open_of_any_schema(dir.path(), "telemetry").unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let rows = |reader: &Connection| {
        reader.query_row("SELECT count(*) FROM scratch", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(rows(&reader), 0);
    let mut slowest = Duration::ZERO;
    for _ in 0..LOG_MIB {
        slowest = slowest.max(write_mib(&store).await);
    }
    // The log is long now, and its beginning is being read.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        slowest = slowest.max(write_mib(&store).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(slowest < WRITE_MAX, "a write took {slowest:?}");
    assert_eq!(rows(&reader), 0, "and the reader still sees its moment");
    drop(reader);
    // Nobody reads any more: the log starts over, and what is written does not lengthen it.
    let began = Instant::now();
    let is_started_over = async || {
        let before = log_bytes(dir.path());
        write_mib(&store).await;
        log_bytes(dir.path()) <= before
    };
    while !is_started_over().await {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the log grows on: {} bytes",
            log_bytes(dir.path())
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
