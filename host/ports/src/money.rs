pub(crate) mod books;
pub(crate) mod decisions;
pub(crate) mod rail;
pub(crate) mod runs;

use std::collections::BTreeMap;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{MismatchId, NodeId, PayoutId, RunId, UserId},
    money::{
        MicroUsdt,
        ledger::{Account, Entry, Head, Stream},
        payout::{Mismatch, OpenPart, Payout, PayoutState, PayoutStatus, Remedy},
        settlement::{Distribution, SettlementRecord},
    },
    telemetry::credit::Interval,
    time::TimeMs,
};

use crate::{Fence, Page, PageRequest, StoreError};

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// It is in the ledger now.
    Done,
    /// It already was: an entry with this id exists.
    Already,
    /// Another entry took this place in the stream: read the head again.
    SeqTaken,
}

/// The ledger: insert-only; unique are an entry's id and its (stream, seq).
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// The end of a stream; empty for one that has no entries.
    async fn head(&self, stream: Stream) -> Result<Head, StoreError>;
    /// Inserts entries, each by itself, durable before it answers; one outcome an entry.
    async fn book(&self, entries: Vec<Entry>) -> Result<Vec<Booked>, StoreError>;
    /// Inserts an entry that somebody answers for, and its audit entry with it; if it is not
    /// `Done`, neither.
    async fn book_audited(&self, entry: Entry, audit: AuditEntry) -> Result<Booked, StoreError>;
    /// The entry of an id.
    async fn entry(&self, id: &str) -> Result<Option<Entry>, StoreError>;
    /// A stream's entries from `after_seq` on, in order.
    async fn entries(
        &self,
        stream: Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError>;
    /// All streams that have entries.
    async fn streams(&self) -> Result<Vec<Stream>, StoreError>;
    /// The sum of all legs on an account.
    async fn account_total(&self, account: Account) -> Result<MicroUsdt, StoreError>;
    /// What nodes may be paid of their accruals in a period: what came to `available`.
    async fn accrued(&self, period_start_s: i64)
    -> Result<BTreeMap<NodeId, MicroUsdt>, StoreError>;
    /// The heads of all nodes' streams with something available, by node.
    async fn heads_available(&self, at_least: MicroUsdt)
    -> Result<Vec<(NodeId, Head)>, StoreError>;
}

/// Settled periods.
#[async_trait]
pub trait SettlementStore: Send + Sync {
    /// The record of a period.
    async fn settlement(&self, period_start_s: i64)
    -> Result<Option<SettlementRecord>, StoreError>;
    /// The last settled period.
    async fn last_settlement(&self) -> Result<Option<SettlementRecord>, StoreError>;
    /// Keeps how a period is shared; what was kept first stays, and of a settled period nothing is
    /// kept.
    async fn keep_distribution(&self, distribution: Distribution) -> Result<(), StoreError>;
    /// How a period that is not settled is shared, if that was kept.
    async fn distribution(&self, period_start_s: i64) -> Result<Option<Distribution>, StoreError>;
    /// Says that a period's accruals are booked; `false` if it was said before. How it was shared
    /// is in the ledger from then on, and goes here.
    async fn record_settlement(&self, record: SettlementRecord) -> Result<bool, StoreError>;
}

/// Which payouts.
#[derive(Debug, Clone, Default)]
pub struct PayoutFilter {
    /// To this node.
    pub node: Option<NodeId>,
    /// In this status.
    pub status: Option<PayoutStatus>,
    /// In exactly this state.
    pub state: Option<PayoutState>,
    /// To this owner's nodes.
    pub owner: Option<UserId>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Changed last at this moment or later.
    pub changed_from: Option<TimeMs>,
}

/// How payouts are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutSort {
    /// By plan.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By amount.
    Amount,
    /// By status.
    Status,
}

