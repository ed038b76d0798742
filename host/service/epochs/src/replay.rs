//! Computing scores again: from the stored frame, by the version that the receipt names, and what
//! came out before is compared with what comes out now. Nothing but the frame is read, so that
//! anyone who has it can do the same.

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::{
        epoch::EpochRecord,
        facts::Fact,
        frame::FrameChunk,
        receipt::{ChunkHeader, ScoreRow, ScoredChunk},
    },
    id::{Digest, NodeId},
    money::merkle,
};
use lucid_ports::{CallError, EpochFilter, Order, PageRequest, ScoreView, ScoringPolicy};

use super::rows::{explain_one, score_again};
use crate::{Epochs, receipts::Known};

/// Differences that are named; the rest is counted.
pub const DIFFERENCES_NAMED_MAX: usize = 100;
/// Activations that are looked through for params.
pub(crate) const ACTIVATIONS_MAX: u32 = 10_000;

/// Something that is not as the receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Of which node; none if it is about a chunk or the epoch.
    pub node: Option<NodeId>,
    /// In which chunk; none if it is about the epoch.
    pub chunk: Option<u32>,
    /// Which field.
    pub field: &'static str,
    /// As it is stored.
    pub stored: String,
    /// As it was computed.
    pub computed: String,
}

/// What came out of computing again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// Chunks that were computed.
    pub chunks: u32,
    /// Rows that were computed.
    pub rows: u64,
    /// The first differences.
    pub differences: Vec<Difference>,
    pub differences_total: u64,
}

impl Replay {
    /// Whether everything is as it was.
    pub fn is_same(&self) -> bool {
        self.differences_total == 0
    }

    /// Adds another part.
    pub fn add(&mut self, part: Self) {
        self.chunks += part.chunks;
        self.rows += part.rows;
        self.differences_total += part.differences_total;
        let room = DIFFERENCES_NAMED_MAX.saturating_sub(self.differences.len());
        self.differences.extend(part.differences.into_iter().take(room));
    }

    /// Compares what is stored with what was computed.
    pub fn compare(
        &mut self,
        node: Option<NodeId>,
        chunk: Option<u32>,
        field: &'static str,
        stored: impl ToString,
        computed: impl ToString,
    ) {
        let (stored, computed) = (stored.to_string(), computed.to_string());
        if stored != computed {
            self.differences_total += 1;
            if self.differences.len() < DIFFERENCES_NAMED_MAX {
                self.differences.push(Difference { node, chunk, field, stored, computed });
            }
        }
    }
}

/// Computes a chunk again and compares everything that is hashed.
///
/// # Errors
/// [`CallError`] if the policy cannot be asked: that says nothing about the receipt.
pub async fn replay_chunk(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    stored: &ScoredChunk,
) -> Result<Replay, CallError> {
    Ok(replay_with_root(policy, frame, stored).await?.0)
}

/// The same, with the stored chunk's root.
async fn replay_with_root(
    policy: &dyn ScoringPolicy,
    frame: &FrameChunk,
    stored: &ScoredChunk,
) -> Result<(Replay, Digest), CallError> {
    let again = score_again(policy, frame).await?;
    let mut replay = Replay { chunks: 1, rows: again.rows.len() as u64, ..Replay::default() };
    // Almost always nothing differs: then what both are is hashed once.
    let alike = |(one, other): (&ScoreRow, &ScoreRow)| {
        one.node == other.node && FIELDS.iter().all(|(_, of)| of(one) == of(other))
    };
    if stored.header == again.header
        && stored.rows.len() == again.rows.len()
        && stored.rows.iter().zip(&again.rows).all(alike)
    {
        return Ok((replay, again.root()));
    }
    compare_headers(&mut replay, &stored.header, &again.header);
    let index = Some(stored.header.index);
    replay.compare(None, index, "rows", stored.rows.len(), again.rows.len());
    stored
        .rows
        .iter()
        .zip(&again.rows)
        .for_each(|(stored, again)| compare_rows(&mut replay, index, stored, again));
    Ok((replay, stored.root()))
}

