//! Webhooks, and what is on its way to them. A removed webhook stays without anything that counts:
//! it carries the entry about its end until that is in the audit log.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{DeliveryId, NodeId, PoolId, WebhookId},
    notifications::webhook::{Delivery, DeliveryState, KeptSecret, Webhook},
    time::TimeMs,
};
use lucid_ports::{DeliveryFilter, Page, PageRequest, StoreError, WebhookStore};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields, stored},
    index::{Index, Partial},
    once::{self, Statement},
    page::{collect, page},
};

pub(crate) const WEBHOOKS: &str = "webhooks";
pub(crate) const DELIVERIES: &str = "deliveries";
/// Where binaries of a schema below 6 kept a secret, in clear.
const CLEAR: &str = "secret";

const fn of(name: &'static str, keys: &'static [(&'static str, i32)], why: &'static str) -> Index {
    Index { collection: DELIVERIES, name, keys, unique: false, partial: None, why }
}

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: DELIVERIES,
        name: "due",
        keys: &[("webhook", 1), ("next_attempt_at", 1), ("_id", 1)],
        unique: false,
        partial: Some(Partial::Where(|| doc! { "state": "pending" })),
        why: "what is to be sent to a webhook",
    },
    of(
        "webhook",
        &[("webhook", 1), ("created_at", 1), ("_id", 1)],
        "a webhook's deliveries by creation",
    ),
    of(
        "state",
        &[("webhook", 1), ("state", 1), ("created_at", 1), ("_id", 1)],
        "a webhook's deliveries of a state by creation",
    ),
    of("created", &[("created_at", 1)], "deliveries that may be forgotten"),
];

/// What a change of a webhook sets.
fn changed(webhook: &Webhook) -> Result<Document, Fault> {
    Ok(doc! {
        "v": 1, "live": true, "url": &webhook.url, "description": &webhook.description, "events": &webhook.events,
        "node": webhook.node.map(|node| fields::id(node.0)), "pool": webhook.pool.map(|pool| fields::id(pool.0)), "enabled": webhook.enabled,
        "sealed": &webhook.secret.0, "disabled_reason": &webhook.disabled_reason, "updated_at": webhook.updated_at.0, "version": stored(webhook.version)?,
    })
}

