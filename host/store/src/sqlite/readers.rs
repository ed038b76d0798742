use std::sync::Arc;

use lucid_ports::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::Fault;

/// Read-only connections, lent one query at a time.
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    /// One permit an idle connection.
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        Self { permits: Arc::new(Semaphore::new(connections.len())), idle: Arc::new(Mutex::new(connections)) }
    }

    pub(crate) async fn run<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let gone = |detail: &str| StoreError::Unavailable { detail: detail.to_owned() };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| gone("the readers are closed"))?;
        let lent = Lent { connection: self.idle.lock().pop(), idle: Arc::clone(&self.idle), _permit: permit };
        let reading = tokio::task::spawn_blocking(move || lent.connection.as_ref().map(|connection| in_snapshot(connection, query)));
        match reading.await {
            Ok(Some(result)) => result.map_err(StoreError::from),
            Ok(None) => Err(gone("no reader is idle")),
            Err(_) => Err(gone("a reader was stopped")),
        }
    }

    /// Runs a query that touches a few rows by their keys, here and now: it is over sooner than another thread would
    /// have begun it.
    pub(crate) async fn lookup<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, StoreError> {
        let gone = |detail: &str| StoreError::Unavailable { detail: detail.to_owned() };
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| gone("the readers are closed"))?;
        let lent = Lent { connection: self.idle.lock().pop(), idle: Arc::clone(&self.idle), _permit: permit };
        let connection = lent.connection.as_ref().ok_or_else(|| gone("no reader is idle"))?;
        query(connection).map_err(StoreError::from)
    }
}

/// A connection on loan. It comes back whatever becomes of the caller or the query.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// Given up last: whoever gets it finds the connection.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.idle.lock().extend(self.connection.take());
    }
}

/// A page and its total come from one state of the file.
fn in_snapshot<T>(connection: &Connection, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    query(&snapshot)
}
