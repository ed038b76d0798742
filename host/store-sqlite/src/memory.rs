//! A store that is nowhere but in memory: the same tables and queries, on one connection for all,
//! without a thread or a file.
//!
//! Every call is over when it returns to its caller, so that whoever drives the service step by
//! step sees the same steps each time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};

use lucid_ports::StoreError;
use lucid_store::OpenError;
use parking_lot::Mutex;
use rusqlite::{Connection, backup::Backup};

use crate::{
    CORE, SqliteStore, TELEMETRY,
    audit::{self, requests},
    database::{self, Database},
    fault::Fault,
    migrate::migrate,
    writer::BeforeCommit,
};

/// What a writer waits for before each write: where a simulation lets others go first, or ends the
/// process.
pub type Pause = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// One connection, used by one caller at a time.
pub(crate) struct Shared {
    connection: Mutex<Connection>,
    before_commit: Option<BeforeCommit>,
}

impl Shared {
    /// Runs a job in a transaction of its own: all of it, or nothing.
    pub(crate) fn write<T>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let connection = self.connection.lock();
        let done = catch_unwind(AssertUnwindSafe(|| {
            let transaction = connection.unchecked_transaction()?;
            let value = job(&transaction)?;
            if let Some(before_commit) = self.before_commit {
                before_commit(&transaction)?;
            }
            transaction.commit()?;
            Ok(value)
        }));
        done.unwrap_or_else(|_| Err(Fault::Bad("a job panicked".to_owned())))
            .map_err(StoreError::from)
    }

    /// Runs a query; nobody writes meanwhile.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        query(&self.connection.lock()).map_err(StoreError::from)
    }
}

/// What a [`SqliteStore`] in memory keeps; it is gone with this and every store that was opened of
/// it.
pub struct Memory {
    core: Arc<Shared>,
    telemetry: Arc<Shared>,
}

impl Memory {
    /// Nothing is in it.
    ///
    /// # Errors
    /// [`OpenError::Database`] if there is no memory for it.
    pub fn new() -> Result<Self, OpenError> {
        let core = fresh("core", CORE, &CORE_TEMPLATE)?;
        let telemetry = fresh("telemetry", TELEMETRY, &TELEMETRY_TEMPLATE)?;
        let shared = |connection, before_commit| {
            Arc::new(Shared { connection: Mutex::new(connection), before_commit })
        };
        Ok(Self { core: shared(core, Some(audit::close_link)), telemetry: shared(telemetry, None) })
    }

    /// Opens it, as a process does with a folder at its start.
    ///
    /// # Errors
    /// [`OpenError::Database`].
    pub fn open(&self) -> Result<SqliteStore, OpenError> {
        self.open_with(None)
    }

    /// The same for a process that pauses before each of its writes.
    ///
    /// # Errors
    /// [`OpenError::Database`].
    pub fn open_pausing(&self, pause: Pause) -> Result<SqliteStore, OpenError> {
        self.open_with(Some(pause))
    }

    fn open_with(&self, pause: Option<Pause>) -> Result<SqliteStore, OpenError> {
        requests::release_all(&self.core.connection.lock())
            .map_err(|source| unusable("core", source))?;
        let [core, telemetry] =
            [&self.core, &self.telemetry].map(|shared| Database::in_memory(shared, pause.clone()));
        Ok(SqliteStore { core, telemetry, dir: None, _lock: None })
    }
}

/// A database that was migrated once in this process, to be copied: a copy takes a tenth of a
/// migration's time.
type Template = Mutex<Option<Connection>>;

static CORE_TEMPLATE: Template = Mutex::new(None);
static TELEMETRY_TEMPLATE: Template = Mutex::new(None);

fn unusable(name: &str, source: rusqlite::Error) -> OpenError {
    OpenError::Database { file: PathBuf::from(format!("{name} in memory")), source: source.into() }
}

fn fresh(name: &str, steps: &[&str], template: &Template) -> Result<Connection, OpenError> {
    let broken = |source| unusable(name, source);
    let mut template = template.lock();
    let template = match &mut *template {
        Some(template) => template,
        none => {
            let migrated = Connection::open_in_memory().map_err(broken)?;
            migrate(&migrated, &PathBuf::from(format!("{name} in memory")), steps)?;
            none.insert(migrated)
        }
    };
    let mut copy = Connection::open_in_memory().map_err(broken)?;
    Backup::new(template, &mut copy).and_then(|backup| backup.step(-1)).map_err(broken)?;
    database::configure(&copy).map_err(broken)?;
    Ok(copy)
}
