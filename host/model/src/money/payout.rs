//! A payout, from the moment its money is reserved to the entry that closes it.
//!
//! The machine itself is [`step`]: pure, total, and the only code that changes a payout's state.

mod breaker;
mod control;
mod machine;
mod mismatch;
mod pace;
mod receipt;

use crate::{
    epochs::score::ScoreCenti,
    id::{NodeId, PayoutId, RunId, UserId},
    money::{MicroUsdt, tron::TronAddress},
    named_enum::named_enum,
    time::TimeMs,
};
pub use breaker::{Breaker, Permit, Tried};
pub use control::{
    About, Correction, Decision, Freeze, Outcome, PaymentsSwitch, Proposal, Reconciliation,
    Resolution,
};
pub use machine::{
    Answer, Capabilities, Closing, Effect, Event, Reply, Reported, WrongPayoutState, step,
};
pub use mismatch::{Mismatch, MismatchKind, Remedy};
pub use pace::{Deadlines, Pace, Rules};
pub use receipt::{Receipt, run_statement};

named_enum! {
    /// Exactly where a payout is.
    PayoutState {
        /// Its money is set aside; nothing was sent.
        Reserved = "reserved",
        /// A request is on disk and may be on its way.
        Submitting = "submitting",
        /// Something was sent and nobody knows what became of it.
        Unknown = "unknown",
        /// The rail has it.
        Accepted = "accepted",
        /// There is proof that it was paid.
        Confirmed = "confirmed",
        /// There is proof that it was not and will not be paid.
        Failed = "failed",
        /// Taken back before anything was sent.
        Cancelled = "cancelled",
        /// A treasurer has to look.
        Manual = "manual",
    }
}

impl PayoutState {
    /// The contract's coarser status.
    pub fn status(self) -> PayoutStatus {
        match self {
            Self::Reserved => PayoutStatus::Pending,
            Self::Submitting | Self::Unknown | Self::Accepted | Self::Manual => {
                PayoutStatus::Processing
            }
            Self::Confirmed => PayoutStatus::Completed,
            Self::Failed => PayoutStatus::Failed,
            Self::Cancelled => PayoutStatus::Cancelled,
        }
    }
    /// Whether only the closing entry is missing, if that.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Failed | Self::Cancelled)
    }
}

named_enum! {
    /// The contract's status of a payout.
    PayoutStatus {
        /// Not yet sent.
        Pending = "pending",
        /// On its way.
        Processing = "processing",
        /// Paid.
        Completed = "completed",
        /// Not paid.
        Failed = "failed",
        /// Taken back.
        Cancelled = "cancelled",
    }
}

/// One attempt to pay one node in one cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// Derived, and the rail's idempotency key for life.
    pub id: PayoutId,
    /// The run that planned it.
    pub run: RunId,
    /// The payee.
    pub node: NodeId,
    /// The payee's owner.
    pub owner: UserId,
    /// Start of the settlement period in which it was planned, Unix seconds.
    pub cycle: i64,
    /// Counts tries of the same node and cycle; a new one exists only after the last was released.
    pub attempt: u32,
    pub amount: MicroUsdt,
    /// Where to; pinned by the plan.
    pub address: TronAddress,
    /// The wallet's version at the plan.
    pub wallet_version: u32,
    /// Where it is.
    pub state: PayoutState,
    /// Times a request was put on disk to be sent.
    pub sends: u32,
    /// An answer was ambiguous: sticky, no later refusal clears it.
    pub ambiguous: bool,
    /// The request's bytes, fixed at the first send.
    pub request: Option<Vec<u8>>,
    /// The rail's id of it.
    pub external_id: Option<String>,
    /// The transaction, once seen.
    pub txid: Option<String>,
    /// Why it is where it is, for a person.
    pub reason: Option<String>,
    /// Planned.
    pub created_at: TimeMs,
    pub updated_at: TimeMs,
    /// First send; deadlines count from here.
    pub submitted_at: Option<TimeMs>,
    /// When it became final.
    pub processed_at: Option<TimeMs>,
    /// Neither looked up nor sent before.
    pub next_attempt_at: TimeMs,
    /// Not sent again before.
    pub next_send_at: TimeMs,
    /// Time since the first send in which the process was down, so that nobody looked, in
    /// milliseconds: no deadline counts it.
    pub blind_ms: i64,
    /// What the rail says of it, once it waits for a person.
    pub found: Option<Found>,
    /// Whether the closing entry is booked.
    pub closed: bool,
    /// The node's score at the plan.
    pub score: Option<ScoreCenti>,
    /// Credited seconds it pays for.
    pub observed_s: u64,
    /// First second it pays for.
    pub period_start_s: i64,
    /// First second after.
    pub period_end_s: i64,
    /// The planning of its run that it belongs to.
    pub plan: u64,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

/// What the rail says of a payout that waits for a person: offered as the resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What became of it.
    pub outcome: Outcome,
    /// When the rail first said so.
    pub at: TimeMs,
}

/// Payouts that are not over, in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenPart {
    pub state: PayoutState,
    pub count: u64,
    pub total: MicroUsdt,
    /// When the oldest was planned.
    pub oldest: TimeMs,
}
