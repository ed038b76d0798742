//! Frames: everything a calculation over one pool may depend on, fixed before it starts.
//!
//! A frame chunk holds every fact of at most [`CHUNK_NODES_MAX`] nodes of one pool, ordered by node
//! id, so that chunking follows from the data and never from cores or replicas. Scores are a pure
//! function of a frame, a policy and the rules; replay, shadow and simulation read nothing else.

use std::sync::Arc;

use crate::{
    canonical::{Canonical, CanonicalReader},
    epochs::{
        epoch::{Period, PeriodLength},
        facts::{Fact, FactRow},
        score::Ppm,
    },
    id::{Digest, NodeId, PoolScope},
    policies::{Batch, Revision},
};

/// Most nodes of one chunk.
pub const CHUNK_NODES_MAX: usize = 2_000;

/// One chunk of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameChunk {
    /// Of which epoch or settlement period.
    pub period: Period,
    /// Of which pool.
    pub pool: PoolScope,
    /// Place among the chunks of the period; pools in the order of their ids.
    pub index: u32,
    /// What was active.
    pub revision: Revision,
    /// Version of the host's arithmetic.
    pub rules: u32,
    /// `POOT_SCORE_MULTIPLIER`.
    pub score_multiplier: Ppm,
    /// The rows' nodes, ascending.
    pub nodes: Vec<NodeId>,
    /// A column each of the facts that the catalogue had when the frame was made: a fact that was
    /// added to it since, or is of a later host, changes no frame's digest.
    pub columns: Vec<FactColumn>,
}

/// One fact of all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactColumn {
    /// Name of the fact.
    pub name: String,
    /// Its sum over the whole pool, saturating.
    pub total: i64,
    /// A value a row; shared with the batches that are projected from it.
    pub values: Arc<[i64]>,
}

/// Bytes that are not a frame chunk, or one of a later format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a frame chunk: {problem}")]
pub struct NotAFrame {
    pub problem: &'static str,
}

const TAG: &str = "lucid/v1/frame";

/// What the chunks of one period share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Of which epoch or settlement period.
    pub period: Period,
    /// What was active.
    pub revision: Revision,
    /// `POOT_SCORE_MULTIPLIER`.
    pub score_multiplier: Ppm,
}

impl FrameHead {
    /// Cuts one pool's rows into chunks, the first of them `first_index`.
    pub fn chunks(
        self,
        pool: PoolScope,
        rows: Vec<(NodeId, FactRow)>,
        first_index: u32,
    ) -> Vec<FrameChunk> {
        self.each_chunk(pool, rows, first_index).collect()
    }

    /// The same, one chunk after the other: a pool of a million nodes is never there twice.
    pub fn each_chunk(
        self,
        pool: PoolScope,
        mut rows: Vec<(NodeId, FactRow)>,
        first_index: u32,
    ) -> impl Iterator<Item = FrameChunk> + Send + use<> {
        rows.sort_unstable_by_key(|(node, _)| *node);
        let total = |fact: &Fact| {
            rows.iter().fold(0_i64, |sum, (_, row)| sum.saturating_add(row.get(*fact)))
        };
        let totals: Vec<i64> = Fact::ALL.iter().map(total).collect();
        let count = rows.len().div_ceil(CHUNK_NODES_MAX);
        (first_index..).zip(0..count).map(move |(index, place)| {
            let from = place * CHUNK_NODES_MAX;
            let rows = rows.get(from..rows.len().min(from + CHUNK_NODES_MAX)).unwrap_or_default();
            let column = |(fact, total): (&Fact, &i64)| FactColumn {
                name: fact.info().name.to_owned(),
                total: *total,
                values: rows.iter().map(|(_, row)| row.get(*fact)).collect(),
            };
            FrameChunk {
                period: self.period,
                pool,
                index,
                revision: self.revision,
                rules: crate::epochs::score::RULES_VERSION,
                score_multiplier: self.score_multiplier,
                nodes: rows.iter().map(|(node, _)| *node).collect(),
                columns: Fact::ALL.iter().zip(&totals).map(column).collect(),
            }
        })
    }
}

