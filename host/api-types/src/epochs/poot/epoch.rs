//! Closed epochs and the votes cast for them.

use lucid_model::{consensus::Vote, epochs::epoch::EpochRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{number::ExactNumber, schema};

/// A closed epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EpochBody {
    /// Its start, Unix seconds: its id.
    pub epoch: i64,
    /// Its start.
    #[schema(value_type = schema::Timestamp)]
    pub start_date: String,
    /// First instant after it.
    #[schema(value_type = schema::Timestamp)]
    pub end_date: String,
    /// When it was closed.
    #[schema(value_type = schema::Timestamp)]
    pub closed_at: String,
    /// Nodes scored.
    pub nodes: u32,
    /// Of them eligible.
    pub eligible: u32,
    /// Nodes without a score because their policy failed.
    pub held: u32,
    /// Root of its receipts, hex.
    #[schema(value_type = schema::Digest)]
    pub root: String,
    /// Hash of its record, which the next one names.
    #[schema(value_type = schema::Digest)]
    pub link: String,
    /// Hash of the record before.
    #[schema(value_type = schema::Digest)]
    pub previous_link: String,
    /// Revision of the activations it was scored with.
    pub policy_revision: u64,
    /// Version of the service's own arithmetic.
    pub rules: u32,
    /// The chain's block that its votes are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_id: Option<String>,
    /// Share of the reports expected of active nodes that had arrived when it was closed, 0–1.
    #[schema(value_type = Option<schema::Ratio>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completeness: Option<ExactNumber>,
}

/// One epoch, closed or on its way there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EpochStandingBody {
    /// Its start, Unix seconds: its id.
    pub epoch: i64,
    /// `closed`, or what is being done: `waiting` for reports, `gathering` facts, `scoring`,
    /// `storing`.
    pub state: String,
    /// Nodes it is done for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_done: Option<u64>,
    /// Of so many, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_total: Option<u64>,
    /// Share of the reports expected of active nodes that have arrived, 0–1.
    #[schema(value_type = Option<schema::Ratio>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completeness: Option<ExactNumber>,
    /// The record of a closed epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<EpochBody>,
    /// Nodes without a score, for callers with rights over the fleet: the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_nodes: Vec<HeldNodeBody>,
}

/// A node whose policy failed for it alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldNodeBody {
    /// Which.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// How its policy failed.
    pub reason: String,
}

impl From<&EpochRecord> for EpochBody {
    fn from(record: &EpochRecord) -> Self {
        Self {
            epoch: record.epoch.start_s,
            start_date: record.epoch.start().to_string(),
            end_date: record.epoch.end().to_string(),
            closed_at: record.closed_at.to_string(),
            nodes: record.nodes,
            eligible: record.eligible,
            held: record.held,
            root: record.root.to_string(),
            link: record.link().to_string(),
            previous_link: record.previous_link.to_string(),
            policy_revision: record.policy_revision.0,
            rules: record.rules,
            block_id: record.block.as_ref().map(|block| block.id.clone()),
            completeness: record.completeness.map(ExactNumber::ratio),
        }
    }
}

/// A vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteBody {
    /// Whose.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// Start of the epoch, Unix seconds.
    pub epoch: i64,
    /// The node's score in it.
    #[schema(value_type = schema::Score)]
    pub score: ExactNumber,
    /// `approve`, `abstain`, `reject`.
    #[schema(value_type = schema::VoteChoice)]
    pub vote: String,
    /// `pending`, `accepted`, `rejected`, `expired`, `abstained`.
    #[schema(value_type = schema::VoteState)]
    pub state: String,
    /// When the epoch was closed.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// The block it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_id: Option<String>,
    /// Root of the epoch's receipts, hex.
    #[schema(value_type = schema::Digest)]
    pub merkle_root: String,
    /// The chain's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vote_id: Option<String>,
    /// The chain's last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Times it was sent.
    pub attempts: u32,
}

impl From<&Vote> for VoteBody {
    fn from(vote: &Vote) -> Self {
        Self {
            node_id: vote.node.to_string(),
            epoch: vote.epoch_start_s,
            score: vote.score.into(),
            vote: vote.choice.name().into(),
            state: vote.state.name().into(),
            timestamp: vote.timestamp.to_string(),
            block_id: vote.block.as_ref().map(|block| block.id.clone()),
            merkle_root: vote.merkle_root.to_string(),
            vote_id: vote.vote_id.clone(),
            answer: vote.answer.clone(),
            attempts: vote.attempts,
        }
    }
}
