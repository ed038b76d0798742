//! Nodes and pools: registration, keys, wallets, enrolment, liveness, alerts.

pub(crate) mod alerts;
pub(crate) mod clones;
pub(crate) mod enrolments;
pub(crate) mod identity;
pub(crate) mod liveness;
pub(crate) mod machines;
pub(crate) mod node_alerts;
pub(crate) mod nodes;
pub(crate) mod pool_health;
pub(crate) mod pools;
pub(crate) mod registration;
pub(crate) mod siblings;
pub(crate) mod wallets;
