//! Nodes, pools, enrolments, and alerts about nodes.

pub(crate) mod alerts;
pub(crate) mod enrolments;
pub(crate) mod node_doc;
pub(crate) mod nodes;
pub(crate) mod pools;
pub(crate) mod registration;
