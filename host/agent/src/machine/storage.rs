//! How much room this machine's disks have, and how full the one is that holds the data.

#[cfg(any(not(target_os = "linux"), test))]
mod listed;
#[cfg(target_os = "linux")]
mod medium;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
mod survey;

#[cfg(not(target_os = "linux"))]
use std::path::Path;

#[cfg(target_os = "linux")]
pub(super) use linux::{room_at, total_bytes};

/// The room of a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) total: u64,
    /// Of that, what is left for who is not root.
    pub(super) available: u64,
}

/// Bytes of this machine's disks.
#[cfg(not(target_os = "linux"))]
pub(super) fn total_bytes(_root: &Path, data: &Path) -> u64 {
    listed::total_bytes(data)
}

/// The room of the disk that holds `data`.
#[cfg(not(target_os = "linux"))]
pub(super) fn room_at(_root: &Path, data: &Path) -> Option<Room> {
    listed::room_at(data)
}

/// The kernel's list of mounts is read anew each time: a disk may have given its mount point to a
/// share, which hangs.
#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, path::Path};

    use super::{
        Room,
        medium::Medium,
        mounts::MountTable,
        survey::{self, Survey},
    };

    /// Bytes of this machine's disks, each once.
    pub(crate) fn total_bytes(root: &Path, data: &Path) -> u64 {
        let table = table(root);
        let survey = Survey { table: &table, medium: |mount: &_| Medium::of(root, mount) };
        survey::total_bytes(&survey.stores(data), room)
    }

    /// The room of the file system that holds `data`.
    pub(crate) fn room_at(root: &Path, data: &Path) -> Option<Room> {
        let table = table(root);
        let survey = Survey { table: &table, medium: |mount: &_| Medium::of(root, mount) };
        survey.holding(data).and_then(|(mount, _)| room(&mount.point))
    }

    fn table(root: &Path) -> MountTable {
        MountTable::parse(&fs::read(root.join("proc/self/mountinfo")).unwrap_or_default())
    }

    /// Only of mounts that were chosen: others may hang.
    fn room(point: &Path) -> Option<Room> {
        let stat = rustix::fs::statvfs(point).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Some(Room { total: bytes(stat.f_blocks), available: bytes(stat.f_bavail) })
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
