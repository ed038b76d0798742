use std::path::{Path, PathBuf};

use lucid_ports::Stamp;

use crate::{OpenError, mongo, sqlite};

/// What was found in a store that was only looked at.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// What it was made for; none if no service ever ran on it.
    pub stamp: Option<Stamp>,
    /// Kinds of policy that are active everywhere.
    pub active_kinds: Vec<String>,
    /// Its files.
    pub files: Vec<StoreFile>,
}

/// One file of a store.
#[derive(Debug, Clone)]
pub struct StoreFile {
    /// Where.
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
/// [`OpenError`] if the URL is none that can be looked at, there is no store, or it is of another schema.
pub fn inspect(url: &str, check_time_max: std::time::Duration) -> Result<Inspection, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", place)) if !place.is_empty() => sqlite::inspect(Path::new(place), check_time_max),
        Some((scheme, _)) => Err(OpenError::Scheme { scheme: scheme.to_owned() }),
        None => Err(OpenError::NotAUrl { url: url.to_owned() }),
    }
}

/// Looks at a MongoDB database without opening it for use: the server's version and the database's name.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, no server answers, or the database is of a newer schema.
pub async fn look_at_mongo(url: &str) -> Result<(String, String), OpenError> {
    mongo::look(url).await
}