pub(crate) fn document(webhook: &Webhook) -> Result<Document, Fault> {
    let mut document = changed(webhook)?;
    document.extend(doc! {
        "_id": fields::id(webhook.id.0), "created_at": webhook.created_at.0, "created_by": &webhook.created_by,
    });
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Webhook, Fault> {
    // Below schema 6 it is in clear, under a name of its own.
    let secret = fields.text_or_none(CLEAR)?.map_or_else(|| fields.text("sealed"), Ok)?;
    Ok(Webhook {
        id: fields.id("_id", WebhookId)?,
        url: fields.text("url")?,
        description: fields.text_or_none("description")?,
        events: fields.texts("events")?,
        node: fields.id_or_none("node", NodeId)?,
        pool: fields.id_or_none("pool", PoolId)?,
        secret: KeptSecret(secret),
        enabled: fields.truth("enabled")?,
        disabled_reason: fields.text_or_none("disabled_reason")?,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        created_by: fields.text("created_by")?,
        version: fields.number("version")?,
    })
}

/// What becomes of a delivery.
fn outcome(delivery: &Delivery) -> Document {
    doc! {
        "state": delivery.state.name(), "attempts": i64::from(delivery.attempts), "next_attempt_at": delivery.next_attempt_at.0,
        "finished_at": delivery.finished_at.map(|at| at.0), "status": delivery.status.map(i32::from), "error": &delivery.error,
    }
}

pub(crate) fn delivery_document(delivery: &Delivery) -> Document {
    let mut document = outcome(delivery);
    document.extend(doc! {
        "_id": fields::id(delivery.id.0), "v": 1, "webhook": fields::id(delivery.webhook.0), "event_id": &delivery.event_id,
        "kind": &delivery.kind, "body": &delivery.body, "created_at": delivery.created_at.0,
    });
    document
}

pub(crate) fn read_delivery(fields: Fields<'_>) -> Result<Delivery, Fault> {
    Ok(Delivery {
        id: fields.id("_id", DeliveryId)?,
        webhook: fields.id("webhook", WebhookId)?,
        event_id: fields.text("event_id")?,
        kind: fields.text("kind")?,
        body: fields.text("body")?,
        created_at: fields.time("created_at")?,
        state: fields.word("state", DeliveryState::from_name)?,
        attempts: fields.number("attempts")?,
        next_attempt_at: fields.time("next_attempt_at")?,
        finished_at: fields.time_or_none("finished_at")?,
        status: fields.number_or_none("status")?,
        error: fields.text_or_none("error")?,
    })
}

impl MongoStore {
    async fn forget_made_before(&self, before: TimeMs, limit: u32) -> Result<u64, Fault> {
        let deliveries = self.collection(DELIVERIES);
        let old = doc! { "created_at": { "$lt": before.0 } };
        let found = deliveries
            .find(old)
            .sort(doc! { "created_at": 1 })
            .limit(i64::from(limit))
            .projection(doc! { "_id": 1 })
            .await?;
        let ids =
            collect(found, |fields| Ok(fields.get("_id").cloned().unwrap_or(Bson::Null))).await?;
        Ok(deliveries.delete_many(doc! { "_id": { "$in": ids } }).await?.deleted_count)
    }
}

#[async_trait]
impl WebhookStore for MongoStore {
    async fn add_webhook(&self, webhook: Webhook, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.insert_audited(WEBHOOKS, document(&webhook)?, &[audit]).await?)
    }
    async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let found = self
            .collection(WEBHOOKS)
            .find(doc! { "live": true })
            .sort(doc! { "created_at": 1, "_id": 1 })
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn update_webhook(
        &self,
        webhook: Webhook,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let before = stored(webhook.version.saturating_sub(1))?;
        let filter = doc! { "_id": fields::id(webhook.id.0), "version": before, "live": true };
        Ok(self
            .update_audited(
                WEBHOOKS,
                filter,
                doc! { "$set": changed(&webhook)?, "$unset": { CLEAR: "" } },
                &[audit],
            )
            .await?)
    }
    async fn remove_webhook(
        &self,
        id: WebhookId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut filter = doc! { "_id": fields::id(id.0), "live": true };
        if let Some(version) = version {
            filter.insert("version", stored(version)?);
        }
        let gone =
            doc! { "$set": { "live": false }, "$unset": { CLEAR: "", "sealed": "", "url": "" } };
        Ok(self.update_audited(WEBHOOKS, filter, gone, &[audit]).await?)
    }
    async fn add_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        let documents: Vec<_> = deliveries.iter().map(delivery_document).collect();
        Ok(once::insert_each(&self.collection(DELIVERIES), &documents).await.map(drop)?)
    }
    async fn due_deliveries(
        &self,
        webhook: WebhookId,
        now: TimeMs,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let due = doc! { "webhook": fields::id(webhook.0), "state": "pending", "next_attempt_at": { "$lte": now.0 } };
        let deliveries = self.collection(DELIVERIES);
        let found = deliveries
            .find(due)
            .sort(doc! { "next_attempt_at": 1, "_id": 1 })
            .limit(i64::from(limit));
        Ok(collect(found.await.map_err(Fault::from)?, read_delivery).await?)
    }
    async fn update_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        let statement = |delivery: &Delivery| Statement {
            filter: doc! { "_id": fields::id(delivery.id.0) },
            update: doc! { "$set": outcome(delivery) },
            upsert: false,
        };
        Ok(once::update_each(self, DELIVERIES, deliveries.iter().map(statement).collect()).await?)
    }
    async fn deliveries(
        &self,
        filter: DeliveryFilter,
        request: PageRequest<()>,
    ) -> Result<Page<Delivery>, StoreError> {
        let mut conditions = doc! { "webhook": fields::id(filter.webhook.0) };
        if let Some(state) = filter.state {
            conditions.insert("state", state.name());
        }
        Ok(page(
            &self.collection(DELIVERIES),
            conditions,
            &["created_at", "_id"],
            &request,
            read_delivery,
        )
        .await?)
    }
    async fn forget_deliveries(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget_made_before(before, limit).await?)
    }
}
