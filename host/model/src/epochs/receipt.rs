//! Receipts: what lets anyone recompute a score. A chunk's header and its rows are hashed into an
//! RFC 9162 tree; leaves are recomputed, never stored.

use crate::{
    canonical::Canonical,
    epochs::{
        epoch::Period,
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    id::{Digest, NodeId, OnDemandId, PoolScope},
    money::merkle,
    policies::PolicyRef,
    time::TimeMs,
};

/// What all rows of a chunk share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Epoch.
    pub period: Period,
    /// Pool.
    pub pool: PoolScope,
    /// Place among the epoch's chunks.
    pub index: u32,
    /// Rows.
    pub rows: u32,
    /// Digest of the frame chunk they were computed from.
    pub frame: Digest,
    pub policy: PolicyRef,
    /// Digest of its resolved params.
    pub params: Digest,
    /// The interface it was called through.
    pub abi: String,
    /// Version of the host's arithmetic.
    pub rules: u32,
}

/// What came out for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRow {
    pub node: NodeId,
    /// Credited seconds in the epoch.
    pub observed_s: u32,
    /// Credited seconds in the eligibility window.
    pub window_observed_s: u32,
    /// May earn and vote.
    pub eligible: bool,
    /// The policy's multiplier; 0 if held.
    pub multiplier: Ppm,
    /// Unclamped.
    pub raw: RawCenti,
    /// As shown.
    pub score: ScoreCenti,
    /// Sessions that counted.
    pub sessions: u32,
    /// What the multiplier is made of, as the policy explains it. Shown beside the result, not
    /// hashed: it is recomputed by `explain`.
    pub factors: Factors,
    /// The policy's reason, or why the node is held. Not hashed.
    pub reason: Option<String>,
    /// The policy failed for this node alone: it has no score this epoch.
    pub held: bool,
}

impl ScoreRow {
    /// Why nothing of the epoch was credited to it, if nothing was: what its node has to do.
    pub fn why_nothing(&self) -> Option<&'static str> {
        match (self.held || self.observed_s > 0, self.sessions) {
            (true, _) => None,
            (false, 0) => Some(
                "no observation session counted in this epoch, and metrics alone earn nothing: report sessions to POST /api/v1/nodes/{id}/observations",
            ),
            (false, _) => Some(
                "no session fell into time in which the service witnessed the node: send signed reports at least every 90 s while a session lasts",
            ),
        }
    }

    /// The canonical bytes: what is hashed of a row.
    pub fn canonical(&self) -> Vec<u8> {
        Canonical::default()
            .fixed(self.node.0.as_bytes())
            .u32(self.observed_s)
            .u32(self.window_observed_s)
            .u8(u8::from(self.eligible))
            .u8(u8::from(self.held))
            .u32(self.multiplier.0)
            .u32(self.raw.0)
            .u32(self.score.0)
            .u32(self.sessions)
            .finish()
    }
    /// The leaf of the receipt's tree.
    pub fn leaf(&self) -> Digest {
        merkle::leaf(&self.canonical())
    }
}

/// A scored chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredChunk {
    /// What the rows share.
    pub header: ChunkHeader,
    /// In the order of the frame.
    pub rows: Vec<ScoreRow>,
}

impl ScoredChunk {
    /// Root of the chunk: the header's leaf first, then the rows'.
    pub fn root(&self) -> Digest {
        merkle::root(&self.leaves())
    }

    /// The leaves of the chunk's tree.
    pub fn leaves(&self) -> Vec<Digest> {
        std::iter::once(self.header.leaf()).chain(self.rows.iter().map(ScoreRow::leaf)).collect()
    }
}

impl ChunkHeader {
    /// The first leaf of a chunk's tree.
    pub fn leaf(&self) -> Digest {
        let header = self;
        merkle::leaf(
            &Canonical::tagged("lucid/v1/chunk")
                .i64(header.period.start_s)
                .u32(header.period.length.seconds())
                .fixed(&header.pool.bytes())
                .u32(header.index)
                .u32(header.rows)
                .fixed(&header.frame.0)
                .text(&header.policy.name)
                .text(&header.policy.version.to_string())
                .fixed(&header.policy.digest.0)
                .fixed(&header.params.0)
                .text(&header.abi)
                .u32(header.rules)
                .finish(),
        )
    }
}

/// Root of an epoch: the tree over its chunks' roots.
pub fn epoch_root(chunks: &[ScoredChunk]) -> Digest {
    merkle::root(&chunks.iter().map(ScoredChunk::root).collect::<Vec<_>>())
}

/// The receipt of a score computed on demand: it never earns, votes or changes the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDemandReceipt {
    pub id: OnDemandId,
    pub node: NodeId,
    pub calculated_at: TimeMs,
    /// Over how many seconds.
    pub period_s: u32,
    /// Observations handed in.
    pub observations: u32,
    /// Seconds they cover.
    pub observed_s: u32,
    /// The result.
    pub score: ScoreCenti,
    /// Unclamped.
    pub raw: RawCenti,
    /// The policy's multiplier.
    pub multiplier: Ppm,
    /// What it is made of.
    pub factors: Factors,
    pub policy: PolicyRef,
    /// Digest of its params.
    pub params: Digest,
    /// Version of the host's arithmetic.
    pub rules: u32,
    /// Digest of the facts it was computed from.
    pub facts: Digest,
}

#[cfg(test)]
pub(crate) fn example(frame: &crate::epochs::frame::FrameChunk) -> ScoredChunk {
    let row = |node: &NodeId| ScoreRow {
        node: *node,
        observed_s: 1800,
        window_observed_s: 3600,
        eligible: true,
        multiplier: Ppm(900_000),
        raw: RawCenti(6750),
        score: ScoreCenti(6750),
        sessions: 1,
        factors: Factors::default(),
        reason: None,
        held: false,
    };
    ScoredChunk {
        header: ChunkHeader {
            period: frame.period,
            pool: frame.pool,
            index: 0,
            rows: 2,
            frame: frame.digest(),
            params: Digest::default(),
            rules: 1,
            policy: PolicyRef {
                name: "p".into(),
                version: semver::Version::new(1, 0, 0),
                digest: Digest::default(),
            },
            abi: "lucid:policy/scoring@1.0.0".into(),
        },
        rows: frame.nodes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epochs::facts::Fact;

    fn chunk() -> ScoredChunk {
        example(&crate::epochs::frame::example(2))
    }

    #[test]
    fn a_receipt_has_the_root_of_the_committed_vector() {
        for (last, root) in [
            (
                Fact::EpochsScored,
                "a06bdb097d2e12a1d02ebcce79005e83087398162596ef402a18683b718f8091",
            ),
            (
                Fact::StreakEpochs,
                "7d79ba2113c7804a615b2730ebf733bd083d5cef0b68535ea4123588197e5deb",
            ),
            (Fact::ActiveS, "91dc60c517efae91d00aa894f399d2660b026bb3133213223324aab22707aa22"),
        ] {
            let chunk = example(&crate::epochs::frame::example_up_to(last, 2));
            assert_eq!(epoch_root(&[chunk]).to_string(), root, "{last:?}");
        }
    }

    #[test]
    fn every_hashed_field_changes_the_root() {
        let root = chunk().root();
        let mut other = chunk();
        other.rows[1].score = ScoreCenti(6751);
        assert_ne!(other.root(), root);
        let mut other = chunk();
        other.header.params = Digest::of(b"x");
        assert_ne!(other.root(), root);
        let mut other = chunk();
        other.rows.swap(0, 1);
        assert_ne!(other.root(), root);
    }
}
