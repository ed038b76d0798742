//! Nodes, pools, enrolments, and alerts about nodes.

pub mod alerts;
pub mod enrolments;
pub mod nodes;
pub mod pools;
