//! The domain: pure types, arithmetic and state machines, without I/O, clock or randomness.
//!
//! No float touches money or a score. Everything that is hashed or signed has one canonical
//! little-endian encoding ([`canonical`]); everything that is expensive to change later lives here.

pub mod audit;
pub mod backoff;
pub mod canonical;
pub mod clock;
pub mod consensus;
pub mod epochs;
pub mod fleet;
pub mod id;
pub mod money;
mod named_enum;
pub mod notifications;
pub mod policies;
pub mod review;
pub mod shared_clock;
pub mod telemetry;
pub mod time;