fn compare_headers(replay: &mut Replay, stored: &ChunkHeader, again: &ChunkHeader) {
    let index = Some(stored.index);
    replay.compare(None, index, "epoch", stored.period.start_s, again.period.start_s);
    replay.compare(None, index, "pool", stored.pool, again.pool);
    replay.compare(None, index, "index", stored.index, again.index);
    replay.compare(None, index, "frame", stored.frame, again.frame);
    replay.compare(None, index, "policy", stored.policy.digest, again.policy.digest);
    replay.compare(None, index, "params", stored.params, again.params);
    replay.compare(None, index, "rules", stored.rules, again.rules);
    replay.compare(None, index, "policy_name", &stored.policy, &again.policy);
    replay.compare(None, index, "abi", &stored.abi, &again.abi);
    replay.compare(
        None,
        index,
        "period_s",
        stored.period.length.seconds(),
        again.period.length.seconds(),
    );
    replay.compare(None, index, "row_count", stored.rows, again.rows);
}

/// A field of a row by its name.
type Field = (&'static str, fn(&ScoreRow) -> u32);

/// What is hashed of a row, beside its node.
const FIELDS: [Field; 8] = [
    ("observed_s", |row| row.observed_s),
    ("window_observed_s", |row| row.window_observed_s),
    ("eligible", |row| u32::from(row.eligible)),
    ("held", |row| u32::from(row.held)),
    ("multiplier", |row| row.multiplier.0),
    ("raw", |row| row.raw.0),
    ("score", |row| row.score.0),
    ("sessions", |row| row.sessions),
];

fn compare_rows(replay: &mut Replay, index: Option<u32>, stored: &ScoreRow, again: &ScoreRow) {
    let node = Some(stored.node);
    replay.compare(node, index, "node", stored.node, again.node);
    for (field, of) in FIELDS {
        replay.compare(node, index, field, of(stored), of(again));
    }
}

/// One score, computed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreReplay {
    /// What is stored.
    pub view: ScoreView,
    /// What differs in the node's chunk.
    pub replay: Replay,
    /// Place of the node's leaf in its chunk's tree; the header's is 0.
    pub leaf: usize,
    /// From the node's leaf to the chunk's root.
    pub chunk_proof: Vec<Digest>,
    /// The chunk's root.
    pub chunk_root: Digest,
    /// From the chunk's root to the epoch's.
    pub epoch_proof: Vec<Digest>,
    pub record: EpochRecord,
}

/// Why a node has its score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What is stored.
    pub view: ScoreView,
    /// What the policy was told: name, unit, value.
    pub facts: Vec<(&'static str, &'static str, i64)>,
    /// What the multiplier is made of, millionths.
    pub contributions: Vec<(String, u32)>,
    /// The host's own multiplier, millionths.
    pub score_multiplier_ppm: u32,
    /// The same in words.
    pub words: Vec<String>,
}

impl Epochs {
    /// Computes an epoch again: each chunk from its frame, the roots up to the epoch's, and the
    /// link to the epoch before.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no such epoch, or a version cannot be loaded any more.
    pub async fn replay_epoch(&self, epoch_start_s: i64) -> Result<Replay, ServiceError> {
        let record = self.epoch(epoch_start_s).await?;
        let known = Known::default();
        let (mut replay, mut roots) = (Replay::default(), Vec::new());
        let parts = self.parts.frames.frame_parts(epoch_start_s).await?.unwrap_or_default();
        // While a guest computes one chunk the next ones are read. Boxed: see `score_frame`.
        let chunks: Vec<_> = (0..)
            .zip(&parts)
            .map(|(index, _)| self.chunk_replayed(epoch_start_s, index, &known).boxed())
            .collect();
        let mut chunks = stream::iter(chunks).buffered(self.config.chunks_at_once.max(1));
        while let Some((part, root)) = chunks.try_next().await? {
            replay.add(part);
            roots.push(root);
        }
        replay.compare(None, None, "root", record.root, merkle::root(&roots));
        replay.compare(None, None, "nodes", record.nodes, replay.rows);
        if let Some(before) = self.epoch_before(epoch_start_s).await? {
            replay.compare(None, None, "previous_link", record.previous_link, before.link());
        }
        Ok(replay)
    }

    /// What differs in a chunk, and its stored root.
    async fn chunk_replayed(
        &self,
        epoch_start_s: i64,
        index: u32,
        known: &Known,
    ) -> Result<(Replay, Digest), ServiceError> {
        let (frame, stored) = self.receipt_of(epoch_start_s, index).await?;
        let policy = self.policy_of(&stored.header, known).await?;
        Ok(replay_with_root(policy.as_ref(), &frame, &stored).await?)
    }

    async fn epoch_before(&self, epoch_start_s: i64) -> Result<Option<EpochRecord>, ServiceError> {
        let filter = EpochFilter { from_s: None, to_s: Some(epoch_start_s) };
        let newest = PageRequest { page: 1, limit: 1, sort: (), order: Order::Descending };
        Ok(self.parts.epoch_records.epochs(filter, newest).await?.items.pop())
    }

