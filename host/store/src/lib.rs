//! What every backend that keeps the service's state has alike: which URL is whose, packed and
//! sealed forms, and copying a store into another one.
//!
//! An answer to a write means that it is durable. No backend type leaves its crate but as `dyn
//! Store`.

mod backend;
mod backup;
pub mod documents;
mod inspection;
mod open_error;
pub mod packing;
mod schemas;
mod seal;
pub mod series;
pub mod sums;
pub mod transfer;

pub use backend::{Backend, CACHE_MIB, Stores, without_password};
pub use backup::{BackedUpFile, BackupProgress};
pub use inspection::{ActiveBundle, UnfinishedCopy};
pub use open_error::{Cause, OpenError};
pub use schemas::PartSchema;
pub use seal::{SEAL_KEY_BYTES, SealKeyError, SealKeys, Seals};
pub use transfer::{
    CopyError, CopyProgress, CopyReport, Kind, KindReport, Limits, Step, Sum, compare, copy,
};
