use std::{io, path::PathBuf};

use crate::bundle::NotAnArchive;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The host cannot run WebAssembly with these limits.
    #[error("wasmtime refuses the engine's settings: {source:#}")]
    Settings {
        /// What wasmtime says.
        source: wasmtime::Error,
    },
    /// A limit is not usable.
    #[error("engine limit {limit} is {value}, which is not usable")]
    Limit {
        limit: &'static str,
        /// What it was set to.
        value: u128,
    },
    /// A thread could not be started.
    #[error("cannot start thread {name}")]
    Thread {
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a folder or a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of every bundle is not there.
    #[error("{} is missing", path.display())]
    Missing { path: PathBuf },
    /// A link leads out of the folder, or what should be a file is none.
    #[error("{} is not a file inside the bundle", path.display())]
    NotInside { path: PathBuf },
    /// Too much.
    #[error("{} is larger than {bytes_max} bytes", path.display())]
    TooLarge { path: PathBuf, bytes_max: usize },
    /// Too many golden cases.
    #[error("{} holds more than {files_max} files", path.display())]
    TooMany { path: PathBuf, files_max: usize },
    /// A text is not UTF-8.
    #[error("{} is not UTF-8", path.display())]
    NotText { path: PathBuf },
    /// `policy.sig` is not what it should be.
    #[error("{}: {problem}", path.display())]
    Signatures {
        path: PathBuf,
        /// What is wrong, with its place.
        problem: String,
    },
    /// An archive is none of a bundle.
    #[error("{}: {source}", path.display())]
    Archive { path: PathBuf, source: Box<NotAnArchive> },
    /// The system refused to write.
    #[error("cannot write {}", path.display())]
    Unwritable {
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}
