//! Coordination over Redis. Every command has a time-out, and no answer is taken for a grant that
//! did not come.
//!
//! Invariants: a lease ends for its holder, by the holder's own clock, before Redis gives it to
//! somebody else; a Redis that was started less than a lease's life ago grants none, since it may
//! have forgotten one.

mod coordinator;
mod limits;
mod link;
mod listener;
mod once;
mod probe;

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

pub use coordinator::RedisCoordinator;
pub use limits::RedisLimiter;
pub use link::{RedisSettings, RedisUrlError};
pub use once::RedisUsedOnce;
pub use probe::{RedisFacts, probe_redis};
