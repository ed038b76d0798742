use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice, VoteState, VoteTally},
    id::{NodeId, UserId},
    time::TimeMs,
};

use crate::{Page, PageRequest, StoreError};

/// Why the chain gave no usable answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the chain gave no usable answer: {detail}")]
pub struct ChainError {
    /// For the log.
    pub detail: String,
}

/// What the chain said to a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoteAnswer {
    /// It has it.
    Accepted {
        /// The chain's id of it.
        vote_id: String,
        /// The chain's word for its state.
        status: String,
    },
    /// It has it and has not decided: it is to be asked again.
    Undecided {
        /// The chain's id of it.
        vote_id: String,
        /// The chain's word for its state.
        status: String,
    },
    /// It refuses it for good.
    Rejected { reason: String },
    /// It refuses it because it has another vote of the node on this block.
    Contradicted {
        /// What it says.
        reason: String,
    },
}

/// The network's blockchain service.
#[async_trait]
pub trait Chain: Send + Sync {
    /// Whether the chain has such a vote. One that it does not have is never handed in.
    fn takes(&self, _choice: VoteChoice) -> bool {
        true
    }
    /// The newest block.
    async fn latest_block(&self) -> Result<BlockRef, ChainError>;
    /// Hands a vote in; the same vote again is the same vote.
    async fn vote(
        &self,
        vote: &Vote,
        block: &BlockRef,
        signature: [u8; 64],
    ) -> Result<VoteAnswer, ChainError>;
    /// What became of a vote that it has; `None`: it has none of this id.
    async fn look(&self, vote_id: &str) -> Result<Option<VoteAnswer>, ChainError>;
}

/// Which votes.
#[derive(Debug, Clone, Default)]
pub struct VoteFilter {
    /// Of this node.
    pub node: Option<NodeId>,
    /// In this state.
    pub state: Option<VoteState>,
    /// Of this owner's nodes.
    pub owner: Option<UserId>,
}

/// What a call made of the votes that were lacking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeVotes {
    /// Whether there was something to do, and may be more.
    pub worked: bool,
    /// Votes that say something else than one that is there already, which stays: nobody can have
    /// made both.
    pub contradicted: Vec<Vote>,
}

/// Votes that follow from scores.
#[async_trait]
pub trait VoteStore: Send + Sync {
    /// Makes the votes that follow from the scores of the oldest closed epoch that lacks some, of a
    /// part of bounded size; none of epochs that were closed before `closed_from`, which nobody
    /// would send any more.
    async fn make_votes(&self, closed_from: TimeMs) -> Result<MadeVotes, StoreError>;
    /// Votes that wait, may be sent or asked about by now and have a block, oldest epoch first:
    /// none of a node of which an earlier one waits that the chain does not have.
    async fn due_votes(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, StoreError>;
    /// Epochs whose votes wait for a block.
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError>;
    /// The block of the newest epoch that has one.
    async fn newest_block(&self) -> Result<Option<BlockRef>, StoreError>;
    /// Votes that wait and are of epochs that were closed before a moment are expired, so many at
    /// most. Answers how many.
    async fn expire_votes(&self, closed_before: TimeMs, limit: u32) -> Result<u64, StoreError>;
    /// What became of the votes of epochs that start in `[from_s, to_s)`: of all nodes, or of one.
    async fn tally_votes(
        &self,
        from_s: i64,
        to_s: i64,
        node: Option<NodeId>,
    ) -> Result<Vec<(i64, VoteTally)>, StoreError>;
    /// Keeps what became of votes: state, answer, attempts.
    async fn update_votes(&self, votes: Vec<Vote>) -> Result<(), StoreError>;
    /// A page of votes, by epoch.
    async fn votes(
        &self,
        filter: &VoteFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Vote>, StoreError>;
}
