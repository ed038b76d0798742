use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lucid_ports::{StoreError, TRACE};
use lucid_store::{OpenError, PartSchema};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use tracing::Instrument as _;

use crate::{
    checkpoint::Checkpointer,
    fault::Fault,
    health::Condition,
    memory::{Pause, Shared},
    migrate::migrate,
    place::{Place, log_of, may_use},
    readers::Readers,
    unopened,
    writer::{BeforeCommit, Pace, Writer},
};

/// Read-only connections a file: reads beyond wait for one.
const READERS: usize = 4;
/// Prepared statements kept a connection: more than the backend has, lists with their filters
/// included.
const STATEMENTS: usize = 512;
/// Memory for pages of a connection that reads, KiB, if its file's writer has as much.
const READER_CACHE_KIB: i64 = 16_384;
/// How long SQLite waits for a lock that only a foreign process (a backup, a shell) can hold.
const BUSY: Duration = Duration::from_secs(5);

/// One database: its writer and its readers.
pub(crate) struct Database {
    /// Closed first: the writer's connection, the last, then folds the log into the file.
    readers: Readers,
    /// None in memory.
    _checkpointer: Option<Checkpointer>,
    writer: Writer,
    condition: Arc<Condition>,
}

impl Database {
    /// Opens or creates a file. `prepare` is the first thing said to the migrated file;
    /// `before_commit` runs at the end of every transaction, and once now, for what a migration
    /// left it.
    pub(crate) fn open(
        dir: &Path,
        name: &'static str,
        migrations: &[&str],
        pace: Pace,
        prepare: impl FnOnce(&Connection) -> Result<(), Fault>,
        before_commit: Option<BeforeCommit>,
    ) -> Result<Self, OpenError> {
        let file = dir.join(format!("{name}.db"));
        for path in [dir, &file, &log_of(&file)] {
            may_use(path).map_err(|source| unopened::of_io(path, source))?;
        }
        let damaged = |source| unopened::of_sqlite(&file, source);
        let writing = Connection::open_with_flags(
            &file,
            flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE),
        )
        .map_err(damaged)?;
        // Before anything else is said to the file: a newer one is left as it is.
        configure(&writing).map_err(damaged)?;
        migrate(&writing, &file, migrations)?;
        durable(&writing).map_err(damaged)?;
        writing.pragma_update(None, "cache_size", -pace.cache_kib).map_err(damaged)?;
        prepare(&writing).map_err(|fault| unopened::of_fault(&file, fault))?;
        if let Some(before_commit) = before_commit {
            let transaction = writing.unchecked_transaction().map_err(damaged)?;
            before_commit(&transaction).map_err(|fault| unopened::of_fault(&file, fault))?;
            transaction.commit().map_err(damaged)?;
        }
        let mut reading = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let connection =
                Connection::open_with_flags(&file, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))
                    .map_err(damaged)?;
            configure(&connection).map_err(damaged)?;
            connection
                .pragma_update(None, "cache_size", -pace.cache_kib.min(READER_CACHE_KIB))
                .map_err(damaged)?;
            reading.push(connection);
        }
        let folding = Connection::open_with_flags(&file, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))
            .map_err(damaged)?;
        configure(&folding).map_err(damaged)?;
        let place = Place::of(&file).map_err(|source| unopened::of_io(&file, source))?;
        let condition = Arc::new(Condition::in_place(place));
        let thread = |source| OpenError::Thread { source };
        let checkpointer =
            Checkpointer::start(name, &file, folding, Arc::clone(&condition)).map_err(thread)?;
        let writer = Writer::start(name, writing, pace, before_commit, Arc::clone(&condition))
            .map_err(thread)?;
        Ok(Self {
            readers: Readers::new(reading),
            _checkpointer: Some(checkpointer),
            writer,
            condition,
        })
    }

    /// One connection for readers and writer.
    pub(crate) fn in_memory(shared: &Arc<Shared>, pause: Option<Pause>) -> Self {
        let writer = Writer::Here { shared: Arc::clone(shared), pause };
        Self {
            readers: Readers::One(Arc::clone(shared)),
            _checkpointer: None,
            writer,
            condition: Arc::default(),
        }
    }

    /// Runs a job in the next transaction; answers once that is durable.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let done = self
            .writer
            .run(job)
            .instrument(
                tracing::trace_span!(target: TRACE, "store.write", db.system.name = "sqlite"),
            )
            .await;
        self.condition.noting(done)
    }

    /// Runs a query of a few rows by their keys; everything that was answered before is in it.
    pub(crate) async fn lookup<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let found = self
            .readers
            .lookup(query)
            .instrument(
                tracing::trace_span!(target: TRACE, "store.lookup", db.system.name = "sqlite"),
            )
            .await;
        self.condition.noting(found)
    }

    /// Runs a query against one snapshot: everything that was answered before is in it.
    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let found = self
            .readers
            .run(query)
            .instrument(
                tracing::trace_span!(target: TRACE, "store.read", db.system.name = "sqlite"),
            )
            .await;
        self.condition.noting(found)
    }

    /// Whether it can be relied on.
    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }
}

