use async_trait::async_trait;
use lucid_model::{
    consensus::{BlockRef, Vote},
    epochs::{
        epoch::{EpochRecord, Period},
        frame::FrameChunk,
        receipt::{ChunkHeader, OnDemandReceipt, ScoreRow, ScoredChunk},
        score::ScoreCenti,
    },
    id::{Digest, NodeId, PoolId, PoolScope, UserId},
    time::TimeMs,
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

/// The chunks of a frame, made one after the other while they are stored.
pub type FrameChunks = Box<dyn Iterator<Item = FrameChunk> + Send>;

/// What a frame's chunk is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePart {
    /// Of which pool.
    pub pool: PoolScope,
    /// How many nodes.
    pub nodes: u32,
}

/// Names one attempt at closing one epoch; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt {
    name: [u8; 12],
    is_shared: bool,
}

impl Attempt {
    /// Other replicas may store chunks of one that is shared.
    pub fn new(name: [u8; 12], is_shared: bool) -> Self {
        Self { is_shared, ..Self::from_bytes(name) }
    }

    /// As stores keep it: the last bit says whether it is shared.
    pub const fn from_bytes(bytes: [u8; 12]) -> Self {
        let mut name = bytes;
        name[11] &= !1;
        Self { name, is_shared: bytes[11] & 1 == 1 }
    }

    /// As stores keep it.
    pub const fn bytes(self) -> [u8; 12] {
        let mut bytes = self.name;
        bytes[11] |= self.is_shared as u8;
        bytes
    }

    /// Whether other replicas may store chunks of it.
    pub fn is_shared(self) -> bool {
        self.is_shared
    }
}

/// A scored chunk that is stored, and not yet counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedChunk {
    /// What its rows share.
    pub header: ChunkHeader,
    pub root: Digest,
    /// Rows that are eligible.
    pub eligible: u32,
    /// Rows that are held.
    pub held: u32,
}

impl StagedChunk {
    /// What is remembered of a chunk.
    pub fn of(chunk: &ScoredChunk) -> Self {
        let count = |of: fn(&ScoreRow) -> bool| {
            u32::try_from(chunk.rows.iter().filter(|row| of(row)).count()).unwrap_or(u32::MAX)
        };
        Self {
            header: chunk.header.clone(),
            root: chunk.root(),
            eligible: count(|row| row.eligible),
            held: count(|row| row.held),
        }
    }
}

/// What an attempt has stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Which attempt.
    pub attempt: Attempt,
    /// In the order of the frame; some may be missing.
    pub chunks: Vec<StagedChunk>,
}

/// Epochs that are being closed, and those that are.
#[async_trait]
pub trait EpochStore: Send + Sync {
    /// What the newest attempt at an epoch that is not closed has stored; none if none has stored
    /// anything.
    async fn staged(&self, epoch_start_s: i64) -> Result<Option<Staged>, StoreError>;
    /// Keeps scored chunks of one pool under the name of an attempt, for
    /// [`EpochStore::close_staged`]. One that is there stays as it is; once somebody closes the
    /// epoch nothing is added.
    async fn stage_chunks(
        &self,
        period: Period,
        attempt: Attempt,
        chunks: Vec<ScoredChunk>,
    ) -> Result<(), StoreError>;
    /// Closes an epoch with what an attempt stored, which must have the record's root: record,
    /// scores, each node's `score` and credited seconds, in parts of bounded size, exactly once.
    /// Answers like [`EpochStore::commit_epoch`]; whoever calls it again goes on where the last
    /// call ended. Its votes are made by [`EpochStore::make_votes`].
    async fn close_staged(
        &self,
        record: EpochRecord,
        attempt: Attempt,
    ) -> Result<Option<EpochRecord>, StoreError>;
    /// Closes an epoch whose scores are all at hand: record, scores and votes, each node's `score`
    /// and credited seconds; exactly once. Answers the record that counts to the one call that
    /// closed it: its own, or that of an attempt that ended before it was done, whose scores count
    /// then. `None`: it was closed already, nothing changed.
    async fn commit_epoch(
        &self,
        record: EpochRecord,
        chunks: Vec<ScoredChunk>,
        votes: Vec<Vote>,
    ) -> Result<Option<EpochRecord>, StoreError>;
    /// The last closed epoch.
    async fn last_epoch(&self) -> Result<Option<EpochRecord>, StoreError>;
    /// Closed epochs; sorted by start.
    async fn epochs(
        &self,
        filter: EpochFilter,
        page: PageRequest<()>,
    ) -> Result<Page<EpochRecord>, StoreError>;
    /// Names the block of an epoch, once: a second block changes nothing. Its votes get it too.
    async fn pin_block(&self, epoch_start_s: i64, block: BlockRef) -> Result<(), StoreError>;
    /// One scored chunk of a closed epoch.
    async fn scored_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<ScoredChunk>, StoreError>;
    /// The scored chunks of an epoch.
    async fn scored(&self, epoch_start_s: i64) -> Result<Vec<ScoredChunk>, StoreError>;
    /// Gives the nodes of a part of the oldest closed epoch that lacks it what they have of it:
    /// their own scores and lifetimes, their histories and the latest scores. Where a close does
    /// that itself there is never anything to do. `false`: nothing is left.
    async fn apply_scores(&self) -> Result<bool, StoreError>;
}

/// Scores, of epochs and on demand.
#[async_trait]
pub trait ScoreStore: Send + Sync {
    /// A page of scores.
    async fn scores(
        &self,
        filter: &ScoreFilter,
        page: PageRequest<ScoreSort>,
    ) -> Result<Page<ScoreView>, StoreError>;
    /// One score, by epoch and node.
    async fn score(
        &self,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<Option<ScoreView>, StoreError>;
    /// Scores of the node's receipts (epochs' and on demand) that were computed in the same second
    /// as `at`.
    async fn scores_computed_at(
        &self,
        node: NodeId,
        at: TimeMs,
    ) -> Result<Vec<ScoreCenti>, StoreError>;
    /// Credited seconds of each node in epochs that start in `[from_s, to_s)`; nodes without any
    /// are left out.
    async fn observed_seconds(
        &self,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<(NodeId, u64)>, StoreError>;
    /// What each node earned in epochs that start in `[from_s, to_s)`.
    async fn totals(&self, from_s: i64, to_s: i64) -> Result<Vec<NodeTotals>, StoreError>;
    /// Keeps the receipt of a score computed on demand.
    async fn add_on_demand(&self, receipt: OnDemandReceipt) -> Result<(), StoreError>;
    /// Removes up to `limit` receipts of scores that were computed on demand before an instant.
    async fn forget_on_demand(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError>;
}

/// What was known of each node when an epoch was scored.
#[async_trait]
pub trait FrameStore: Send + Sync {
    /// Writes an epoch's frame, as a whole and once: if the epoch has one, that one stays.
    async fn write_frame(&self, period: Period, chunks: FrameChunks) -> Result<(), StoreError>;
    /// What the epoch's frame is made of, in the order of its chunks; none if it has no frame.
    async fn frame_parts(&self, epoch_start_s: i64) -> Result<Option<Vec<FramePart>>, StoreError>;
    /// One chunk of an epoch's frame.
    async fn frame_chunk(
        &self,
        epoch_start_s: i64,
        index: u32,
    ) -> Result<Option<FrameChunk>, StoreError>;
    /// The stored frame of an epoch.
    async fn frame(&self, epoch_start_s: i64) -> Result<Vec<FrameChunk>, StoreError>;
}
