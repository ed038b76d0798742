//! The suite on SQLite, and what only SQLite can break.

mod audit;
mod backup;
mod failures;
mod memory;
mod opening;
mod plans;
mod stalls;

use std::sync::Arc;

use lucid_ports::Store;
use lucid_store_conformance::Backend;
use tempfile::TempDir;

use crate::SqliteStore;

struct Sqlite {
    dir: TempDir,
    store: Option<Arc<dyn Store>>,
}

impl Backend for Sqlite {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Arc::new(SqliteStore::open(self.dir.path()).unwrap()));
    }
}

fn sqlite() -> Option<Sqlite> {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(dir.path()).unwrap());
    Some(Sqlite { dir, store: Some(store) })
}

mod suite {
    lucid_store_conformance::conformance_suite!(crate::tests::sqlite);
}

/// As the service opens a URL.
async fn open(url: &str) -> Result<Arc<dyn Store>, lucid_store::OpenError> {
    lucid_store::Stores::new(&[&crate::Sqlite]).open(url).await
}