/// A read-only connection to a file that another process may have open; the file is of exactly this
/// schema.
pub(crate) fn open_for_reading(
    dir: &Path,
    name: &str,
    schema: usize,
) -> Result<Connection, OpenError> {
    let (connection, found, file) = open_of_any_schema(dir, name)?;
    let known = i64::try_from(schema).unwrap_or(i64::MAX);
    match found.cmp(&known) {
        Ordering::Equal => Ok(connection),
        Ordering::Greater => Err(OpenError::NewerSchema { file, found, known }),
        Ordering::Less => Err(OpenError::OlderSchema { file, found, known }),
    }
}

pub(crate) fn open_of_any_schema(
    dir: &Path,
    name: &str,
) -> Result<(Connection, i64, PathBuf), OpenError> {
    let file = dir.join(format!("{name}.db"));
    let damaged = |source| unopened::of_sqlite(&file, source);
    let (connection, found) = match version_of(Connection::open_with_flags(
        &file,
        flags(OpenFlags::SQLITE_OPEN_READ_ONLY),
    )) {
        Err(refused) if is_for_the_folder(&refused) && file.is_file() => unchanging(&file)?,
        found => found.map_err(damaged)?,
    };
    Ok((connection, found, file))
}

fn version_of(opened: rusqlite::Result<Connection>) -> rusqlite::Result<(Connection, i64)> {
    let connection = opened?;
    configure(&connection)?;
    let found = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((connection, found))
}

/// Whether it may be because SQLite cannot make what readers of a file share beside it.
fn is_for_the_folder(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// A file in a folder where nobody can write, by itself: nobody else can be writing it.
fn unchanging(file: &Path) -> Result<(Connection, i64), OpenError> {
    let log = PathBuf::from(format!("{}-wal", file.display()));
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Err(OpenError::LogBeside { file: file.to_owned() });
    }
    let name =
        file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let mode = flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI);
    let opened = Connection::open_with_flags(format!("file:{name}?immutable=1"), mode);
    version_of(opened)
        .map_err(|source| OpenError::Database { file: file.to_owned(), source: source.into() })
}

/// The schema of a file beside this binary's.
pub(crate) fn schema_found(
    dir: &Path,
    name: &str,
    steps: &[&str],
) -> Result<PartSchema, OpenError> {
    let (_, found, file) = open_of_any_schema(dir, name)?;
    Ok(PartSchema {
        part: file.display().to_string(),
        found: Some(found),
        known: i64::try_from(steps.len()).unwrap_or(i64::MAX),
    })
}

fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(BUSY)?;
    // Without it a statement is prepared anew for each value of a range's end: nine tenths of what
    // short reads took.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// WAL lets readers run beside the writer; FULL syncs the log at every COMMIT, so that an answer is
/// a promise.
fn durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // What is changed or deleted is overwritten in pages that are written anyway: no secret stays
    // behind in clear once it is sealed.
    connection.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)
}
