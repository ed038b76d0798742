use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    epochs::adjustment::Adjustment,
    id::{NodeId, ShadowId},
    policies::{Shadow, ShadowEnd, ShadowResult},
};

use crate::{Page, PageRequest, StoreError};

/// Versions that are asked beside the active ones, and what they said.
#[async_trait]
pub trait ShadowStore: Send + Sync {
    /// Adds a shadow; `false` if it is there.
    async fn add_shadow(&self, shadow: Shadow, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Ends a shadow; `false` if it is not there or was ended before.
    async fn end_shadow(
        &self,
        id: ShadowId,
        end: ShadowEnd,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// One shadow.
    async fn shadow(&self, id: ShadowId) -> Result<Option<Shadow>, StoreError>;
    /// Those that were not ended, oldest first.
    async fn running_shadows(&self) -> Result<Vec<Shadow>, StoreError>;
    /// All of them, by when they were begun.
    async fn shadows(&self, page: PageRequest<()>) -> Result<Page<Shadow>, StoreError>;
    /// Keeps what a shadow said about a period, once; `false` if it is there.
    async fn add_shadow_result(&self, result: ShadowResult) -> Result<bool, StoreError>;
    /// What a shadow said, by period.
    async fn shadow_results(
        &self,
        id: ShadowId,
        page: PageRequest<()>,
    ) -> Result<Page<ShadowResult>, StoreError>;
}

/// Receipts that adjust scores of closed epochs: insert-only.
#[async_trait]
pub trait AdjustmentStore: Send + Sync {
    /// Adds an adjustment; `false` if this node's of that number is there in its epoch.
    async fn add_adjustment(
        &self,
        adjustment: Adjustment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// Those of epochs that start in `[from_s, to_s)`, of one node or of all: by epoch, node and
    /// number.
    async fn adjustments(
        &self,
        node: Option<NodeId>,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<Adjustment>, StoreError>;
}
