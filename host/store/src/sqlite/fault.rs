use lucid_ports::StoreError;
use rusqlite::ErrorCode;

use crate::{documents::DocumentError, packing::Unreadable};

/// Why a query or a job failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite says so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// What is stored, or was to be stored, cannot be.
    #[error("{0}")]
    Bad(String),
}

impl Fault {
    /// Whether a unique key refused the write.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
            && error.sqlite_error().is_some_and(|e| matches!(e.extended_code,
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY)))
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
    /// A disk that is full, read-only or broken may recover; everything else is a fault of ours or of the file.
    fn from(fault: Fault) -> Self {
        let detail = fault.to_string();
        let passes = match &fault {
            Fault::Bad(_) => false,
            Fault::Sql(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DiskFull
                        | ErrorCode::ReadOnly
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::OperationInterrupted
                        | ErrorCode::OutOfMemory
                )
            ),
        };
        if passes { Self::Unavailable { detail } } else { Self::Inconsistent { detail } }
    }
}
