use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote, VoteChoice},
    fleet::node::PublicKey,
    money::payout::{Answer, Capabilities, Payout, Reply, Reported},
};

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

/// What pays.
#[async_trait]
pub trait PaymentRail: Send + Sync {
    /// The profile's name, as in the store's stamp.
    fn name(&self) -> &str;
    /// What it promises.
    fn capabilities(&self) -> Capabilities;
    /// The bytes to send for a payout: fixed at the first send.
    fn request(&self, payout: &Payout) -> Vec<u8>;
    /// Sends the bytes once. Every outcome is an [`Answer`]; in doubt it is ambiguous.
    async fn send(&self, payout: &Payout, request: &[u8]) -> Reply<Answer>;
    /// Asks what became of a payout.
    async fn look(&self, payout: &Payout) -> Reply<Reported>;
}

/// The service's own key.
pub trait Signer: Send + Sync {
    /// Its public half.
    fn public_key(&self) -> PublicKey;
    /// Signs a statement.
    fn sign(&self, statement: &[u8]) -> [u8; 64];
}
