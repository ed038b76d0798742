//! Nodes and pools: registration, keys, health, what is watched of them.

pub mod alert;
pub mod challenge;
pub mod enrolment;
pub mod node;
pub mod pool;
pub mod statement;
