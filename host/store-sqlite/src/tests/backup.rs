use std::{fs, path::Path};

use lucid_ports::{NodeStore, Origin, StampStore};
use lucid_store_conformance::examples::{node, node_id, registration};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::{SqliteStore, backup::back_up};

/// The second file is copied long after the first one was begun: what is written meanwhile is in
/// neither.
#[test]
fn a_backup_is_of_the_moment_it_began() {
    let (dir, to, runtime) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let store = SqliteStore::open(dir.path()).unwrap();
    runtime.block_on(store.register_node(registration(node(1)))).unwrap();
    let mut late = false;
    let told = &mut |progress: lucid_store::BackupProgress| {
        if progress.file == "telemetry" && !std::mem::replace(&mut late, true) {
            runtime.block_on(store.register_node(registration(node(2)))).unwrap();
        }
    };
    back_up(dir.path(), to.path(), told).unwrap();
    assert!(late && runtime.block_on(store.node(node_id(2))).unwrap().is_some());
    let copy = SqliteStore::open(to.path()).unwrap();
    let there =
        [1, 2].map(|number| runtime.block_on(copy.node(node_id(number))).unwrap().is_some());
    assert_eq!(there, [true, false]);
}

/// Where a store that is started again comes from.
async fn started(dir: &Path) -> Origin {
    SqliteStore::open(dir).unwrap().origin().await.unwrap()
}

/// A store that was started once, so that it is known here.
async fn in_use(dir: &Path) -> SqliteStore {
    let store = SqliteStore::open(dir).unwrap();
    store.take_possession().await.unwrap();
    store
}

/// Nobody started in between, and what is written over a file is the same file for its file system.
#[tokio::test]
async fn a_backup_that_is_written_over_its_own_store_comes_from_elsewhere() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = in_use(dir.path()).await;
    back_up(dir.path(), to.path(), &mut |_| {}).unwrap();
    drop(store);
    assert_eq!(started(dir.path()).await, Origin::Here);
    let into = |name: &str| {
        fs::write(dir.path().join(name), fs::read(to.path().join(name)).unwrap()).unwrap()
    };
    ["core.db", "telemetry.db"].into_iter().for_each(into);
    assert_eq!(started(dir.path()).await, Origin::Elsewhere);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 2, "a backup is two files");
}

/// The number of a file that was removed is free for the next one.
#[tokio::test]
async fn a_file_that_was_made_anew_comes_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    drop(in_use(dir.path()).await);
    let core = dir.path().join("core.db");
    for _ in 0..20 {
        assert_eq!(started(dir.path()).await, Origin::Here);
        let bytes = fs::read(&core).unwrap();
        fs::remove_file(&core).unwrap();
        fs::write(&core, bytes).unwrap();
        assert_eq!(started(dir.path()).await, Origin::Elsewhere);
        drop(in_use(dir.path()).await);
    }
}

#[tokio::test]
async fn a_file_that_an_earlier_version_told_by_its_number_alone_is_known() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    drop(in_use(dir.path()).await);
    let core = dir.path().join("core.db");
    let set = |number: u64| {
        Connection::open(&core)
            .unwrap()
            .execute("UPDATE boot SET file = ?", [number.cast_signed()])
            .unwrap()
    };
    let inode = fs::metadata(&core).unwrap().ino();
    set(inode);
    assert_eq!(started(dir.path()).await, Origin::Here);
    set(inode + 1);
    assert_eq!(started(dir.path()).await, Origin::Elsewhere);
}
