//! Nodes, pools, enrolments, and alerts about nodes.

pub(crate) mod alerts;
pub(crate) mod enrolments;
pub(crate) mod nodes;
pub(crate) mod pools;
