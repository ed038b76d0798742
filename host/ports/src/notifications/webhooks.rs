use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::WebhookId,
    notifications::webhook::{Delivery, DeliveryState, Webhook},
    time::TimeMs,
};

use crate::{Page, PageRequest, StoreError};

/// Which deliveries.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryFilter {
    /// To this endpoint.
    pub webhook: WebhookId,
    /// In this state.
    pub state: Option<DeliveryState>,
}

/// Webhooks, and the outbox of what is on its way to them: deliveries that are pending.
#[async_trait]
pub trait WebhookStore: Send + Sync {
    /// Adds one; `false` if its id is there: the same request was carried out before.
    async fn add_webhook(&self, webhook: Webhook, audit: AuditEntry) -> Result<bool, StoreError>;
    /// All, by creation.
    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError>;
    /// Changes one that has the version before; `false` if it has not.
    async fn update_webhook(&self, webhook: Webhook, audit: AuditEntry)
    -> Result<bool, StoreError>;
    /// Removes one; `false` if there is none, or it has not the version that is named. Its
    /// deliveries stay until they are forgotten.
    async fn remove_webhook(
        &self,
        id: WebhookId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
    /// Adds deliveries; those whose ids are there stay as they are.
    async fn add_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError>;
    /// Pending deliveries to an endpoint whose time has come, those that were to be sent first
    /// before the others.
    async fn due_deliveries(
        &self,
        webhook: WebhookId,
        now: TimeMs,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// Keeps what became of deliveries; what they say is never changed.
    async fn update_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError>;
    /// A page of deliveries, by creation.
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Delivery>, StoreError>;
    /// Forgets deliveries that were made before an instant, whatever became of them, at most
    /// `limit`; how many.
    async fn forget_deliveries(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError>;
}

/// Why a try got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct WebhookError {
    /// For the log and the list of deliveries.
    pub detail: String,
}

/// Sends to endpoints that somebody else named: never into our own network, unless that is allowed.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Whether a URL may be sent to, as far as it can be told without looking its host up.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, url: &str) -> Result<(), String>;
    /// Sends once, and answers the status; follows no redirect.
    async fn send(
        &self,
        url: &str,
        headers: [(&'static str, String); 3],
        body: String,
    ) -> Result<u16, WebhookError>;
}
