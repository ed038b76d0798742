use lucid_ports::NodeStore;
use tokio::runtime::Runtime;

use super::super::{SqliteStore, back_up};
use crate::conformance::examples::{node, node_id, registration};

/// The second file is copied long after the first one was begun: what is written meanwhile is in neither.
#[test]
fn a_backup_is_of_the_moment_it_began() {
    let (dir, to, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Runtime::new().unwrap());
    let store = SqliteStore::open(dir.path()).unwrap();
    runtime.block_on(store.register_node(registration(node(1)))).unwrap();
    let mut late = false;
    let told = &mut |progress: crate::BackupProgress| {
        if progress.file == "telemetry" && !std::mem::replace(&mut late, true) {
            runtime.block_on(store.register_node(registration(node(2)))).unwrap();
        }
    };
    back_up(dir.path(), to.path(), told).unwrap();
    assert!(late && runtime.block_on(store.node(node_id(2))).unwrap().is_some());
    let copy = SqliteStore::open(to.path()).unwrap();
    let there = [1, 2].map(|number| runtime.block_on(copy.node(node_id(number))).unwrap().is_some());
    assert_eq!(there, [true, false]);
}
