//! Nodes and pools: registering, logging in, changing, reading.

pub mod auth;
pub mod enrolment;
pub mod node;
pub mod pool;
