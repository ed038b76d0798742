//! Nodes, their agents and pools.

pub(crate) mod agent;
pub(crate) mod alerts;
pub(crate) mod identity;
pub(crate) mod liveness;
pub(crate) mod machines;
pub(crate) mod pools;
