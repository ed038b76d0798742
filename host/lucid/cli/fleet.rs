//! Agents, and enrolment of nodes.

pub mod agent;
pub mod enrol;
