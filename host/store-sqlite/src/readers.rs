use std::sync::Arc;

use lucid_ports::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{fault::Fault, memory::Shared};

/// What queries run on.
pub(crate) enum Readers {
    /// Read-only connections, lent one query at a time.
    Pool {
        /// Those that nobody has.
        idle: Arc<Mutex<Vec<Connection>>>,
        /// One permit an idle connection.
        permits: Arc<Semaphore>,
    },
    /// The writer's own connection.
    One(Arc<Shared>),
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        Self::Pool {
            permits: Arc::new(Semaphore::new(connections.len())),
            idle: Arc::new(Mutex::new(connections)),
        }
    }

    async fn lend(
        idle: &Arc<Mutex<Vec<Connection>>>,
        permits: &Arc<Semaphore>,
    ) -> Result<Lent, StoreError> {
        let permit = Arc::clone(permits)
            .acquire_owned()
            .await
            .map_err(|_| gone("the readers are closed"))?;
        Ok(Lent { connection: idle.lock().pop(), idle: Arc::clone(idle), _permit: permit })
    }

    pub(crate) async fn run<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let lent = match self {
            Self::Pool { idle, permits } => Self::lend(idle, permits).await?,
            Self::One(shared) => return shared.read(query),
        };
        let reading = tokio::task::spawn_blocking(move || {
            lent.connection.as_ref().map(|connection| in_snapshot(connection, query))
        });
        match reading.await {
            Ok(Some(result)) => result.map_err(StoreError::from),
            Ok(None) => Err(gone("no reader is idle")),
            Err(_) => Err(gone("a reader was stopped")),
        }
    }

    /// Runs a query that touches a few rows by their keys, here and now: it is over sooner than
    /// another thread would have begun it.
    pub(crate) async fn lookup<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let lent = match self {
            Self::Pool { idle, permits } => Self::lend(idle, permits).await?,
            Self::One(shared) => return shared.read(query),
        };
        let connection = lent.connection.as_ref().ok_or_else(|| gone("no reader is idle"))?;
        query(connection).map_err(StoreError::from)
    }
}

fn gone(detail: &str) -> StoreError {
    StoreError::Unavailable { detail: detail.to_owned() }
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
fn in_snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let snapshot = connection.unchecked_transaction()?;
    query(&snapshot)
}
