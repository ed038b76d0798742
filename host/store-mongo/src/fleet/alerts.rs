//! Alerts about nodes. `active` is there while one is: the unique index has only those.

use async_trait::async_trait;
use lucid_model::{
    fleet::alert::{Alert, AlertKind, Measured},
    id::{AlertId, NodeId},
    time::TimeMs,
};
use lucid_ports::{AlertStore, Page, PageRequest, StoreError};
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReturnDocument,
};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    index::{Index, Partial},
    once,
    page::{collect, page},
};

pub(crate) const ALERTS: &str = "alerts";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: ALERTS,
        name: "active",
        keys: &[("node", 1), ("kind", 1)],
        unique: true,
        partial: Some(Partial::Where(|| doc! { "active": true })),
        why: "one active alert a node and kind",
    },
    Index {
        collection: ALERTS,
        name: "walk",
        keys: &[("active", 1), ("_id", 1)],
        unique: false,
        partial: Some(Partial::Where(|| doc! { "active": true })),
        why: "active alerts one after the other",
    },
    Index {
        collection: ALERTS,
        name: "node",
        keys: &[("node", 1), ("raised_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "a node's alerts by when they were raised",
    },
    Index {
        collection: ALERTS,
        name: "cleared",
        keys: &[("cleared_at", 1)],
        unique: false,
        partial: None,
        why: "alerts that may be forgotten",
    },
];

pub(crate) fn document(alert: &Alert) -> Document {
    let mut document = doc! {
        "_id": fields::id(alert.id.0), "v": 1, "node": fields::id(alert.node.0), "kind": alert.kind.name(), "raised_at": alert.raised_at.0,
        "message": &alert.message,
    };
    match alert.cleared_at {
        Some(at) => document.insert("cleared_at", at.0),
        None => document.insert("active", true),
    };
    if let Some(Measured { value, limit }) = alert.measured {
        document.extend(doc! { "value": i64::from(value), "limit": i64::from(limit) });
    }
    document
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Alert, Fault> {
    let (value, limit) = (fields.number_or_none("value")?, fields.number_or_none("limit")?);
    Ok(Alert {
        id: fields.id("_id", AlertId)?,
        node: fields.id("node", NodeId)?,
        kind: fields.word("kind", AlertKind::from_name)?,
        raised_at: fields.time("raised_at")?,
        cleared_at: fields.time_or_none("cleared_at")?,
        message: fields.text("message")?,
        measured: value.zip(limit).map(|(value, limit)| Measured { value, limit }),
    })
}

impl MongoStore {
    async fn clear(
        &self,
        node: NodeId,
        kind: AlertKind,
        at: TimeMs,
    ) -> Result<Option<Alert>, Fault> {
        let active = doc! { "node": fields::id(node.0), "kind": kind.name(), "active": true };
        let over = doc! { "$set": { "cleared_at": at.0 }, "$unset": { "active": "" } };
        let cleared = self
            .collection(ALERTS)
            .find_one_and_update(active, over)
            .return_document(ReturnDocument::After)
            .await?;
        cleared.map(|document| read(Fields::of(&document))).transpose()
    }

    async fn forget_cleared(&self, before: TimeMs, limit: u32) -> Result<u64, Fault> {
        let alerts = self.collection(ALERTS);
        let old = doc! { "cleared_at": { "$lt": before.0 } };
        let found = alerts
            .find(old)
            .sort(doc! { "cleared_at": 1 })
            .limit(i64::from(limit))
            .projection(doc! { "_id": 1 })
            .await?;
        let ids =
            collect(found, |fields| Ok(fields.get("_id").cloned().unwrap_or(Bson::Null))).await?;
        Ok(alerts.delete_many(doc! { "_id": { "$in": ids } }).await?.deleted_count)
    }
}

#[async_trait]
impl AlertStore for MongoStore {
    async fn raise_alert(&self, alert: Alert) -> Result<bool, StoreError> {
        Ok(once::insert(&self.collection(ALERTS), document(&alert)).await?)
    }
    async fn clear_alert(
        &self,
        node: NodeId,
        kind: AlertKind,
        at: TimeMs,
    ) -> Result<Option<Alert>, StoreError> {
        Ok(self.clear(node, kind, at).await?)
    }
    async fn active_alerts_after(
        &self,
        after: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<Alert>, StoreError> {
        let mut active = doc! { "active": true };
        if let Some(after) = after {
            active.insert("_id", doc! { "$gt": fields::id(after.0) });
        }
        let found = self
            .collection(ALERTS)
            .find(active)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn active_alerts(&self, node: NodeId) -> Result<Vec<Alert>, StoreError> {
        let active = doc! { "node": fields::id(node.0), "active": true };
        let found = self
            .collection(ALERTS)
            .find(active)
            .sort(doc! { "raised_at": 1, "_id": 1 })
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn alerts(
        &self,
        node: NodeId,
        request: PageRequest<()>,
    ) -> Result<Page<Alert>, StoreError> {
        let of_node = doc! { "node": fields::id(node.0) };
        Ok(page(&self.collection(ALERTS), of_node, &["raised_at", "_id"], &request, read).await?)
    }
    async fn forget_alerts(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        Ok(self.forget_cleared(before, limit).await?)
    }
}
