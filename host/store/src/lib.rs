//! Keeps the service's state: one backend behind every port, chosen by the URL's scheme.
//!
//! An answer to a write means that it is durable. No backend type leaves this crate but as `dyn
//! Store`.

mod backup;
#[cfg(test)]
mod conformance;
mod documents;
mod inspection;
mod mongo;
mod packing;
mod schemas;
mod seal;
mod series;
mod sqlite;
mod sums;
mod transfer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lucid_ports::Store;

pub use backup::{BackedUpFile, BackupProgress, back_up};
pub use inspection::{
    ActiveBundle, Inspection, Integrity, MongoInspection, Room, StoreFile, UnfinishedCopy, inspect,
    inspect_mongo, open_audit_log, open_books,
};
pub use mongo::MongoStore;
pub use schemas::{PartSchema, schemas};
pub use seal::{SEAL_KEY_BYTES, SealKeyError, SealKeys, Seals};
use sqlite::{Fault as SqliteFault, FaultKind, kind_of, kind_of_io};
pub use sqlite::{Memory, Pause, SqliteStore};
pub use transfer::{
    CopyError, CopyProgress, CopyReport, Kind, KindReport, Step, Sum, compare, copy,
};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one.
    #[error(
        "not a store url: {url:?}; expected sqlite://DIR/, mongodb://HOST/DATABASE or memory://"
    )]
    NotAUrl {
        /// What was given, without a password.
        url: String,
    },
    /// Only a folder can be copied beside its service.
    #[error("a {scheme} store is not backed up by this binary, but by the database's own tools")]
    NoBackup {
        /// Its URL's scheme.
        scheme: String,
    },
    /// No backend has this scheme.
    #[error(
        "store url scheme {scheme}:// is unknown; expected sqlite://DIR/, mongodb://HOST/DATABASE or memory://"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot use store directory {}", dir.display())]
    Directory {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another process, or this one, has the directory open.
    #[error("store directory {} is in use by another process", dir.display())]
    InUse { dir: PathBuf },
    /// A newer binary has written the file.
    #[error("{} has schema {found}, newer than this binary's {known}: use a newer binary", file.display())]
    NewerSchema {
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this binary knows.
        known: i64,
    },
    /// An older binary has written the file, and it was opened for reading only.
    #[error("{} has schema {found}, older than this binary's {known}: start this binary's service once", file.display())]
    OlderSchema {
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema this binary reads.
        known: i64,
    },
    /// Its disk is full.
    #[error("no space left for {}: make room on its disk", path.display())]
    NoSpace {
        /// For what.
        path: PathBuf,
        /// The system's or the database's word.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The process's user may not use it.
    #[error("no permission to read and write {}: give them to the user that the service runs as", path.display())]
    NotPermitted {
        path: PathBuf,
        /// The system's or the database's word.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file is to be read in a folder where nobody can write, and its log cannot be read there.
    #[error(
        "{0} has a log beside it ({0}-wal), which SQLite cannot read in a folder that it cannot write: copy the folder to where it can be \
         written, and name that",
        file.display()
    )]
    LogBeside { file: PathBuf },
    /// What the file says cannot be.
    #[error("{} is damaged: {detail}", file.display())]
    Damaged { file: PathBuf, detail: String },
    /// SQLite refuses the file.
    #[error("cannot open database {}", file.display())]
    Database {
        file: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    /// What the URL says makes no connection.
    #[error("cannot use the mongodb url")]
    MongoUrl {
        #[source]
        source: mongodb::error::Error,
    },
    /// The server does not answer, or refuses.
    #[error("cannot open mongodb database {database}")]
    MongoDatabase {
        /// Which database.
        database: String,
        #[source]
        source: mongodb::error::Error,
    },
    /// What the database says cannot be.
    #[error("mongodb database {database} is damaged: {detail}")]
    MongoDamaged {
        /// Which database.
        database: String,
        detail: String,
    },
    /// A newer binary has written the database.
    #[error(
        "mongodb database {database} has schema {found}, newer than this binary's {known}: use a newer binary"
    )]
    MongoNewerSchema {
        /// Which database.
        database: String,
        /// Its schema.
        found: i64,
        /// The newest schema this binary knows.
        known: i64,
    },
    /// A copy into the store was begun and not ended.
    #[error(
        "the copy into this store is not finished: run `lucid store copy` with the same arguments again, or remove what is there"
    )]
    HalfCopied,
    /// The system gives no thread.
    #[error("cannot start the store's writer thread")]
    Thread {
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// By what SQLite says: space, permission and damage are three different words.
    pub(crate) fn of_sqlite(file: &Path, source: rusqlite::Error) -> Self {
        match kind_of(&source) {
            FaultKind::Damage => {
                Self::Damaged { file: file.to_owned(), detail: source.to_string() }
            }
            FaultKind::Space => Self::NoSpace { path: file.to_owned(), source: source.into() },
            FaultKind::Permission => {
                Self::NotPermitted { path: file.to_owned(), source: source.into() }
            }
            FaultKind::Passing | FaultKind::Ours => {
                Self::Database { file: file.to_owned(), source }
            }
        }
    }

    /// By what the operating system says of a file or folder.
    pub(crate) fn of_io(path: &Path, source: io::Error) -> Self {
        match kind_of_io(&source) {
            FaultKind::Space => Self::NoSpace { path: path.to_owned(), source: source.into() },
            FaultKind::Permission => {
                Self::NotPermitted { path: path.to_owned(), source: source.into() }
            }
            _ => Self::Directory { dir: path.to_owned(), source },
        }
    }

    pub(crate) fn of_fault(file: &Path, fault: SqliteFault) -> Self {
        match fault {
            SqliteFault::Sql(source) => Self::of_sqlite(file, source),
            SqliteFault::Io(path, source) => Self::of_io(&path, source),
            SqliteFault::Bad(detail) => Self::Damaged { file: file.to_owned(), detail },
            moved @ SqliteFault::Moved(_) => Self::Directory {
                dir: file.to_owned(),
                source: io::Error::other(moved.to_string()),
            },
        }
    }
}

