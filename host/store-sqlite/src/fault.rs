use std::{io, path::PathBuf};

use lucid_ports::StoreError;
use lucid_store::{documents::DocumentError, packing::Unreadable};
use rusqlite::ErrorCode;

/// Why a query or a job failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite says so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The operating system says so of a file.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// A file is not where it was opened.
    #[error("{} was removed or replaced while it was open: put it back, or stop the service and restore the store", .0.display())]
    Moved(PathBuf),
    /// What is stored, or was to be stored, cannot be.
    #[error("{0}")]
    Bad(String),
}

/// What kind of help a fault needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Room on the disk.
    Space,
    /// The right to read and write.
    Permission,
    /// A backup.
    Damage,
    /// Time, or somebody who mends the disk.
    Passing,
    /// Us.
    Ours,
}

/// What SQLite's error says.
pub(crate) fn kind_of(error: &rusqlite::Error) -> Kind {
    // What readers share beside the log cannot grow.
    if error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
    {
        return Kind::Space;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Kind::Space,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Kind::Permission,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Damage,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted
            | ErrorCode::OutOfMemory,
        ) => Kind::Passing,
        _ => Kind::Ours,
    }
}

/// What the operating system's error says.
pub(crate) fn kind_of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Kind::Space
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::Permission,
        _ => Kind::Passing,
    }
}

impl Fault {
    /// Whether a unique key refused the write.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            && error.sqlite_error().is_some_and(|e| matches!(e.extended_code,
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)))
    }

    /// What kind of help it needs.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Sql(error) => kind_of(error),
            Self::Io(_, error) => kind_of_io(error),
            Self::Moved(_) => Kind::Passing,
            Self::Bad(_) => Kind::Ours,
        }
    }

    /// What all jobs of a transaction are told that was not committed.
    pub(crate) fn of_commit(&self, file: &str) -> StoreError {
        let detail = format!("{file}.db: {self}");
        // Which of the jobs is at fault, nobody knows: each may be tried again.
        if self.kind() == Kind::Ours {
            StoreError::Unavailable { detail }
        } else {
            told(self.kind(), detail)
        }
    }
}

fn told(kind: Kind, detail: String) -> StoreError {
    match kind {
        Kind::Space => StoreError::NoSpace { detail },
        Kind::Permission => StoreError::NotPermitted { detail },
        Kind::Damage => StoreError::Damaged { detail },
        Kind::Passing => StoreError::Unavailable { detail },
        Kind::Ours => StoreError::Inconsistent { detail },
    }
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        Self::Bad(error.to_string())
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Bad(unreadable.to_string())
    }
}

impl From<Fault> for StoreError {
    /// Space, permission and damage are three different words: each needs somebody else.
    fn from(fault: Fault) -> Self {
        told(fault.kind(), fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn space_permission_and_damage_are_three_different_words() {
        let told = |code| {
            StoreError::from(Fault::from(rusqlite::Error::SqliteFailure(
                ffi::Error::new(code),
                None,
            )))
        };
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            assert!(matches!(told(code), StoreError::NoSpace { .. }), "{code}");
        }
        for code in [ffi::SQLITE_READONLY, ffi::SQLITE_READONLY_DIRECTORY, ffi::SQLITE_PERM] {
            assert!(matches!(told(code), StoreError::NotPermitted { .. }), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_CORRUPT_INDEX, ffi::SQLITE_NOTADB] {
            assert!(matches!(told(code), StoreError::Damaged { .. }), "{code}");
        }
        for code in
            [ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_BUSY]
        {
            assert!(matches!(told(code), StoreError::Unavailable { .. }), "{code}");
        }
        assert!(matches!(told(ffi::SQLITE_CONSTRAINT), StoreError::Inconsistent { .. }));
        let told = |kind: io::ErrorKind| StoreError::from(Fault::Io("boot".into(), kind.into()));
        assert!(matches!(told(io::ErrorKind::StorageFull), StoreError::NoSpace { .. }));
        assert!(matches!(told(io::ErrorKind::PermissionDenied), StoreError::NotPermitted { .. }));
        assert!(matches!(told(io::ErrorKind::ReadOnlyFilesystem), StoreError::NotPermitted { .. }));
    }
}
