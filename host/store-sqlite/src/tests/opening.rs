use super::open;
use lucid_model::{
    epochs::receipt::{ScoreRow, ScoredChunk},
    fleet::node::SiblingCounts,
    id::PoolScope,
    telemetry::metric::{Resolution, roll_up},
    time::TimeMs,
};
use lucid_ports::{
    EpochStore, LiveState, Newcomer, NodeStore, Order, Report, ScoreFilter, ScoreSort, ScoreStore,
    SeriesStore, TelemetryStore, Walked,
};
use lucid_store::OpenError;
use lucid_store_conformance::{
    all,
    examples::{HOUR, chunk, epoch, node_id, owner_id, pool_id, report, row, sample, span},
};
use rusqlite::Connection;

use crate::SqliteStore;

async fn refusal(url: &str) -> String {
    open(url).await.err().unwrap().to_string()
}

#[tokio::test]
async fn a_url_names_a_folder_or_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(&format!("sqlite://{}/", dir.path().display())).await.unwrap();
    assert!(dir.path().join("core.db").is_file());
    assert!(refusal("postgres://localhost/x").await.contains("postgres:// is unknown"));
    assert!(refusal("data/").await.contains("not a store url"));
    assert!(refusal("sqlite://").await.contains("not a store url"));
    assert!(!refusal("user:secret@host").await.contains("secret"));
}

#[test]
fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path()).unwrap();
    let refused = SqliteStore::open(dir.path()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse { .. }));
    assert!(refused.to_string().contains(&dir.path().display().to_string()));
    drop(store);
    SqliteStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn memory_for_pages_is_what_was_asked_for() {
    let pages = |connection: &Connection| {
        Ok(connection.pragma_query_value(None, "cache_size", |row| row.get::<_, i64>(0))?)
    };
    for (asked_mib, core, others) in [(1, 1, 1), (100, 100, 16)] {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_with(dir.path(), asked_mib).unwrap();
        let found = [
            store.core.write(move |connection| pages(connection)).await.unwrap(),
            store.core.read(move |connection| pages(connection)).await.unwrap(),
            store.telemetry.write(move |connection| pages(connection)).await.unwrap(),
            store.telemetry.read(move |connection| pages(connection)).await.unwrap(),
        ];
        // SQLite tells KiB as a negative number.
        assert_eq!(
            found,
            [core, others, others, others].map(|mib: i64| -1024 * mib),
            "{asked_mib} MiB"
        );
    }
}

#[test]
fn a_newer_schema_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    for file in ["core.db", "telemetry.db"] {
        let path = dir.path().join(file);
        let file_version = || {
            Connection::open(&path)
                .unwrap()
                .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
                .unwrap()
        };
        let set = |version: i64| {
            Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap()
        };
        let newest = file_version();
        set(99);
        let refused = SqliteStore::open(dir.path()).err().unwrap();
        assert!(
            matches!(refused, OpenError::NewerSchema { found: 99, known, .. } if known == newest),
            "{refused}"
        );
        assert!(refused.to_string().contains(file), "{refused}");
        set(newest);
    }
    SqliteStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn nodes_of_the_first_schema_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join("core.db")).unwrap();
    old.execute_batch(crate::CORE[0]).unwrap();
    let doc = r#"{"v":1,"description":null,"error_reason":null,"activated_at_ms":5,"config":{"max_sessions":10,"max_cpu_ppm":1,"max_memory_ppm":1,
        "max_disk_ppm":1,"max_network_bandwidth":1,"auto_scaling":false,"monitoring_enabled":true},
        "wallet":{"address":"TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC","version":2,"since_ms":7},"hardware":null,"suspension":null}"#;
    let sql = "INSERT INTO nodes (id, owner, name, status, ip, port, created_at, updated_at, observed_s, version, doc) \
               VALUES (?, ?, 'w', 'active', '2001:db8::7', 9000, 1, 2, 3, 4, ?)";
    old.execute(sql, rusqlite::params![node_id(1).0.as_bytes(), owner_id(1).0.as_bytes(), doc])
        .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = SqliteStore::open(dir.path()).unwrap();
    let node = store.node(node_id(1)).await.unwrap().unwrap();
    assert_eq!(
        (node.address.unwrap().to_string(), node.wallet.unwrap().version, node.version),
        ("[2001:db8::7]:9000".into(), 2, 4)
    );
    let newcomer = Newcomer {
        owner: owner_id(9),
        ip: Some("2001:db8::8".parse().unwrap()),
        wallet: node.wallet.map(|w| w.address),
    };
    let counts = store.count_siblings(newcomer, None).await.unwrap();
    assert_eq!(
        counts,
        SiblingCounts { same_owner: 0, same_ip: 0, same_network: 1, same_wallet: 1 }
    );
}

#[tokio::test]
async fn samples_of_the_first_schema_are_kept_and_rolled_up() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join("telemetry.db")).unwrap();
    old.execute_batch(crate::TELEMETRY[0]).unwrap();
    let samples = [sample(1, 30_000, 5), sample(1, 60_000, u64::MAX)];
    for sample in &samples {
        crate::telemetry::reports::add_sample(&old, node_id(1), sample).unwrap();
    }
    let live = "INSERT INTO live (node, last_seen, sample_at) VALUES (?1, 70000, 60000), (?2, 80000, NULL)";
    old.execute(live, [node_id(1).0.as_bytes(), node_id(2).0.as_bytes()]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let store = SqliteStore::open(dir.path()).unwrap();
    let live = store.live_states(&[node_id(1), node_id(2)]).await.unwrap();
    let state = |last_seen, sample| Some(LiveState { last_seen: TimeMs(last_seen), sample });
    assert_eq!(live, [state(70_000, Some(samples[1])), state(80_000, None)]);
    assert_eq!(
        store.roll_up(None, TimeMs(3_600_000), 10).await.unwrap(),
        Walked { done: 1, next: Some(node_id(2)) }
    );
    assert_eq!(store.samples(node_id(1), span(0, i64::MAX), 10).await.unwrap(), samples);
}

