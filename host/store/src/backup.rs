//! Backups of a folder that a service may be using.

use std::path::PathBuf;

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
