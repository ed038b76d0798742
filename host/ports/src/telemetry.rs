use async_trait::async_trait;
use lucid_model::{
    id::{Digest, NodeId, SessionId},
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup, Sample, UsageSummary},
        observation::Observation,
    },
    time::TimeMs,
};

use crate::StoreError;

/// A report as it is stored: one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub node: NodeId,
    /// When it arrived.
    pub arrived_at: TimeMs,
    /// Its place in the node's sequence with the digest of its body; none for a report that was not
    /// signed.
    pub sequence: Option<(u64, Digest)>,
    /// What was measured; none in a heartbeat.
    pub samples: Vec<Sample>,
    /// The stretch of presence that it witnesses: extends the stored one that starts at the same
    /// instant.
    pub presence: Option<Interval>,
    /// Observation sessions: a known session of the same node grows, never shrinks; one that was
    /// voided stays as it is.
    pub sessions: Vec<Observation>,
}

/// What became of one session of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionOutcome {
    /// Stored or grown.
    Stored,
    /// The session is another node's.
    OfAnotherNode,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportOutcome {
    /// It is durable; one outcome a session.
    Stored(Vec<SessionOutcome>),
    /// The same report was stored before.
    Repeated,
    /// The node already used this number for something else, or a higher one.
    SequenceTaken {
        /// The highest number stored.
        highest: u64,
    },
}

/// What changes with every report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveState {
    /// When the last report arrived.
    pub last_seen: TimeMs,
    /// The newest sample.
    pub sample: Option<Sample>,
}

/// What was seen of a node in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeObserved {
    pub node: NodeId,
    /// Sessions that overlap it, whatever their verdict.
    pub sessions: Vec<Observation>,
    /// Presence that overlaps it.
    pub presence: Vec<Interval>,
    /// Samples in it.
    pub usage: UsageSummary,
}

/// How a step through the nodes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// Parts of the work that were done.
    pub done: u64,
    /// The last node that was looked at; none: there are no more.
    pub next: Option<NodeId>,
}

/// From when on what was measured is kept, by the nodes' clock; whole days, the day of each instant
/// included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesKept {
    /// Samples.
    pub samples_from: TimeMs,
    /// Rollups of five minutes.
    pub five_minutes_from: TimeMs,
    /// Rollups of an hour.
    pub hours_from: TimeMs,
}

/// Reports, presence and observation sessions.
#[async_trait]
pub trait TelemetryStore: Send + Sync {
    /// Stores a report: all of it or nothing.
    async fn store_report(&self, report: Report) -> Result<ReportOutcome, StoreError>;
    /// What is newest of each node, in the order asked.
    async fn live_states(&self, nodes: &[NodeId]) -> Result<Vec<Option<LiveState>>, StoreError>;
    /// The stretch of a node's presence that ends last, unless it is long over: then perhaps none.
    async fn last_presence(&self, node: NodeId) -> Result<Option<Interval>, StoreError>;
    /// What was seen of each node, in the order asked: of a few, or of many that follow each other
    /// in the fleet.
    async fn observed(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<Vec<NodeObserved>, StoreError>;
    /// Sessions that no policy has judged yet and that overlap the range, by session id.
    async fn unverified(&self, range: Interval, limit: u32)
    -> Result<Vec<Observation>, StoreError>;
    /// One session.
    async fn session(&self, id: SessionId) -> Result<Option<Observation>, StoreError>;
    /// Replaces the verdicts of these sessions.
    async fn set_verdicts(&self, sessions: Vec<Observation>) -> Result<(), StoreError>;
}

/// Samples over time, and their rollups.
#[async_trait]
pub trait SeriesStore: Send + Sync {
    /// Samples of one node in `[from, to)` by its own clock, the newest `limit` of them, oldest
    /// first.
    async fn samples(
        &self,
        node: NodeId,
        range: Interval,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError>;
    /// Rollups of one node whose intervals begin in `[from, to)`, by its own clock, in the order of
    /// time. Samples that are in no stored rollup yet are in them.
    async fn series(
        &self,
        node: NodeId,
        range: Interval,
        resolution: Resolution,
    ) -> Result<Vec<Rollup>, StoreError>;
    /// Samples of one node, summed up over `[from, to)` by the nodes' own clock; beyond six hours
    /// the ends of the range are cut at five minutes.
    async fn usage(&self, node: NodeId, range: Interval) -> Result<UsageSummary, StoreError>;
    /// Samples of the given owner's nodes (or of all), summed up, and sessions open in their newest
    /// samples.
    async fn fleet_usage(
        &self,
        nodes: Option<&[NodeId]>,
        range: Interval,
    ) -> Result<(UsageSummary, u64), StoreError>;
    /// Rolls up and packs what is not yet, of up to `limit` nodes after this one and of hours that
    /// ended by `before`. May end at any moment: what was not done is found again.
    async fn roll_up(
        &self,
        after: Option<NodeId>,
        before: TimeMs,
        limit: u32,
    ) -> Result<Walked, StoreError>;
    /// Rolls up once more what is packed, of up to `limit` nodes after this one: for rollups that
    /// were lost. A rollup that is there is replaced only by one of at least as many samples.
    async fn roll_up_again(&self, after: Option<NodeId>, limit: u32) -> Result<Walked, StoreError>;
    /// Forgets what is not kept any more, of up to `limit` nodes after this one; nothing that is
    /// not rolled up yet.
    async fn forget_series(
        &self,
        after: Option<NodeId>,
        kept: SeriesKept,
        limit: u32,
    ) -> Result<Walked, StoreError>;
}
