use std::{io, path::PathBuf};

/// What a backend's own library says.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
        source: Cause,
    },
    /// The process's user may not use it.
    #[error("no permission to read and write {}: give them to the user that the service runs as", path.display())]
    NotPermitted {
        path: PathBuf,
        /// The system's or the database's word.
        #[source]
        source: Cause,
    },
    /// The folder is read-only, and the file has a log, which SQLite cannot read there.
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
        source: Cause,
    },
    /// What the URL says makes no connection.
    #[error("cannot use the mongodb url")]
    MongoUrl {
        #[source]
        source: Cause,
    },
    /// The server does not answer, or refuses.
    #[error("cannot open mongodb database {database}")]
    MongoDatabase {
        /// Which database.
        database: String,
        #[source]
        source: Cause,
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
