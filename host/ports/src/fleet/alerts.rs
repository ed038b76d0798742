use async_trait::async_trait;
use lucid_model::{
    fleet::alert::{Alert, AlertKind},
    id::{AlertId, NodeId},
    time::TimeMs,
};

use crate::{Page, PageRequest, StoreError};

/// Alerts about nodes: a node has at most one active alert of a kind, whoever raises it.
#[async_trait]
pub trait AlertStore: Send + Sync {
    /// Adds an active alert; `false` if the node has one of the kind.
    async fn raise_alert(&self, alert: Alert) -> Result<bool, StoreError>;
    /// Ends the active alert of a kind; what it is now, none if there was none.
    async fn clear_alert(
        &self,
        node: NodeId,
        kind: AlertKind,
        at: TimeMs,
    ) -> Result<Option<Alert>, StoreError>;
    /// Active alerts of all nodes after an id, in the order of their ids.
    async fn active_alerts_after(
        &self,
        after: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<Alert>, StoreError>;
    /// A node's active alerts, oldest first: at most one of each kind.
    async fn active_alerts(&self, node: NodeId) -> Result<Vec<Alert>, StoreError>;
    /// A page of a node's alerts, active or not, by when they were raised.
    async fn alerts(&self, node: NodeId, page: PageRequest<()>) -> Result<Page<Alert>, StoreError>;
    /// Forgets alerts that were over before an instant, at most `limit`; how many.
    async fn forget_alerts(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError>;
}