    /// Computes one score again, and proves that it is in its epoch.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, it is another's, or its version cannot be loaded any
    /// more.
    pub async fn replay_score(
        &self,
        actor: &Actor,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<ScoreReplay, ServiceError> {
        let view = self.score(actor, epoch_start_s, node).await?;
        let record = self.epoch(epoch_start_s).await?;
        let (frame, stored) = self.receipt_of(epoch_start_s, view.header.index).await?;
        let policy = self.policy_of(&stored.header, &Known::default()).await?;
        let mut replay = replay_chunk(policy.as_ref(), &frame, &stored).await?;
        let mut roots = Vec::new();
        for index in 0.. {
            let Some(chunk) = self.parts.epoch_records.scored_chunk(epoch_start_s, index).await?
            else {
                break;
            };
            roots.push(chunk.root());
        }
        replay.compare(None, None, "root", record.root, merkle::root(&roots));
        let leaves = stored.leaves();
        let leaf = stored.rows.iter().position(|row| row.node == node).map_or(0, |place| place + 1);
        let index = usize::try_from(view.header.index).unwrap_or(usize::MAX);
        Ok(ScoreReplay {
            view,
            replay,
            leaf,
            chunk_proof: merkle::proof(&leaves, leaf),
            chunk_root: merkle::root(&leaves),
            epoch_proof: merkle::proof(&roots, index),
            record,
        })
    }

    /// Says why a node has its score.
    ///
    /// # Errors
    /// Like [`Epochs::replay_score`].
    pub async fn explain_score(
        &self,
        actor: &Actor,
        epoch_start_s: i64,
        node: NodeId,
    ) -> Result<Explained, ServiceError> {
        let view = self.score(actor, epoch_start_s, node).await?;
        let (frame, stored) = self.receipt_of(epoch_start_s, view.header.index).await?;
        let policy = self.policy_of(&stored.header, &Known::default()).await?;
        let place =
            frame.nodes.iter().position(|other| *other == node).ok_or(ServiceError::no("score"))?;
        let facts: Vec<_> = policy
            .identity()
            .facts
            .iter()
            .map(|fact| (fact.info().name, fact.info().unit, frame.fact(place, *fact)))
            .collect();
        let contributions = explain_one(policy.as_ref(), &frame, place).await?;
        let words = words(&view, &frame, place, &contributions);
        Ok(Explained {
            view,
            facts,
            contributions,
            score_multiplier_ppm: frame.score_multiplier.0,
            words,
        })
    }
}

fn words(
    view: &ScoreView,
    frame: &FrameChunk,
    place: usize,
    contributions: &[(String, u32)],
) -> Vec<String> {
    let (row, header) = (&view.row, &view.header);
    let hundredths = |value: u32| format!("{}.{:02}", value / 100, value % 100);
    let millionths = |value: u32| format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
    let mut words = vec![format!(
        "{} of {} seconds of the epoch were credited, from {} sessions within {} seconds of presence.",
        row.observed_s,
        header.period.length.seconds(),
        row.sessions,
        frame.fact(place, Fact::PresenceS),
    )];
    words.extend(row.why_nothing().map(|why| format!("Nothing was credited: {why}.")));
    if row.held {
        words.push(format!(
            "{} failed for this node alone, so that it has no score: {}.",
            header.policy.name,
            row.reason.clone().unwrap_or_default()
        ));
        return words;
    }
    words.push(format!(
        "{} {} gave it a multiplier of {}.",
        header.policy.name,
        header.policy.version,
        millionths(row.multiplier.0)
    ));
    for (name, value) in contributions {
        words.push(format!("{name} is {} of it.", millionths(*value)));
    }
    words.push(format!(
        "100 x {} / {} x {} x {} is {}, rounded once to hundredths.",
        row.observed_s,
        header.period.length.seconds(),
        millionths(frame.score_multiplier.0),
        millionths(row.multiplier.0),
        hundredths(row.raw.0),
    ));
    if row.raw.0 > row.score.0 {
        words.push(format!("A score is at most 100: it is {}.", hundredths(row.score.0)));
    }
    let eligible = if row.eligible {
        "enough to earn and to vote"
    } else {
        "not enough to earn or to vote, or the node was suspended"
    };
    words.push(format!(
        "{} seconds were credited within the window of eligibility: {eligible}.",
        row.window_observed_s
    ));
    if let Some(reason) = &row.reason {
        words.push(format!("The policy says: {reason}."));
    }
    words
}
