//! Money, read from one end to the other; also of a database that services use.

use async_trait::async_trait;
use lucid_model::{
    id::PayoutId,
    money::{
        ledger::{Entry, Stream},
        payout::Payout,
        settlement::SettlementRecord,
    },
};
use lucid_ports::{Books, StoreError};
use mongodb::{
    Database,
    bson::{Document, doc},
};

use crate::{
    MongoStore, durable,
    fault::Fault,
    fields::{id, stored},
    money::{
        ledger::{self, LEDGER},
        payouts::{self, PAYOUTS},
        settlements::{self, SETTLEMENTS},
    },
    page::collect,
};

/// The books of a database.
pub(crate) struct BooksReader {
    database: Database,
}

impl BooksReader {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    async fn entries(&self, after: Option<(Stream, u64)>, limit: u32) -> Result<Vec<Entry>, Fault> {
        let ledger = durable(&self.database, LEDGER);
        let Some((stream, seq)) = after else { return self.of_streams(doc! {}, limit).await };
        // The rest of the stream, then the next ones: each is a walk along the index.
        let rest = doc! { "stream": stream.name(), "seq": { "$gt": stored(seq)? } };
        let mut found = collect(
            ledger.find(rest).sort(doc! { "seq": 1 }).limit(i64::from(limit)).await?,
            ledger::read,
        )
        .await?;
        let room = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if room > 0 {
            found.extend(self.of_streams(doc! { "stream": { "$gt": stream.name() } }, room).await?);
        }
        Ok(found)
    }

    async fn of_streams(&self, filter: Document, limit: u32) -> Result<Vec<Entry>, Fault> {
        let found = durable(&self.database, LEDGER)
            .find(filter)
            .sort(doc! { "stream": 1, "seq": 1 })
            .limit(i64::from(limit))
            .await?;
        collect(found, ledger::read).await
    }

    async fn settlements(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, Fault> {
        let filter =
            start_s.map_or_else(Document::new, |start_s| doc! { "_id": { "$gt": start_s } });
        let found = durable(&self.database, SETTLEMENTS)
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .await?;
        collect(found, settlements::read).await
    }

    async fn payouts(&self, after: Option<PayoutId>, limit: u32) -> Result<Vec<Payout>, Fault> {
        let filter =
            after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": id(after.0) } });
        let found = durable(&self.database, PAYOUTS)
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .await?;
        collect(found, payouts::read).await
    }
}

#[async_trait]
impl Books for BooksReader {
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.entries(after, limit).await?)
    }
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError> {
        Ok(self.settlements(start_s, limit).await?)
    }
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        Ok(self.payouts(after, limit).await?)
    }
}

#[async_trait]
impl Books for MongoStore {
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        BooksReader::new(self.database.clone()).ledger_after(after, limit).await
    }
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError> {
        BooksReader::new(self.database.clone()).settlements_after(start_s, limit).await
    }
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError> {
        BooksReader::new(self.database.clone()).payouts_after(after, limit).await
    }
}
