//! The ports of the second half, until it is merged: delete this file and its line in `mongo.rs` then.

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    credit::Interval,
    epoch::{EpochRecord, Period},
    frame::FrameChunk,
    id::{NodeId, PayoutId, RunId},
    ledger::{Account, Entry, Head, Stream},
    metric::{Sample, UsageSummary},
    money::MicroUsdt,
    observation::Observation,
    payout::{Payout, Run},
    receipt::{OnDemandReceipt, ScoredChunk},
    score::ScoreCenti,
    settlement::SettlementRecord,
    time::TimeMs,
    vote::{BlockRef, Vote},
};
use lucid_ports::*;

use super::MongoStore;

fn missing<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { detail: "this build has only the first half of the MongoDB backend".to_owned() })
}

#[async_trait]
impl TelemetryStore for MongoStore {
    async fn store_report(&self, _: Report) -> Result<ReportOutcome, StoreError> {
        missing()
    }
    async fn live_states(&self, _: &[NodeId]) -> Result<Vec<Option<LiveState>>, StoreError> {
        missing()
    }
    async fn samples(&self, _: NodeId, _: Interval, _: u32) -> Result<Vec<Sample>, StoreError> {
        missing()
    }
    async fn usage(&self, _: NodeId, _: Interval) -> Result<UsageSummary, StoreError> {
        missing()
    }
    async fn fleet_usage(&self, _: Option<&[NodeId]>, _: Interval) -> Result<(UsageSummary, u64), StoreError> {
        missing()
    }
    async fn observed(&self, _: &[NodeId], _: Interval) -> Result<Vec<NodeObserved>, StoreError> {
        missing()
    }
    async fn unverified(&self, _: Interval, _: u32) -> Result<Vec<Observation>, StoreError> {
        missing()
    }
    async fn set_verdicts(&self, _: Vec<Observation>) -> Result<(), StoreError> {
        missing()
    }
}

#[async_trait]
impl EpochStore for MongoStore {
    async fn write_frame(&self, _: Period, _: Vec<FrameChunk>) -> Result<Vec<FrameChunk>, StoreError> {
        missing()
    }
    async fn commit_epoch(&self, _: EpochRecord, _: Vec<ScoredChunk>, _: Vec<Vote>) -> Result<bool, StoreError> {
        missing()
    }
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError> {
        missing()
    }
    async fn pin_block(&self, _: i64, _: BlockRef) -> Result<(), StoreError> {
        missing()
    }
    async fn frame(&self, _: i64) -> Result<Vec<FrameChunk>, StoreError> {
        missing()
    }
    async fn scored(&self, _: i64) -> Result<Vec<ScoredChunk>, StoreError> {
        missing()
    }
    async fn scores(&self, _: &ScoreFilter, _: PageRequest<ScoreSort>) -> Result<Page<ScoreView>, StoreError> {
        missing()
    }
    async fn score(&self, _: i64, _: NodeId) -> Result<Option<ScoreView>, StoreError> {
        missing()
    }
    async fn scores_computed_at(&self, _: NodeId, _: TimeMs) -> Result<Vec<ScoreCenti>, StoreError> {
        missing()
    }
    async fn observed_seconds(&self, _: i64, _: i64) -> Result<Vec<(NodeId, u64)>, StoreError> {
        missing()
    }
    async fn totals(&self, _: i64, _: i64) -> Result<Vec<NodeTotals>, StoreError> {
        missing()
    }
    async fn add_on_demand(&self, _: OnDemandReceipt) -> Result<(), StoreError> {
        missing()
    }
    async fn due_votes(&self, _: TimeMs, _: u32) -> Result<Vec<Vote>, StoreError> {
        missing()
    }
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError> {
        missing()
    }
    async fn update_votes(&self, _: Vec<Vote>) -> Result<(), StoreError> {
        missing()
    }
    async fn epochs(&self, _: EpochFilter, _: PageRequest<()>) -> Result<Page<EpochRecord>, StoreError> {
        missing()
    }
    async fn votes(&self, _: &VoteFilter, _: PageRequest<()>) -> Result<Page<Vote>, StoreError> {
        missing()
    }
}

#[async_trait]
impl LedgerStore for MongoStore {
    async fn head(&self, _: Stream) -> Result<Head, StoreError> {
        missing()
    }
    async fn book(&self, _: Vec<Entry>) -> Result<Vec<Booked>, StoreError> {
        missing()
    }
    async fn book_audited(&self, _: Entry, _: AuditEntry) -> Result<Booked, StoreError> {
        missing()
    }
    async fn entry(&self, _: &str) -> Result<Option<Entry>, StoreError> {
        missing()
    }
    async fn entries(&self, _: Stream, _: u64, _: u32) -> Result<Vec<Entry>, StoreError> {
        missing()
    }
    async fn streams(&self) -> Result<Vec<Stream>, StoreError> {
        missing()
    }
    async fn account_total(&self, _: Account) -> Result<MicroUsdt, StoreError> {
        missing()
    }
    async fn heads_available(&self, _: MicroUsdt) -> Result<Vec<(NodeId, Head)>, StoreError> {
        missing()
    }
}

#[async_trait]
impl SettlementStore for MongoStore {
    async fn settlement(&self, _: i64) -> Result<Option<SettlementRecord>, StoreError> {
        missing()
    }
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError> {
        missing()
    }
    async fn record_settlement(&self, _: SettlementRecord) -> Result<bool, StoreError> {
        missing()
    }
}

#[async_trait]
impl PayoutStore for MongoStore {
    async fn create_run(&self, _: Run, _: AuditEntry) -> Result<bool, StoreError> {
        missing()
    }
    async fn run(&self, _: RunId) -> Result<Option<Run>, StoreError> {
        missing()
    }
    async fn update_run(&self, _: Run, _: AuditEntry) -> Result<bool, StoreError> {
        missing()
    }
    async fn open_runs(&self) -> Result<Vec<Run>, StoreError> {
        missing()
    }
    async fn create_payout(&self, _: Payout, _: AuditEntry) -> Result<bool, StoreError> {
        missing()
    }
    async fn payout(&self, _: PayoutId) -> Result<Option<Payout>, StoreError> {
        missing()
    }
    async fn open_payouts(&self, _: u32) -> Result<Vec<Payout>, StoreError> {
        missing()
    }
    async fn payouts(&self, _: &PayoutFilter, _: PageRequest<PayoutSort>) -> Result<Page<Payout>, StoreError> {
        missing()
    }
    async fn attempts(&self, _: NodeId, _: i64) -> Result<u32, StoreError> {
        missing()
    }
    async fn update_payouts(&self, _: Vec<(Payout, Option<AuditEntry>)>) -> Result<Vec<bool>, StoreError> {
        missing()
    }
}
