//! Votes on blocks with a node's score.

use crate::{
    canonical::Canonical,
    epochs::{epoch::EpochRecord, receipt::ScoreRow, score::ScoreCenti},
    id::{Digest, NodeId},
    named_enum::named_enum,
    time::TimeMs,
};

/// The block an epoch's votes refer to, as the chain names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    /// The chain's id of it.
    pub id: String,
    /// The chain's hash of it.
    pub hash: String,
}

named_enum! {
    /// What a vote says.
    VoteChoice {
        /// For the block.
        Approve = "approve",
        /// Neither.
        Abstain = "abstain",
        /// Against it.
        Reject = "reject",
    }
}

named_enum! {
    /// What became of a vote.
    VoteState {
        /// The chain does not have it, or has it and has not decided.
        Pending = "pending",
        /// The chain has it.
        Accepted = "accepted",
        /// The chain refused it.
        Rejected = "rejected",
        /// Too old to be sent.
        Expired = "expired",
        /// An abstention at a chain that takes none: who does not vote abstains.
        Abstained = "abstained",
    }
}

/// How many votes became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VoteTally {
    /// The chain does not have them, or has not decided.
    pub pending: u64,
    /// The chain has them.
    pub accepted: u64,
    /// The chain refused them.
    pub rejected: u64,
    /// They were too old.
    pub expired: u64,
    /// Abstentions at a chain that takes none.
    pub abstained: u64,
}

impl VoteTally {
    /// Counts some votes of a state.
    pub fn add(&mut self, state: VoteState, count: u64) {
        let counted = match state {
            VoteState::Pending => &mut self.pending,
            VoteState::Accepted => &mut self.accepted,
            VoteState::Rejected => &mut self.rejected,
            VoteState::Expired => &mut self.expired,
            VoteState::Abstained => &mut self.abstained,
        };
        *counted = counted.saturating_add(count);
    }
}

/// The vote of one eligible node in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    pub node: NodeId,
    /// Start of the epoch, Unix seconds.
    pub epoch_start_s: i64,
    /// The node's score in it.
    pub score: ScoreCenti,
    /// On which block; none until the epoch's block is pinned.
    pub block: Option<BlockRef>,
    /// What it says.
    pub choice: VoteChoice,
    /// When the epoch was closed.
    pub timestamp: TimeMs,
    /// Root of the epoch's receipts.
    pub merkle_root: Digest,
    /// What became of it.
    pub state: VoteState,
    /// The chain's id of it.
    pub vote_id: Option<String>,
    /// The chain's last answer, for a person.
    pub answer: Option<String>,
    /// Times it was sent.
    pub attempts: u32,
    /// Not to be sent before.
    pub next_attempt_at: TimeMs,
}

impl Vote {
    /// Whether two votes of a node in an epoch say the same, whatever became of them.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |vote: &Self| {
            (
                vote.node,
                vote.epoch_start_s,
                vote.score,
                vote.choice,
                vote.timestamp,
                vote.merkle_root,
            )
        };
        said(self) == said(other)
    }

    /// The vote that follows from a score of an epoch; none of a node that is not eligible or is
    /// held.
    pub fn of_score(record: &EpochRecord, row: &ScoreRow) -> Option<Self> {
        (row.eligible && !row.held).then(|| Self {
            node: row.node,
            epoch_start_s: record.epoch.start_s,
            score: row.score,
            block: record.block.clone(),
            choice: if row.score.0 > 0 { VoteChoice::Approve } else { VoteChoice::Abstain },
            timestamp: record.closed_at,
            merkle_root: record.root,
            state: VoteState::Pending,
            vote_id: None,
            answer: None,
            attempts: 0,
            next_attempt_at: record.closed_at,
        })
    }

    /// What the service signs.
    pub fn statement(&self, block: &BlockRef) -> Vec<u8> {
        Canonical::tagged("lucid/v1/vote")
            .fixed(self.node.0.as_bytes())
            .i64(self.epoch_start_s)
            .u32(self.score.0)
            .text(&block.id)
            .text(&block.hash)
            .text(self.choice.name())
            .i64(self.timestamp.0)
            .fixed(&self.merkle_root.0)
            .finish()
    }
}
