use rusqlite::Connection;

use crate::{OpenError, SqliteStore};

fn refusal(url: &str) -> String {
    crate::open(url).err().unwrap().to_string()
}

#[test]
fn a_url_names_its_backend() {
    assert!(refusal("mongodb://localhost/x").contains("mongodb:// is not built in yet"));
    assert!(refusal("postgres://localhost/x").contains("postgres:// is unknown"));
    assert!(refusal("data/").contains("not a store url"));
    assert!(refusal("sqlite://").contains("not a store url"));
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

#[test]
fn a_newer_schema_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(dir.path()).unwrap());
    for (file, newest) in [("core.db", 2), ("telemetry.db", 1)] {
        let path = dir.path().join(file);
        let set = |version: i64| Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
        set(99);
        let refused = SqliteStore::open(dir.path()).err().unwrap();
        assert!(matches!(refused, OpenError::NewerSchema { found: 99, known, .. } if known == newest), "{refused}");
        assert!(refused.to_string().contains(file), "{refused}");
        set(newest);
    }
    SqliteStore::open(dir.path()).unwrap();
}

#[test]
fn what_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("core.db"), [7; 8192]).unwrap();
    assert!(matches!(SqliteStore::open(dir.path()), Err(OpenError::Database { .. })));
    let file = dir.path().join("lock");
    assert!(matches!(SqliteStore::open(&file), Err(OpenError::Directory { .. })), "a file is no directory");
}