impl FrameChunk {
    fn column(&self, fact: Fact) -> Option<&FactColumn> {
        let named = |column: &&FactColumn| column.name == fact.info().name;
        // Catalogues only grow at their end, so that its place is right but for frames of other
        // hosts.
        self.columns.get(fact as usize).filter(named).or_else(|| self.columns.iter().find(named))
    }

    /// The columns a policy asked for, and their totals. A fact that the frame does not have has
    /// its default in every row, and a total of 0: how many rows the pool has is not said here.
    pub fn project(&self, facts: &[Fact]) -> (Batch, Vec<i64>) {
        let values = |fact: &Fact| {
            self.column(*fact).map_or_else(
                || std::iter::repeat_n(fact.info().default, self.nodes.len()).collect(),
                |column| Arc::clone(&column.values),
            )
        };
        let batch = Batch {
            count: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
            columns: facts.iter().map(values).collect(),
        };
        (
            batch,
            facts.iter().map(|fact| self.column(*fact).map_or(0, |column| column.total)).collect(),
        )
    }

    /// A fact of a row.
    pub fn fact(&self, row: usize, fact: Fact) -> i64 {
        self.column(fact)
            .and_then(|column| column.values.get(row))
            .copied()
            .unwrap_or(fact.info().default)
    }

    /// The canonical bytes, which name every fact, so that later catalogues can still read them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Canonical::tagged(TAG)
            .i64(self.period.start_s)
            .u32(self.period.length.seconds())
            .fixed(&self.pool.bytes())
            .u32(self.index)
            .u64(self.revision.0)
            .u32(self.rules)
            .u32(self.score_multiplier.0)
            .u32(u32::try_from(self.columns.len()).unwrap_or(u32::MAX))
            .u32(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        for node in &self.nodes {
            bytes = bytes.fixed(node.0.as_bytes());
        }
        for column in &self.columns {
            bytes = bytes.text(&column.name).i64(column.total);
            for value in column.values.iter() {
                bytes = bytes.i64(*value);
            }
        }
        bytes.finish()
    }

    /// Reads [`FrameChunk::to_bytes`] back.
    ///
    /// # Errors
    /// [`NotAFrame`] for anything that is truncated, of another tag or inconsistent.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAFrame> {
        let truncated = || NotAFrame { problem: "truncated" };
        let rest = bytes
            .strip_prefix(TAG.as_bytes())
            .and_then(|b| b.strip_prefix(&[0]))
            .ok_or(NotAFrame { problem: "wrong tag" })?;
        let mut reader = CanonicalReader(rest);
        let start_s = reader.i64().ok_or_else(truncated)?;
        let length = PeriodLength::new(reader.u32().ok_or_else(truncated)?)
            .map_err(|_| NotAFrame { problem: "bad period length" })?;
        let pool = reader.fixed::<16>().map(uuid::Uuid::from_bytes).ok_or_else(truncated)?;
        let index = reader.u32().ok_or_else(truncated)?;
        let revision = Revision(reader.u64().ok_or_else(truncated)?);
        let rules = reader.u32().ok_or_else(truncated)?;
        let score_multiplier = Ppm(reader.u32().ok_or_else(truncated)?);
        let (facts, count) =
            (reader.u32().ok_or_else(truncated)?, reader.u32().ok_or_else(truncated)?);
        let count = usize::try_from(count)
            .ok()
            .filter(|c| *c <= CHUNK_NODES_MAX)
            .ok_or(NotAFrame { problem: "too many nodes" })?;
        let nodes = (0..count)
            .map(|_| reader.fixed::<16>().map(|b| NodeId(uuid::Uuid::from_bytes(b))))
            .collect::<Option<Vec<_>>>();
        let mut columns = Vec::new();
        for _ in 0..facts {
            let name = reader.text().ok_or_else(truncated)?.to_owned();
            let total = reader.i64().ok_or_else(truncated)?;
            let values = (0..count)
                .map(|_| reader.i64())
                .collect::<Option<Arc<[i64]>>>()
                .ok_or_else(truncated)?;
            columns.push(FactColumn { name, total, values });
        }
        Ok(Self {
            period: Period { start_s, length },
            pool: if pool.is_nil() {
                PoolScope::Unassigned
            } else {
                PoolScope::Pool(crate::id::PoolId(pool))
            },
            index,
            revision,
            rules,
            score_multiplier,
            nodes: nodes.ok_or_else(truncated)?,
            columns,
        })
    }

    /// Digest of the canonical bytes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

