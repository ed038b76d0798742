use async_trait::async_trait;
use lucid_model::{
    id::PayoutId,
    money::{
        ledger::{Entry, Stream},
        payout::Payout,
        settlement::SettlementRecord,
    },
};

use crate::StoreError;

/// Reads everything that money is written in, one after the other: for whoever verifies or exports
/// it.
#[async_trait]
pub trait Books: Send + Sync {
    /// Ledger entries by stream and place, after this one. Streams are in the order of their names.
    async fn ledger_after(
        &self,
        after: Option<(Stream, u64)>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;
    /// Settled periods by start, after this one.
    async fn settlements_after(
        &self,
        start_s: Option<i64>,
        limit: u32,
    ) -> Result<Vec<SettlementRecord>, StoreError>;
    /// Payouts by id, after this one.
    async fn payouts_after(
        &self,
        after: Option<PayoutId>,
        limit: u32,
    ) -> Result<Vec<Payout>, StoreError>;
}
