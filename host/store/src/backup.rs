//! Backups of a folder that a service may be using.

use std::path::{Path, PathBuf};

use crate::{OpenError, sqlite};

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    pub file: &'static str,
    /// Pages that are copied.
    pub pages: u64,
    /// Of so many.
    pub of: u64,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUpFile {
    /// Where it is.
    pub file: PathBuf,
    /// How large.
    pub bytes: u64,
}

/// Copies the files of the store of a URL into a folder, as they were when it began, whole and
/// synced; the service goes on meanwhile. A database server has tools of its own for that.
///
/// # Errors
/// [`OpenError`] if it is no folder's URL, `to` is not empty, or something cannot be read or
/// written.
pub fn back_up(
    url: &str,
    to: &Path,
    told: &mut dyn FnMut(BackupProgress),
) -> Result<Vec<BackedUpFile>, OpenError> {
    match url.split_once("://") {
        Some(("sqlite", dir)) => sqlite::back_up(Path::new(dir), to, told),
        Some((scheme, _)) => Err(OpenError::NoBackup { scheme: scheme.to_owned() }),
        None => Err(OpenError::NotAUrl { url: String::new() }),
    }
}