/// Memory for pages of what is written in a SQLite store, MiB, where nobody says otherwise: room
/// for the indices of 100,000 nodes, all of which the end of an epoch touches.
pub const CACHE_MIB: u32 = 192;

/// Opens the store of a URL, creating it if it is not there; `memory://` is another one each time,
/// gone with its last handle. With SQLite it blocks: migrations run here.
///
/// # Errors
/// [`OpenError`] if no backend has the scheme, or the backend cannot use what the URL names.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    open_with(url, CACHE_MIB).await
}

/// The same with so much memory for pages of what is written, if it is a SQLite store.
///
/// # Errors
/// As [`open`].
pub async fn open_with(url: &str, cache_mib: u32) -> Result<Arc<dyn Store>, OpenError> {
    check_url(url)?;
    match url.split_once("://") {
        Some(("memory", _)) => Ok(Arc::new(Memory::new()?.open()?)),
        Some(("sqlite", place)) => {
            Ok(Arc::new(SqliteStore::open_with(Path::new(place), cache_mib)?))
        }
        _ => Ok(Arc::new(MongoStore::open(url).await?)),
    }
}

/// Whether [`open`] could be called with a URL; nothing is opened or called.
///
/// # Errors
/// [`OpenError`] if no backend has the scheme, or the URL names nothing.
pub fn check_url(url: &str) -> Result<(), OpenError> {
    let not_a_url = || OpenError::NotAUrl { url: without_password(url) };
    let (scheme, place) = url.split_once("://").ok_or_else(not_a_url)?;
    match scheme {
        "memory" if place.is_empty() => Ok(()),
        "memory" => Err(not_a_url()),
        _ if place.is_empty() => Err(not_a_url()),
        "sqlite" => Ok(()),
        "mongodb" | "mongodb+srv" => mongo::check_url(url),
        _ => Err(OpenError::Scheme { scheme: scheme.to_owned() }),
    }
}

/// What of a URL may be shown.
fn without_password(url: &str) -> String {
    match url.split_once('@') {
        Some((_, place)) => format!("…@{place}"),
        None => url.to_owned(),
    }
}