#[cfg(test)]
pub(crate) fn example(nodes: u128) -> FrameChunk {
    let rows = (1..=nodes)
        .map(|i| {
            let mut row = FactRow::default();
            row.set(Fact::ObservedS, i64::try_from(i).unwrap() * 10);
            (NodeId(uuid::Uuid::from_u128(i)), row)
        })
        .collect();
    let period =
        PeriodLength::new(3600).unwrap().period_at(crate::time::TimeMs::from_unix_s(1_760_000_400));
    let head = FrameHead { period, revision: Revision(3), score_multiplier: Ppm(1_500_000) };
    head.chunks(PoolScope::Unassigned, rows, 0).remove(0)
}

/// The same, made when the catalogue ended with `last`: what was computed from such frames has to
/// stay as it is for ever.
#[cfg(test)]
pub(crate) fn example_up_to(last: Fact, nodes: u128) -> FrameChunk {
    let mut frame = example(nodes);
    frame.columns.truncate(last as usize + 1);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_its_bytes_and_every_truncation_is_found() {
        let chunk = example(3);
        let bytes = chunk.to_bytes();
        assert_eq!(FrameChunk::from_bytes(&bytes), Ok(chunk));
        for length in 0..bytes.len() {
            assert!(FrameChunk::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_frame_has_the_digest_of_the_committed_vector() {
        // A frame names its facts: with a new one, new frames have another digest, and old ones
        // keep theirs.
        for (last, digest) in [
            (
                Fact::EpochsScored,
                "590a60541ec10e440c8ba6005cf1a59d0b2541d6cf7c09167ef3c3aa9ebf03ff",
            ),
            (
                Fact::StreakEpochs,
                "fa0bb9c4b29db9f6f1bfcbf72e844ceb36ea06298172af6113503e0e7da68f9f",
            ),
            (Fact::ActiveS, "6d88e9e08f9aeff834f8ec73d40509b6daf4a2d0d06f7b65daa2a4a44a2b0f47"),
        ] {
            assert_eq!(example_up_to(last, 3).digest().to_string(), digest, "{last:?}");
        }
    }

    #[test]
    fn a_frame_of_another_catalogue_keeps_its_digest_and_is_read_with_defaults() {
        let old = example_up_to(Fact::EpochsScored, 3);
        let mut other = old.clone();
        other
            .columns
            .insert(0, FactColumn { name: "luck".into(), total: 3, values: [1, 1, 1].into() });
        for frame in [old, other] {
            let read = FrameChunk::from_bytes(&frame.to_bytes()).unwrap();
            assert_eq!(read.digest(), frame.digest());
            let (batch, totals) = read.project(&[Fact::NodesSameWallet, Fact::ObservedS]);
            assert_eq!(
                (batch.columns, totals),
                (vec![Arc::from([1, 1, 1]), Arc::from([10, 20, 30])], vec![0, 60])
            );
            assert_eq!(
                (read.fact(2, Fact::NodesSameWallet), read.fact(2, Fact::ObservedS)),
                (1, 30)
            );
        }
    }

    #[test]
    fn chunks_follow_from_the_nodes_and_carry_the_pools_totals() {
        let rows: Vec<_> = (0..4_500_u128)
            .rev()
            .map(|i| {
                let mut row = FactRow::default();
                row.set(Fact::ObservedS, 2);
                (NodeId(uuid::Uuid::from_u128(i)), row)
            })
            .collect();
        let chunks = FrameHead {
            period: example(1).period,
            revision: Revision(1),
            score_multiplier: Ppm(1),
        }
        .chunks(PoolScope::Unassigned, rows, 7);
        assert_eq!(
            chunks.iter().map(|c| (c.index, c.nodes.len())).collect::<Vec<_>>(),
            [(7, 2000), (8, 2000), (9, 500)]
        );
        assert!(chunks.iter().all(|c| c.columns[Fact::ObservedS as usize].total == 9_000));
        assert!(chunks.windows(2).all(|w| w[0].nodes.last() < w[1].nodes.first()));
    }
}
