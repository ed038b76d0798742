//! Settled periods: one document each, by its start. Its insert says that the period's accruals are booked.

use async_trait::async_trait;
use lucid_model::settlement::SettlementRecord;
use lucid_ports::{SettlementStore, StoreError};
use mongodb::bson::{Document, doc};

use super::{MongoStore, fault::Fault, fields::Fields, once};

pub(crate) const SETTLEMENTS: &str = "settlements";

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
}

#[async_trait]
impl SettlementStore for MongoStore {
    async fn settlement(&self, period_start_s: i64) -> Result<Option<SettlementRecord>, StoreError> {
        Ok(self.newest_settlement(doc! { "_id": period_start_s }).await?)
    }
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError> {
        Ok(self.newest_settlement(doc! {}).await?)
    }
    async fn record_settlement(&self, record: SettlementRecord) -> Result<bool, StoreError> {
        Ok(once::insert(&self.collection(SETTLEMENTS), document(&record)).await?)
    }
}
