use async_trait::async_trait;
use lucid_model::{
    epoch::{EpochRecord, Period},
    frame::FrameChunk,
    id::{NodeId, PoolId, PoolScope, UserId},
    receipt::{ChunkHeader, OnDemandReceipt, ScoreRow, ScoredChunk},
    score::ScoreCenti,
    time::TimeMs,
    vote::{BlockRef, Vote, VoteState},
};

use crate::{Page, PageRequest, StoreError};

/// Which scores. With a node its history, else the latest of each node.
#[derive(Debug, Clone, Default)]
pub struct ScoreFilter {
    /// Of this node.
    pub node: Option<NodeId>,
    /// Of nodes that were in this pool.
    pub pool: Option<PoolId>,
    /// Of this owner's nodes.
    pub owner: Option<UserId>,
}

/// How scores are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreSort {
    /// By score.
    Score,
    /// By when it was computed.
    CalculatedAt,
    /// By node.
    NodeId,
}

/// A score with what its chunk says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreView {
    /// The row.
    pub row: ScoreRow,
    /// What it shares with its chunk.
    pub header: ChunkHeader,
    /// When the epoch was closed.
    pub calculated_at: TimeMs,
}

/// Which epochs.
#[derive(Debug, Clone, Copy, Default)]
pub struct EpochFilter {
    /// Starting at or after this second.
    pub from_s: Option<i64>,
    /// Starting before this second.
    pub to_s: Option<i64>,
}

/// What a node earned over a stretch of epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTotals {
    /// The node.
    pub node: NodeId,
    /// Its pool in the last of them.
    pub pool: PoolScope,
    /// Whether it was eligible in any of them.
    pub eligible: bool,
    /// Credited seconds, of the epochs in which it was eligible.
    pub observed_s: u64,
    /// Σ unclamped score (hundredths) × credited seconds, of the epochs in which it was eligible.
    pub score_seconds: u64,
    /// Σ unclamped scores, of the epochs in which it was eligible.
    pub raw_sum_centi: u64,
    /// Epochs it was scored in.
    pub epochs: u32,
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

/// Frames, scores, receipts and votes.
#[async_trait]
pub trait EpochStore: Send + Sync {
    /// Writes an epoch's frame once; answers the frame that is stored (an earlier one if there was one).
    async fn write_frame(&self, period: Period, chunks: Vec<FrameChunk>) -> Result<Vec<FrameChunk>, StoreError>;
    /// Closes an epoch: record, scores and votes, each node's `score` and credited seconds; exactly once. Answers the
    /// record that counts to the one call that closed it: its own, or that of an attempt that ended before it was done,
    /// whose scores count then. `None`: it was closed already, nothing changed.
    async fn commit_epoch(&self, record: EpochRecord, chunks: Vec<ScoredChunk>, votes: Vec<Vote>) -> Result<Option<EpochRecord>, StoreError>;
    /// The last closed epoch.
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError>;
    /// Closed epochs; sorted by start.
    async fn epochs(&self, filter: EpochFilter, page: PageRequest<()>) -> Result<Page<EpochRecord>, StoreError>;
    /// Names the block of an epoch, once: a second block changes nothing. Its votes get it too.
    async fn pin_block(&self, epoch_start_s: i64, block: BlockRef) -> Result<(), StoreError>;
    /// The stored frame of an epoch.
    async fn frame(&self, epoch_start_s: i64) -> Result<Vec<FrameChunk>, StoreError>;
    /// The scored chunks of an epoch.
    async fn scored(&self, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, StoreError>;
    /// A page of scores.
    async fn scores(&self, filter: &ScoreFilter, page: PageRequest<ScoreSort>) -> Result<Page<ScoreView>, StoreError>;
    /// One score, by epoch and node.
    async fn score(&self, epoch_start_s: i64, node: NodeId) -> Result<Option<ScoreView>, StoreError>;
    /// Scores of the node's receipts (epochs' and on demand) that were computed in the same second as `at`.
    async fn scores_computed_at(&self, node: NodeId, at: TimeMs) -> Result<Vec<ScoreCenti>, StoreError>;
    /// Credited seconds of each node in epochs that start in `[from_s, to_s)`; nodes without any are left out.
    async fn observed_seconds(&self, from_s: i64, to_s: i64) -> Result<Vec<(NodeId, u64)>, StoreError>;
    /// What each node earned in epochs that start in `[from_s, to_s)`.
    async fn totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, StoreError>;
    /// Keeps the receipt of a score computed on demand.
    async fn add_on_demand(&self, receipt: OnDemandReceipt) -> Result<(), StoreError>;
    /// Votes that wait, may be sent by now and have a block; oldest epoch first.
    async fn due_votes(&self, now: TimeMs, limit: u32) -> Result<Vec<Vote>, StoreError>;
    /// Epochs whose votes wait for a block.
    async fn epochs_without_block(&self) -> Result<Vec<i64>, StoreError>;
    /// Keeps what became of votes: state, answer, attempts.
    async fn update_votes(&self, votes: Vec<Vote>) -> Result<(), StoreError>;
    /// A page of votes, by epoch.
    async fn votes(&self, filter: &VoteFilter, page: PageRequest<()>) -> Result<Page<Vote>, StoreError>;
}
