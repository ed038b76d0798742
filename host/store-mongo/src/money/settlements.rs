//! Settled periods: one document each, by its start. Its insert says that the period's accruals are
//! booked.
//!
//! How a period is shared is written in pieces under a name of their own, then claimed by one
//! document per period, which decides between two. The claim stays when the pieces go: who comes
//! late finds that the period is not shared again.

use async_trait::async_trait;
use lucid_model::money::settlement::{Distribution, SettlementRecord};
use lucid_ports::{SettlementStore, StoreError};
use lucid_store::packing;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes},
    index::Index,
    once,
    page::collect,
};

pub(crate) const SETTLEMENTS: &str = "settlements";
pub(crate) const DISTRIBUTIONS: &str = "distributions";
pub(crate) const PIECES: &str = "distribution_pieces";
/// Bytes of a distribution in one document.
const PIECE_BYTES_MAX: usize = 8 << 20;

pub(crate) const INDICES: &[Index] = &[Index {
    collection: PIECES,
    name: "distribution_pieces_staged",
    keys: &[("staged", 1), ("idx", 1)],
    unique: true,
    partial: None,
    why: "one piece a place of a distribution",
}];

pub(crate) fn document(record: &SettlementRecord) -> Document {
    doc! {
        "_id": record.period.start_s,
        "v": 1,
        "length_s": record.period.length.seconds(),
        "accruals": record.count,
        "sum": record.sum.0,
        "budget": record.budget.0,
        "remainder": record.remainder.0,
        "note": record.note.as_deref(),
    }
}

pub(crate) fn read(fields: Fields<'_>) -> Result<SettlementRecord, Fault> {
    Ok(SettlementRecord {
        period: fields.period("_id", "length_s")?,
        count: fields.number("accruals")?,
        sum: fields.money("sum")?,
        budget: fields.money("budget")?,
        remainder: fields.money("remainder")?,
        note: fields.text_or_none("note")?,
    })
}

impl MongoStore {
    /// The newest settlement that the filter lets through.
    async fn newest_settlement(&self, filter: Document) -> Result<Option<SettlementRecord>, Fault> {
        let found = self.collection(SETTLEMENTS).find_one(filter).sort(doc! { "_id": -1 }).await?;
        found.map(|found| read(Fields::of(&found))).transpose()
    }

    async fn put_distribution(&self, distribution: &Distribution) -> Result<(), Fault> {
        let start_s = distribution.period.start_s;
        let claims = self.collection(DISTRIBUTIONS);
        let settled = self.newest_settlement(doc! { "_id": start_s }).await?.is_some();
        if settled || claims.find_one(doc! { "_id": start_s }).await?.is_some() {
            return Ok(());
        }
        let staged = ObjectId::new();
        for (index, piece) in
            (0_i64..).zip(packing::pack_distribution(distribution)?.chunks(PIECE_BYTES_MAX))
        {
            let piece = doc! { "_id": format!("{staged}/{index}"), "v": 1, "staged": staged, "idx": index, "packed": bytes(piece) };
            once::insert_each(&self.collection(PIECES), &[piece]).await?;
        }
        if !once::insert(&claims, doc! { "_id": start_s, "v": 1, "staged": staged, "open": true })
            .await?
        {
            self.collection(PIECES).delete_many(doc! { "staged": staged }).await?;
        }
        Ok(())
    }

    /// The newest distribution whose claim the filter lets through; none if its pieces are gone.
    pub(crate) async fn newest_distribution(
        &self,
        filter: Document,
    ) -> Result<Option<Distribution>, Fault> {
        let Some(claim) =
            self.collection(DISTRIBUTIONS).find_one(filter).sort(doc! { "_id": -1 }).await?
        else {
            return Ok(None);
        };
        let pieces = self
            .collection(PIECES)
            .find(doc! { "staged": name(&claim)? })
            .sort(doc! { "idx": 1 })
            .await?;
        let pieces = collect(pieces, |fields| fields.bytes("packed")).await?;
        if pieces.is_empty() {
            return Ok(None);
        }
        Ok(Some(packing::unpack_distribution(&pieces.concat())?))
    }

    /// Nothing is to be booked any more of what was kept.
    async fn forget_distribution(&self, period_start_s: i64) -> Result<(), Fault> {
        let claims = self.collection(DISTRIBUTIONS);
        let Some(claim) = claims.find_one(doc! { "_id": period_start_s, "open": true }).await?
        else {
            return Ok(());
        };
        claims
            .update_one(doc! { "_id": period_start_s }, doc! { "$set": { "open": false } })
            .await?;
        self.collection(PIECES).delete_many(doc! { "staged": name(&claim)? }).await?;
        Ok(())
    }
}

/// The name that a claim gave its pieces.
fn name(claim: &Document) -> Result<ObjectId, Fault> {
    claim
        .get("staged")
        .and_then(Bson::as_object_id)
        .ok_or_else(|| Fault::Bad("a distribution has no pieces' name".to_owned()))
}

#[async_trait]
impl SettlementStore for MongoStore {
    async fn settlement(
        &self,
        period_start_s: i64,
    ) -> Result<Option<SettlementRecord>, StoreError> {
        Ok(self.newest_settlement(doc! { "_id": period_start_s }).await?)
    }
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError> {
        Ok(self.newest_settlement(doc! {}).await?)
    }
    async fn keep_distribution(&self, distribution: Distribution) -> Result<(), StoreError> {
        Ok(self.put_distribution(&distribution).await?)
    }
    async fn distribution(&self, period_start_s: i64) -> Result<Option<Distribution>, StoreError> {
        Ok(self.newest_distribution(doc! { "_id": period_start_s, "open": true }).await?)
    }
    async fn record_settlement(&self, record: SettlementRecord) -> Result<bool, StoreError> {
        let recorded = once::insert(&self.collection(SETTLEMENTS), document(&record)).await?;
        self.forget_distribution(record.period.start_s).await?;
        Ok(recorded)
    }
}
