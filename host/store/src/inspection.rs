use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lucid_model::{
    id::Digest,
    policy::{Activation, Bundle, PolicyKind, PolicyRef, Scope},
};
use lucid_ports::{AuditLog, Books, Stamp, StoredBundle};

use crate::{OpenError, mongo, sqlite};

/// What was found in a store that was only looked at.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What it was made for; none if no service ever ran on it.
    pub stamp: Option<Stamp>,
    /// The copy into it that was not finished.
    pub copying: Option<UnfinishedCopy>,
    /// Every policy that is active.
    pub active: Vec<ActiveBundle>,
    /// Its files.
    pub files: Vec<StoreFile>,
}

/// One file of a store.
#[derive(Debug, Clone)]
pub struct StoreFile {
    pub path: PathBuf,
    /// Number of its schema: this binary's.
    pub schema: usize,
    /// Tables, indices and triggers that should be there and are not.
    pub missing: Vec<String>,
    /// Its length with its log.
    pub bytes: u64,
    /// Whether its pages are sound.
    pub integrity: Integrity,
}

/// Whether a file's pages are sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// They are.
    Intact,
    /// The time was over before all were seen; those that were are.
    NotFinished,
    /// They are not: the first that is wrong.
    Damaged(String),
}

/// Looks at a store without opening it for use: nothing is written, and a service may be using it.
///
/// # Errors
/// [`OpenError`] if the URL is none that can be looked at, there is no store, or it is of another
/// schema.
pub fn inspect(url: &str, check_time_max: Duration) -> Result<Inspection, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", place)) if !place.is_empty() => {
            sqlite::inspect(Path::new(place), check_time_max)
        }
        Some((scheme, _)) => Err(OpenError::Scheme { scheme: scheme.to_owned() }),
        None => Err(OpenError::NotAUrl { url: url.to_owned() }),
    }
}

/// What was found in a MongoDB database that was only looked at.
#[derive(Debug, Clone)]
pub struct MongoInspection {
    /// The server's version.
    pub version: String,
    /// The database's name.
    pub database: String,
    /// Whether it is part of a replica set, so that a majority is more than this one server.
    pub replicated: bool,
    /// Whether a service ever used it.
    pub used: bool,
    /// Number of its schema: this binary's.
    pub schema: i64,
    /// How far the server's clock is ahead of this machine's, if it tells.
    pub ahead_ms: Option<i64>,
    /// Indices there have to be.
    pub indices: usize,
    /// Those that are not there, or are otherwise, each with what it is for.
    pub wrong_indices: Vec<String>,
    /// What it was made for; none if no service ever ran on it.
    pub stamp: Option<Stamp>,
    /// The copy into it that was not finished.
    pub copying: Option<UnfinishedCopy>,
    /// Every policy that is active.
    pub active: Vec<ActiveBundle>,
    /// Time until a write is on a majority's disks, or why there is none.
    pub durable_write: Result<Duration, String>,
    /// Its size, if the server tells.
    pub room: Option<Room>,
}

/// A policy that is active.
#[derive(Debug, Clone)]
pub struct ActiveBundle {
    /// For what.
    pub kind: PolicyKind,
    pub scope: Scope,
    pub policy: PolicyRef,
    /// What the store keeps of it, or what is wrong with that.
    pub bundle: Result<Bundle, String>,
}

impl ActiveBundle {
    /// An activation with what is kept of its version.
    pub(crate) fn new(activation: Activation, kept: Result<Option<StoredBundle>, String>) -> Self {
        let Activation { kind, scope, policy, .. } = activation;
        let bundle = match kept {
            Err(detail) => Err(detail),
            Ok(None) => Err("it is not in the store".to_owned()),
            Ok(Some(stored)) => {
                let found = Digest::of(&stored.bundle.component);
                if found == policy.digest {
                    Ok(stored.bundle)
                } else {
                    Err(format!("its component has digest {found}, not {}", policy.digest))
                }
            }
        };
        Self { kind, scope, policy, bundle }
    }
}

/// A copy that was begun and not ended; both places are without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedCopy {
    /// Where it is copied from.
    pub from: String,
    /// Where it is copied to: the store that was looked at.
    pub to: String,
}

/// How much a database takes, and what is left on its disk.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Taken on disk.
    pub stored_bytes: u64,
    /// Left on the disk, if the server tells.
    pub free_bytes: Option<u64>,
}

/// Looks at a MongoDB database without opening it for use. Of the service's collections none is
/// written to; a scratch collection is made and removed, to see that writes are durable.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, no server answers, or the database is of a newer schema.
pub async fn inspect_mongo(url: &str) -> Result<MongoInspection, OpenError> {
    mongo::inspect(url).await
}

/// Opens the audit log of a store for reading, also while services use it: nothing is written.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, there is no store, or it is of a schema that this binary does
/// not read.
pub async fn open_audit_log(url: &str) -> Result<Arc<dyn AuditLog>, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", place)) if !place.is_empty() => sqlite::open_audit_log(Path::new(place)),
        Some(("mongodb" | "mongodb+srv", _)) => mongo::open_audit_log(url).await,
        Some((scheme, _)) => Err(OpenError::Scheme { scheme: scheme.to_owned() }),
        None => Err(OpenError::NotAUrl { url: url.to_owned() }),
    }
}

/// Opens the books of a store for reading, also while services use it.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, there is no store, or it is of a schema that this binary does
/// not read.
pub async fn open_books(url: &str) -> Result<Arc<dyn Books>, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", place)) if !place.is_empty() => sqlite::open_books(Path::new(place)),
        Some(("mongodb" | "mongodb+srv", _)) => mongo::open_books(url).await,
        Some((scheme, _)) => Err(OpenError::Scheme { scheme: scheme.to_owned() }),
        None => Err(OpenError::NotAUrl { url: url.to_owned() }),
    }
}
