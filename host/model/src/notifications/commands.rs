//! What callers ask for, checked field by field: read by the API, taken by the service.

use crate::id::{NodeId, PoolId};

/// A webhook to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where it is.
    pub url: String,
    /// At most 1000 characters.
    pub description: Option<String>,
    /// What the types of its events begin with; empty = all that are sent.
    pub events: Vec<String>,
    /// Only events about this node.
    pub node: Option<NodeId>,
    /// Only events about nodes in this pool.
    pub pool: Option<PoolId>,
    /// Whether it is sent anything.
    pub enabled: bool,
}

/// What a PUT changes; none = kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookPatch {
    /// Another endpoint.
    pub url: Option<String>,
    /// Another description; empty: none.
    pub description: Option<String>,
    /// Other events.
    pub events: Option<Vec<String>>,
    /// Another node, or none.
    pub node: Option<Option<NodeId>>,
    /// Another pool, or none.
    pub pool: Option<Option<PoolId>>,
    /// Whether it is sent anything.
    pub enabled: Option<bool>,
}
