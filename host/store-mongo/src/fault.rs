use lucid_ports::StoreError;
use lucid_store::{documents::DocumentError, packing::Unreadable};
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// A unique key refused the write.
pub(crate) const DUPLICATE_KEY: i32 = 11_000;
/// An index was to be dropped that is not there.
const INDEX_NOT_FOUND: i32 = 27;

/// The server does not let us do it, or does not know who we are.
const NOT_PERMITTED: [i32; 2] = [13, 18];
/// The server's disk is full.
const OUT_OF_DISK_SPACE: i32 = 14_031;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The driver or the server says so.
    #[error("{}", .0.kind)]
    Driver(#[from] Error),
    /// What is stored, or was to be stored, cannot be.
    #[error("{0}")]
    Bad(String),
    /// Others were faster each time; nothing changed, and whoever asks again may be first.
    #[error("{0}")]
    Contended(String),
}

impl Fault {
    /// Whether a unique key refused the write. The holder may be the write itself, whose first
    /// answer was lost.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            Self::Bad(_) | Self::Contended(_) => false,
            Self::Driver(error) => match error.kind.as_ref() {
                ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
                ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
                ErrorKind::InsertMany(many) => {
                    many.write_concern_error.is_none()
                        && many.write_errors.as_ref().is_some_and(|errors| {
                            errors.iter().all(|error| error.code == DUPLICATE_KEY)
                        })
                }
                _ => false,
            },
        }
    }

    /// Whether the server has no index of that name.
    pub(crate) fn is_of_no_index(&self) -> bool {
        matches!(self, Self::Driver(error) if matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == INDEX_NOT_FOUND))
    }

    /// The server's number of what is wrong, if it gave one.
    fn code(&self) -> Option<i32> {
        let Self::Driver(error) = self else { return None };
        match error.kind.as_ref() {
            ErrorKind::Command(error) => Some(error.code),
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
            _ => None,
        }
    }

    /// Whether the write may have been done all the same: it was sent, and no answer or no final
    /// one came.
    pub(crate) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Bad(_) | Self::Contended(_) => false,
            Self::Driver(error) => {
                matches!(
                    error.kind.as_ref(),
                    ErrorKind::Io(_)
                        | ErrorKind::ConnectionPoolCleared { .. }
                        | ErrorKind::InvalidResponse { .. }
                        | ErrorKind::Write(WriteFailure::WriteConcernError(_))
                ) || matches!(error.kind.as_ref(), ErrorKind::InsertMany(many) if many.write_concern_error.is_some())
                    || error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
            }
        }
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
    /// A server that is away, changes its primary or refuses us may recover, and contention ends;
    /// what it holds that cannot be does not.
    fn from(fault: Fault) -> Self {
        let detail = fault.to_string();
        match fault.code() {
            Some(code) if NOT_PERMITTED.contains(&code) => return Self::NotPermitted { detail },
            Some(OUT_OF_DISK_SPACE) => return Self::NoSpace { detail },
            _ => {}
        }
        let lasting = match &fault {
            Fault::Bad(_) => true,
            Fault::Contended(_) => false,
            Fault::Driver(error) => {
                matches!(
                    error.kind.as_ref(),
                    ErrorKind::Bson(_)
                        | ErrorKind::InvalidArgument { .. }
                        | ErrorKind::Internal { .. }
                ) || fault.is_duplicate()
            }
        };
        if lasting { Self::Inconsistent { detail } } else { Self::Unavailable { detail } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contention_is_told_as_something_that_passes() {
        let told = StoreError::from(Fault::Contended("others were faster".into()));
        assert!(matches!(told, StoreError::Unavailable { .. }), "{told}");
    }
}
