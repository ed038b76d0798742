//! What replicas agree on: in one process for now.

mod local;

pub use local::{LocalLimiter, Quotas};
