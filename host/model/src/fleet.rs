//! Nodes and pools: registration, keys, health, alerts.

pub mod alert;
pub mod challenge;
pub mod commands;
pub mod enrolment;
pub mod node;
pub mod pool;
pub mod statement;
