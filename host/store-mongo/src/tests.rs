//! The suite on a MongoDB server, and what only several processes can break.

mod catalogue;
mod cuts;
mod drain;
mod opening;
mod plans;
mod wire;

use std::sync::Arc;

use lucid_ports::Store;
use lucid_store_conformance::{Backend, mongo_server::fresh};
use tokio::{runtime::Handle, task::block_in_place};

use crate::MongoStore;

/// A database of its own for each test.
struct Mongo {
    url: String,
    store: Option<Arc<dyn Store>>,
}

impl Backend for Mongo {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().unwrap()
    }
    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Arc::new(open(&self.url)));
    }
}

impl Drop for Mongo {
    /// Somebody else's server is left as it was.
    fn drop(&mut self) {
        if std::env::var_os("MONGODB_URI").is_some() {
            let dropped = block_in_place(|| {
                Handle::current().block_on(async {
                    MongoStore::open(&self.url).await.unwrap().database.drop().await
                })
            });
            dropped.unwrap();
        }
    }
}

fn open(url: &str) -> MongoStore {
    block_in_place(|| Handle::current().block_on(MongoStore::open(url))).unwrap()
}

fn mongo() -> Option<Mongo> {
    let url = fresh()?;
    let store: Arc<dyn Store> = Arc::new(open(&url));
    Some(Mongo { url, store: Some(store) })
}

mod suite {
    lucid_store_conformance::conformance_suite!(crate::tests::mongo);
}
