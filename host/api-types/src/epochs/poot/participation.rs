//! Who voted in an epoch.

use lucid_model::{
    consensus::VoteTally,
    epochs::{epoch::EpochRecord, score::Ppm},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{number::ExactNumber, schema};

/// Who could vote in an epoch, and what became of the votes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ParticipationBody {
    /// Start of the epoch, Unix seconds.
    pub epoch: i64,
    /// When the epoch was closed.
    #[schema(value_type = schema::Timestamp)]
    pub closed_at: String,
    /// Nodes that were eligible; 1 or 0 if it is about one node.
    pub eligible: u64,
    /// Votes that the chain has accepted.
    pub accepted: u64,
    /// Votes that the chain refused.
    pub rejected: u64,
    /// Votes that were not sent in time.
    pub expired: u64,
    /// Abstentions that were not sent, because the chain takes none.
    #[serde(default)]
    pub abstained: u64,
    /// Votes that wait, or that the chain has not decided.
    pub pending: u64,
    /// Accepted votes of those who were eligible, 0–1, rounded down; absent if nobody was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Ratio>)]
    pub participation: Option<ExactNumber>,
}

impl ParticipationBody {
    /// Of one epoch.
    pub fn new(record: &EpochRecord, eligible: u64, votes: VoteTally) -> Self {
        let share = |accepted: u64| ExactNumber::ratio(Ppm::ratio_floor(accepted, eligible));
        Self {
            epoch: record.epoch.start_s,
            closed_at: record.closed_at.to_string(),
            eligible,
            accepted: votes.accepted,
            rejected: votes.rejected,
            expired: votes.expired,
            abstained: votes.abstained,
            pending: votes.pending,
            participation: (eligible > 0).then(|| share(votes.accepted)),
        }
    }
}
