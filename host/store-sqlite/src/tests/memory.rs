//! The suite on a store in memory, and what is said of one.

use super::open;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_ports::{AuditLog, NodeStore, Store};
use lucid_store_conformance::{Backend, examples::*};

use crate::Memory;

struct InMemory {
    memory: Memory,
    store: Option<Arc<dyn Store>>,
}

impl Backend for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }
    fn reopen(&mut self) {
        let closed = self.store.take().unwrap();
        assert_eq!(Arc::strong_count(&closed), 1, "a handle is left");
        drop(closed);
        self.store = Some(Arc::new(self.memory.open().unwrap()));
    }
}

fn in_memory() -> Option<InMemory> {
    let memory = Memory::new().unwrap();
    let store: Arc<dyn Store> = Arc::new(memory.open().unwrap());
    Some(InMemory { memory, store: Some(store) })
}

mod suite {
    lucid_store_conformance::conformance_suite!(crate::tests::memory::in_memory);
}

#[tokio::test]
async fn two_stores_in_memory_know_nothing_of_each_other() {
    let (first, second) =
        (Memory::new().unwrap().open().unwrap(), Memory::new().unwrap().open().unwrap());
    first.register_node(registration(node(1))).await.unwrap();
    assert_eq!(
        (second.node(node_id(1)).await.unwrap(), second.audit_heads().await.unwrap()),
        (None, vec![])
    );
    let (third, fourth) = (open("memory://").await.unwrap(), open("memory://").await.unwrap());
    third.register_node(registration(node(1))).await.unwrap();
    assert_eq!(fourth.node(node_id(1)).await.unwrap(), None);
    assert!(
        matches!(open("memory://name").await, Err(lucid_store::OpenError::NotAUrl { .. })),
        "it has no name"
    );
}

/// What a run of thousands of seeds needs. The median, since the machine has other things to do.
#[test]
fn a_store_in_memory_opens_in_about_a_millisecond() {
    drop(Memory::new().unwrap());
    let mut times: Vec<Duration> = (0..51)
        .map(|_| {
            let began = Instant::now();
            drop(Memory::new().unwrap().open().unwrap());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("a store in memory opens in {:?} (median), {:?} at best", times[25], times[0]);
    assert!(times[0] < Duration::from_millis(3), "{times:?}");
}
