//! Payouts that the payment service contradicts: one document each.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{MismatchId, NodeId, PayoutId},
    money::payout::{Mismatch, MismatchKind, Remedy},
    time::TimeMs,
};
use lucid_ports::{MismatchStore, Page, PageRequest, StoreError};
use mongodb::bson::{Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, id},
    page::page,
};

pub(crate) const MISMATCHES: &str = "mismatches";

fn ended_fields((at, remedy): (TimeMs, Remedy)) -> Document {
    doc! { "ended": { "at": at.0, "remedy": remedy.name() } }
}

pub(crate) fn document(mismatch: &Mismatch) -> Document {
    let mut document = doc! {
        "_id": id(mismatch.id.0),
        "v": 1,
        "payout": id(mismatch.payout.0),
        "node": id(mismatch.node.0),
        "amount": mismatch.amount.0,
        "kind": mismatch.kind.name(),
        "evidence": &mismatch.evidence,
        "first_at": mismatch.first_at.0,
        "confirmed_at": mismatch.confirmed_at.0,
    };
    document.extend(mismatch.ended.map(ended_fields).unwrap_or_default());
    document
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Mismatch, Fault> {
    let ended =
        |e: Fields<'_>| Ok::<_, Fault>((e.time("at")?, e.word("remedy", Remedy::from_name)?));
    Ok(Mismatch {
        id: fields.id("_id", MismatchId)?,
        payout: fields.id("payout", PayoutId)?,
        node: fields.id("node", NodeId)?,
        amount: fields.money("amount")?,
        kind: fields.word("kind", MismatchKind::from_name)?,
        evidence: fields.text("evidence")?,
        first_at: fields.time("first_at")?,
        confirmed_at: fields.time("confirmed_at")?,
        ended: fields.document_or_none("ended")?.map(ended).transpose()?,
    })
}

#[async_trait]
impl MismatchStore for MongoStore {
    async fn add_mismatch(
        &self,
        mismatch: Mismatch,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        Ok(self.insert_audited(MISMATCHES, document(&mismatch), &[audit]).await?)
    }
    async fn mismatch(&self, mismatch: MismatchId) -> Result<Option<Mismatch>, StoreError> {
        let found = self
            .collection(MISMATCHES)
            .find_one(doc! { "_id": id(mismatch.0) })
            .await
            .map_err(Fault::from)?;
        Ok(found.map(|found| read(Fields::of(&found))).transpose()?)
    }
    async fn mismatches(
        &self,
        open_only: bool,
        request: PageRequest<()>,
    ) -> Result<Page<Mismatch>, StoreError> {
        let filter = if open_only {
            doc! { "ended": { "$exists": false } }
        } else {
            doc! {}
        };
        Ok(page(&self.collection(MISMATCHES), filter, &["_id"], &request, read).await?)
    }
    async fn end_mismatch(
        &self,
        mismatch: MismatchId,
        at: TimeMs,
        remedy: Remedy,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let open = doc! { "_id": id(mismatch.0), "ended": { "$exists": false } };
        Ok(self
            .update_audited(MISMATCHES, open, doc! { "$set": ended_fields((at, remedy)) }, &[audit])
            .await?)
    }
}
