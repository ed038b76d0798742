//! Scores that are computed again, proven and explained.

use lucid_model::id::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ScoreBody;
use crate::schema;

/// What came out of computing again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayBody {
    /// Everything that is hashed is as it was.
    pub same: bool,
    /// Chunks that were computed.
    pub chunks: u32,
    /// Rows that were computed.
    pub rows: u64,
    /// All differences.
    pub differences_total: u64,
    /// The first hundred of them.
    pub differences: Vec<DifferenceBody>,
}

/// Something that is not as the receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DifferenceBody {
    /// Of which node; absent if it is about a chunk or the epoch.
    #[schema(value_type = Option<schema::Id>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// In which chunk; absent if it is about the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u32>,
    /// Which field.
    pub field: String,
    /// As it is stored.
    pub stored: String,
    /// As it was computed.
    pub computed: String,
}

/// A score that was computed again, with the proof that it is in its epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScoreReplayBody {
    /// The score as it is stored.
    pub score: ScoreBody,
    /// What differs in its chunk.
    pub replay: ReplayBody,
    /// From the score to the epoch's record.
    pub proof: ProofBody,
}

/// A path of an RFC 9162 tree, from the score's leaf through its chunk's root to its epoch's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofBody {
    /// Hash of the score's canonical row, hex.
    #[schema(value_type = schema::Digest)]
    pub leaf: String,
    /// Its place in the chunk's tree; the chunk's header is at 0.
    pub leaf_index: u64,
    /// Leaves of the chunk's tree.
    pub leaf_count: u64,
    /// Siblings from the leaf upwards.
    #[schema(value_type = Vec<schema::Digest>)]
    pub chunk_path: Vec<String>,
    /// Root of the chunk.
    #[schema(value_type = schema::Digest)]
    pub chunk_root: String,
    /// The chunk's place in the epoch.
    pub chunk_index: u32,
    /// Siblings from the chunk's root upwards.
    #[schema(value_type = Vec<schema::Digest>)]
    pub epoch_path: Vec<String>,
    /// Root of the epoch.
    #[schema(value_type = schema::Digest)]
    pub epoch_root: String,
    /// The link of the chain of epochs that this root is part of.
    #[schema(value_type = schema::Digest)]
    pub epoch_link: String,
}

/// Hashes as hex.
pub fn hex_of(path: &[Digest]) -> Vec<String> {
    path.iter().map(Digest::to_string).collect()
}

/// Why a node has its score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplanationBody {
    /// The score as it is stored.
    pub score: ScoreBody,
    /// What the policy was told.
    pub facts: Vec<ExplainedFactBody>,
    /// What the multiplier is made of, in millionths, as the policy names it.
    pub contributions: Vec<ContributionBody>,
    /// The policy's multiplier in millionths.
    pub multiplier_ppm: u32,
    /// The service's own multiplier in millionths.
    pub score_multiplier_ppm: u32,
    /// The same in words.
    pub words: Vec<String>,
}

/// A fact of a node in an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedFactBody {
    /// Its name in the catalogue.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its value.
    pub value: i64,
}

/// A part of a multiplier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContributionBody {
    /// As the policy names it.
    pub name: String,
    /// Millionths.
    pub ppm: u32,
}
