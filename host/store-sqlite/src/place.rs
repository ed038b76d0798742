use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use crate::fault::Fault;

/// The files of a database as they were when it was opened. What is written into a file that was
/// removed or replaced since is gone with the process, so that no answer may rely on it.
pub(crate) struct Place {
    known: Vec<Known>,
}

struct Known {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Of a database that is open: its log is there, too.
    pub(crate) fn of(file: &Path) -> io::Result<Self> {
        let known = [file.to_owned(), log_of(file)].into_iter().map(|path| {
            let found = fs::metadata(&path)?;
            Ok(Known { path, device: found.dev(), inode: found.ino() })
        });
        Ok(Self { known: known.collect::<io::Result<_>>()? })
    }

    /// Fails if a file is not where it was opened.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        for Known { path, device, inode } in &self.known {
            match fs::metadata(path) {
                Ok(found) if (found.dev(), found.ino()) == (*device, *inode) => {}
                Ok(_) => return Err(Fault::Moved(path.clone())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Fault::Moved(path.clone()));
                }
                Err(error) => return Err(Fault::Io(path.clone(), error)),
            }
        }
        Ok(())
    }

    /// Fails if the next start could not open a file.
    pub(crate) fn check_access(&self) -> Result<(), Fault> {
        self.known.iter().try_for_each(|known| {
            may_use(&known.path).map_err(|error| Fault::Io(known.path.clone(), error))
        })
    }

    /// Bytes left on the disk.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.known.first()?.path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Where SQLite writes before it writes into the file.
pub(crate) fn log_of(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}-wal", file.display()))
}

/// Whether this process may read and write a file, or a folder's entries; one that is not there
/// hinders nobody.
pub(crate) fn may_use(path: &Path) -> io::Result<()> {
    let wanted = if path.is_dir() {
        Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK
    } else {
        Access::READ_OK | Access::WRITE_OK
    };
    match access(path, wanted) {
        Err(error) if error == rustix::io::Errno::NOENT => Ok(()),
        outcome => Ok(outcome?),
    }
}
