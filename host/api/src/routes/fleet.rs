//! Nodes and pools.

pub(super) mod enrolments;
pub(super) mod identity;
pub(super) mod keys;
pub(super) mod machine;
pub(super) mod nodes;
pub(super) mod pools;