/// Scores were a row each: what was hashed, found and counted stays as it was.
#[tokio::test]
async fn scores_of_an_older_schema_are_packed() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join("core.db")).unwrap();
    crate::migrate::migrate(&old, &dir.path().join("core.db"), &crate::CORE[..7]).unwrap();
    let held = ScoreRow { held: true, eligible: false, reason: None, ..row(3, 0) };
    let chunks = |e| {
        vec![
            chunk(e, 0, PoolScope::Unassigned, vec![row(2, 70), row(1, 60)]),
            chunk(e, 1, PoolScope::Pool(pool_id(1)), vec![held.clone()]),
        ]
    };
    for e in 1..=3 {
        old.execute(
            "INSERT INTO epochs (start_s, length_s, closed_at, revision, rules, nodes, eligible, held, root, previous_link) VALUES (?, 3600, ?, 3, 1, 2, 1, 0, ?, ?)",
            rusqlite::params![e * HOUR, epoch(e).closed_at.0, epoch(e).root.0, epoch(e).previous_link.0],
        )
        .unwrap();
        for ScoredChunk { header, rows } in chunks(e) {
            let sql = "INSERT INTO chunks VALUES (?, ?, 3600, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
            let pool = header.pool.pool().map(|pool| pool.0.into_bytes());
            let policy = &header.policy;
            let values = rusqlite::params![
                e * HOUR,
                header.index,
                pool,
                header.rows,
                header.frame.0,
                policy.name,
                policy.version.to_string(),
                policy.digest.0,
                header.params.0,
                header.abi,
                header.rules
            ];
            old.execute(sql, values).unwrap();
            for (place, row) in (0_u32..).zip(&rows) {
                let sql = "INSERT INTO scores VALUES (?, ?, ?, ?, ?, 1800, 3600, ?, 900000, ?, ?, 2, 1, 2, 3, 4, 5, ?, ?)";
                let values = rusqlite::params![
                    e * HOUR,
                    row.node.0.as_bytes(),
                    header.index,
                    place,
                    epoch(e).closed_at.0,
                    row.eligible,
                    row.raw.0,
                    row.score.0,
                    row.reason,
                    row.held
                ];
                old.execute(sql, values).unwrap();
            }
        }
    }
    drop(old);
    for _ in 0..2 {
        let store = SqliteStore::open(dir.path()).unwrap();
        for e in 1..=3 {
            assert_eq!(store.scored(e * HOUR).await.unwrap(), chunks(e));
            assert_eq!(store.score(e * HOUR, node_id(3)).await.unwrap().unwrap().row, held);
        }
        let history = ScoreFilter { node: Some(node_id(1)), ..ScoreFilter::default() };
        let page = store.scores(&history, all(ScoreSort::Score, Order::Descending)).await.unwrap();
        assert_eq!(
            (
                page.total,
                page.items.iter().map(|view| view.header.period.start_s).collect::<Vec<_>>()
            ),
            (3, vec![3 * HOUR, 2 * HOUR, HOUR])
        );
        assert_eq!(store.totals(0, 9 * HOUR).await.unwrap()[0].epochs, 3);
    }
    let file = Connection::open(dir.path().join("core.db")).unwrap();
    let left: i64 = file
        .query_row(
            "SELECT (SELECT count(*) FROM scores) + (SELECT count(*) FROM chunks)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let stretches: i64 =
        file.query_row("SELECT count(*) FROM score_stretches", [], |row| row.get(0)).unwrap();
    assert_eq!((left, stretches), (0, 3), "nothing is there twice");
}

/// A transaction is the rows or what was made of them: the directory as a crash leaves it at any
/// commit.
#[tokio::test]
async fn rolling_up_that_was_cut_off_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let samples: Vec<_> = (0..1_500).map(|i| sample(1, 10_000 * i, i.unsigned_abs())).collect();
    let store = SqliteStore::open(dir.path()).unwrap();
    store.store_report(Report { samples: samples.clone(), ..report(1, 0) }).await.unwrap();
    let expected = roll_up(&samples, Resolution::FiveMinutes);
    let mut steps = 0;
    loop {
        // What is on the disk now, without what the process would still do.
        let left = tempfile::tempdir().unwrap();
        for file in ["core.db", "telemetry.db", "telemetry.db-wal"] {
            std::fs::copy(dir.path().join(file), left.path().join(file)).unwrap();
        }
        let found = SqliteStore::open(left.path()).unwrap();
        assert_eq!(
            found.series(node_id(1), span(0, i64::MAX), Resolution::FiveMinutes).await.unwrap(),
            expected,
            "after {steps} steps"
        );
        assert_eq!(
            found.samples(node_id(1), span(0, i64::MAX), 2_000).await.unwrap(),
            samples,
            "after {steps} steps"
        );
        if store.roll_up(None, TimeMs(20_000_000), 10).await.unwrap().done == 0 {
            break;
        }
        steps += 1;
    }
    assert_eq!(steps, 3, "a thousand rows a step, and no more than a window");
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("core.db"), [7; 8192]).unwrap();
    assert!(matches!(SqliteStore::open(dir.path()), Err(OpenError::Damaged { .. })));
    let file = dir.path().join("lock");
    assert!(
        matches!(SqliteStore::open(&file), Err(OpenError::Directory { .. })),
        "a file is no directory"
    );
}
