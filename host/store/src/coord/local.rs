//! Coordination of one process: nothing leaves it, and it is never away.

mod coordinator;
mod limits;

pub use coordinator::LocalCoordinator;
pub use limits::{LocalLimiter, Quotas};
