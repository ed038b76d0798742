//! Receipts that adjust scores of closed epochs: a document each.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    epochs::adjustment::Adjustment,
    id::{NodeId, SessionId},
};
use lucid_ports::{AdjustmentStore, StoreError};
use lucid_store::documents;
use mongodb::bson::{Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, digest, id},
    index::Index,
    page::collect,
};

pub(crate) const ADJUSTMENTS: &str = "adjustments";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: ADJUSTMENTS,
        name: "epoch",
        keys: &[("epoch_start_s", 1), ("node", 1), ("number", 1)],
        unique: false,
        partial: None,
        why: "adjustments of epochs",
    },
    Index {
        collection: ADJUSTMENTS,
        name: "node",
        keys: &[("node", 1), ("epoch_start_s", 1), ("number", 1)],
        unique: false,
        partial: None,
        why: "adjustments of a node",
    },
];

pub(crate) fn document(adjustment: &Adjustment) -> Result<Document, Fault> {
    Ok(doc! {
        "_id": id(adjustment.id().0), "v": 1, "epoch_start_s": adjustment.epoch_start_s, "node": id(adjustment.node.0), "number": adjustment.number,
        "session": id(adjustment.session.0), "at": adjustment.at.0, "actor": &adjustment.actor, "reason": &adjustment.reason,
        "chunk_root": digest(adjustment.chunk_root), "rows": documents::two_rows([&adjustment.before, &adjustment.after])?,
    })
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Adjustment, Fault> {
    let node = fields.id("node", NodeId)?;
    let [before, after] = documents::read_two_rows(&fields.text("rows")?, node)?;
    Ok(Adjustment {
        node,
        epoch_start_s: fields.number("epoch_start_s")?,
        number: fields.number("number")?,
        session: fields.id("session", SessionId)?,
        at: fields.time("at")?,
        actor: fields.text("actor")?,
        reason: fields.text("reason")?,
        chunk_root: fields.digest("chunk_root")?,
        before,
        after,
    })
}

#[async_trait]
impl AdjustmentStore for MongoStore {
    async fn add_adjustment(
        &self,
        adjustment: Adjustment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.insert_audited(ADJUSTMENTS, document(&adjustment)?, &[audit]).await?)
    }
    async fn adjustments(
        &self,
        node: Option<NodeId>,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<Adjustment>, StoreError> {
        let mut wanted = doc! { "epoch_start_s": { "$gte": from_s, "$lt": to_s } };
        if let Some(node) = node {
            wanted.insert("node", id(node.0));
        }
        let order = doc! { "epoch_start_s": 1, "node": 1, "number": 1 };
        let found =
            self.collection(ADJUSTMENTS).find(wanted).sort(order).await.map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
}
