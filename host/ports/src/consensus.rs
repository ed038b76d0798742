use async_trait::async_trait;
use lucid_model::consensus::{BlockRef, Vote, VoteChoice};

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
