//! Coordination of one process: nothing leaves it, and it is never away.

mod coordinator;
mod limits;
mod once;

pub use coordinator::LocalCoordinator;
pub use limits::{LocalLimiter, Quotas};
pub use once::LocalUsedOnce;
