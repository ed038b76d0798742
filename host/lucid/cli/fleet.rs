//! Agents, and letting nodes in.

pub mod agent;
pub mod enrol;