/// What became of a payout's change; except for the first nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutUpdate {
    /// It is durable.
    Done,
    /// Somebody else was first.
    Conflict,
    /// What it claims, a transaction or an id of the payment service, belongs to another payout.
    Taken,
    /// The store has seen a later payer: whoever asked pays no more.
    FencedOff {
        /// The greatest fence seen.
        by: Fence,
    },
}

/// Which payouts are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Those whose next attempt is not later than this.
    pub now: TimeMs,
    /// Runs whose payouts are not sent yet: their reserved ones are not due.
    pub waiting: Vec<RunId>,
    /// Whether requests may be sent: if not, none that would only be sent again is due.
    pub sends: bool,
    /// Whether the rail may be asked: if not, none that would only be looked up is due.
    pub looks: bool,
    /// The most payouts that are answered.
    pub limit: u32,
}

/// Payouts that the payment service contradicts.
#[async_trait]
pub trait MismatchStore: Send + Sync {
    /// Adds a mismatch; `false` if it is there.
    async fn add_mismatch(&self, mismatch: Mismatch, audit: AuditEntry)
    -> Result<bool, StoreError>;
    /// One mismatch.
    async fn mismatch(&self, id: MismatchId) -> Result<Option<Mismatch>, StoreError>;
    /// All, or those that nobody ended, by id.
    async fn mismatches(
        &self,
        open_only: bool,
        page: PageRequest<()>,
    ) -> Result<Page<Mismatch>, StoreError>;
    /// Ends a mismatch; `false` if it was ended before, or is not there.
    async fn end_mismatch(
        &self,
        id: MismatchId,
        at: TimeMs,
        remedy: Remedy,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
}

/// Payouts. Unique: a payout's id; (node, cycle, attempt); one open payout a node; (rail,
/// external id); transaction.
#[async_trait]
pub trait PayoutStore: Send + Sync {
    /// Adds payouts, each by itself; `false` of one that exists, or whose node has one that is open
    /// (not closed).
    async fn create_payouts(
        &self,
        payouts: Vec<(Payout, AuditEntry)>,
    ) -> Result<Vec<bool>, StoreError>;
    /// Adds one payout, likewise.
    async fn create_payout(&self, payout: Payout, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.create_payouts(vec![(payout, audit)]).await?.first() == Some(&true))
    }
    /// One payout.
    async fn payout(&self, id: PayoutId) -> Result<Option<Payout>, StoreError>;
    /// Says that the payer with this fence begins. Answers the greatest fence seen: its own, or
    /// that of a later payer. Once its own is answered no payer with a smaller one changes any
    /// payout.
    async fn begin_paying(&self, fence: Fence) -> Result<Fence, StoreError>;
    /// Replaces each payout whose version is still `payout.version - 1`, unless the store has seen
    /// a greater fence than the payer's, both decided with the write; durable before it answers,
    /// one outcome a payout. An audit entry comes with each that changed in more than when it is
    /// tried again.
    async fn update_payouts(
        &self,
        fence: Fence,
        payouts: Vec<(Payout, Option<AuditEntry>)>,
    ) -> Result<Vec<PayoutUpdate>, StoreError>;
    /// Payouts that are not closed; what is due longest comes first.
    async fn open_payouts(&self, limit: u32) -> Result<Vec<Payout>, StoreError>;
    /// The outbox: those of them that something may be done about now; what is due longest comes
    /// first.
    async fn due_payouts(&self, due: Due) -> Result<Vec<Payout>, StoreError>;
    /// The payout of a transaction.
    async fn payout_of_transaction(&self, txid: &str) -> Result<Option<Payout>, StoreError>;
    /// Payouts that are not closed, in sum, by state.
    async fn open_parts(&self) -> Result<Vec<OpenPart>, StoreError>;
    /// A page of payouts.
    async fn payouts(
        &self,
        filter: &PayoutFilter,
        page: PageRequest<PayoutSort>,
    ) -> Result<Page<Payout>, StoreError>;
    /// Payouts to these nodes that were completed in `[from, to)`: to whom, when, how much.
    async fn payments(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<(NodeId, TimeMs, MicroUsdt)>, StoreError>;
}
