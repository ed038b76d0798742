//! SQLite: `core.db` for nodes, policies, epochs and money, `telemetry.db` for what nodes report.
//!
//! Invariants: each file has one writer, and an answer to a write comes after its COMMIT; two
//! processes never have one directory open; a file of a newer schema is never touched. In memory
//! the same runs on one connection.

mod audit;
mod backend;
mod backup;
mod boot;
mod checkpoint;
mod columns;
mod consensus;
mod database;
mod epochs;
mod fault;
mod fleet;
mod health;
mod inspect;
mod memory;
mod migrate;
mod money;
mod notifications;
mod place;
mod policies;
mod query;
mod readers;
mod repack;
mod review;
mod stamp;
mod telemetry;
mod transfer;
mod unopened;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use lucid_store::{CACHE_MIB, OpenError};
use rusqlite::Connection;

pub use self::{
    backend::Sqlite,
    inspect::{Inspection, Integrity, StoreFile, inspect},
    memory::{Memory, Pause},
};
use self::{database::Database, fault::Fault, transfer::is_marked, writer::Pace};

/// Memory for pages of what reports write, MiB, if the other file's writer has as much.
const TELEMETRY_CACHE_MIB: u32 = 16;

pub(crate) const CORE: &[&str] = &[
    include_str!("../migrations/core/0001.sql"),
    include_str!("../migrations/core/0002.sql"),
    include_str!("../migrations/core/0003.sql"),
    include_str!("../migrations/core/0004.sql"),
    include_str!("../migrations/core/0005.sql"),
    include_str!("../migrations/core/0006.sql"),
    include_str!("../migrations/core/0007.sql"),
    include_str!("../migrations/core/0008.sql"),
    include_str!("../migrations/core/0009.sql"),
    include_str!("../migrations/core/0010.sql"),
    include_str!("../migrations/core/0011.sql"),
    include_str!("../migrations/core/0012.sql"),
    include_str!("../migrations/core/0013.sql"),
    include_str!("../migrations/core/0014.sql"),
    include_str!("../migrations/core/0015.sql"),
    include_str!("../migrations/core/0016.sql"),
    include_str!("../migrations/core/0017.sql"),
    include_str!("../migrations/core/0018.sql"),
    include_str!("../migrations/core/0019.sql"),
    include_str!("../migrations/core/0020.sql"),
];
pub(crate) const TELEMETRY: &[&str] = &[
    include_str!("../migrations/telemetry/0001.sql"),
    include_str!("../migrations/telemetry/0002.sql"),
    include_str!("../migrations/telemetry/0003.sql"),
];

/// A store in a directory of this machine, or in memory.
pub struct SqliteStore {
    core: Database,
    telemetry: Database,
    /// None in memory.
    dir: Option<PathBuf>,
    /// Held until both writers have ended: fields are dropped in order. None in memory.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens the store in `dir`, creating both if they are not there.
    ///
    /// # Errors
    /// [`OpenError`] if the directory is in use or not usable, a file is damaged or of a newer
    /// schema, or a copy into the store is not finished.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, CACHE_MIB)
    }

    /// The same with so much memory for pages of what is written.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(dir: &Path, cache_mib: u32) -> Result<Self, OpenError> {
        let store = Self::open_marked(dir, cache_mib)?;
        if is_marked(dir)? { Err(OpenError::HalfCopied) } else { Ok(store) }
    }

    /// Opens it for whoever copies into it.
    pub(crate) fn open_marked(dir: &Path, cache_mib: u32) -> Result<Self, OpenError> {
        let unusable = |source| unopened::of_io(dir, source);
        fs::create_dir_all(dir).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))
            .map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { dir: dir.to_owned() },
            TryLockError::Error(source) => unusable(source),
        })?;
        let core = Database::open(
            dir,
            "core",
            CORE,
            Pace::AT_ONCE.with_cache(cache_mib),
            prepare,
            Some(audit::close_link),
        )?;
        let telemetry = Database::open(
            dir,
            "telemetry",
            TELEMETRY,
            Pace::GATHERED.with_cache(cache_mib.min(TELEMETRY_CACHE_MIB)),
            |_| Ok(()),
            None,
        )?;
        Ok(Self { core, telemetry, dir: Some(dir.to_owned()), _lock: Some(lock) })
    }
}

/// What is said to the file before it is used.
fn prepare(core: &Connection) -> Result<(), Fault> {
    audit::requests::release_all(core)?;
    repack::old_scores(core)
}
