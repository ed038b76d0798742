//! Scores, score claims, epochs and votes.

pub mod epoch;
pub mod participation;
pub mod replay;

use lucid_model::{
    epochs::{
        adjustment::Adjustment,
        commands::{ScoreClaim, ScoreRequest},
        receipt::{ChunkHeader, OnDemandReceipt, ScoreRow},
        score::Factors,
    },
    id::NodeId,
    policies::PolicyRef,
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    number::{ExactNumber, raw_score},
    schema,
    telemetry::report::ObservationRequest,
};

/// Observations of one calculation: what a body of ordinary length has room for.
pub const OBSERVATIONS_MAX: usize = 4_000;

/// What the score's multiplier is made of: each factor's contribution, 0–1, together at most 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactorsBody {
    /// How much of the period was observed.
    #[schema(value_type = schema::Ratio)]
    pub observation_time_weight: ExactNumber,
    /// Quality of the sessions.
    #[schema(value_type = schema::Ratio)]
    pub session_quality_weight: ExactNumber,
    /// Share of the active time in which the node was present.
    #[schema(value_type = schema::Ratio)]
    pub uptime_weight: ExactNumber,
    /// Head-room of CPU, memory and disk.
    #[schema(value_type = schema::Ratio)]
    pub resource_efficiency_weight: ExactNumber,
    /// Traffic as observers saw it.
    #[schema(value_type = schema::Ratio)]
    pub network_performance_weight: ExactNumber,
}

impl From<Factors> for FactorsBody {
    fn from(factors: Factors) -> Self {
        Self {
            observation_time_weight: ExactNumber::ratio(factors.observation_time),
            session_quality_weight: ExactNumber::ratio(factors.session_quality),
            uptime_weight: ExactNumber::ratio(factors.uptime),
            resource_efficiency_weight: ExactNumber::ratio(factors.resource_efficiency),
            network_performance_weight: ExactNumber::ratio(factors.network_performance),
        }
    }
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyRefBody {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component, hex.
    #[schema(value_type = schema::Digest)]
    pub digest: String,
}

impl From<&PolicyRef> for PolicyRefBody {
    fn from(policy: &PolicyRef) -> Self {
        Self {
            name: policy.name.clone(),
            version: policy.version.to_string(),
            digest: policy.digest.to_string(),
        }
    }
}

/// A score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScoreBody {
    /// Whose.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// 0–100, two digits after the point.
    #[schema(value_type = schema::Score)]
    pub score: ExactNumber,
    /// When it was computed.
    #[schema(value_type = schema::Timestamp)]
    pub calculated_at: String,
    /// Sessions that counted.
    pub observation_count: u32,
    /// Seconds that counted.
    pub total_observation_time: u32,
    /// What the multiplier is made of.
    pub factors: FactorsBody,
    /// `{epoch}-{node}`, or the receipt's id of a score on demand.
    pub score_id: String,
    /// Start of the epoch, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The score before it was limited to 100.
    #[schema(value_type = schema::RawScore)]
    pub raw_score: String,
    /// Whether the node may earn and vote.
    pub eligible: bool,
    /// Credited seconds in the period.
    pub observed_seconds: u32,
    /// Length of the period in seconds.
    pub period_seconds: u32,
    /// The policy that computed it.
    pub policy: PolicyRefBody,
    /// How the active policy failed, where the last good version answered in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_failure: Option<String>,
    /// `epoch`, or `on_demand`: that one neither earns nor votes.
    #[schema(value_type = schema::ScoreKind)]
    pub kind: String,
    /// The policy failed for this node: it has no score this epoch.
    pub held: bool,
    /// The policy's reason, why the node is held, or why nothing was credited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What adjusted it since its epoch was closed, in order: an observation was voided. What is
    /// said above counts now; the epoch's own receipt is as it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<AdjustmentBody>,
}

/// A receipt that adjusts a score of a closed epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdjustmentBody {
    /// Counts the adjustments of this score, from 1.
    pub number: u32,
    /// The session that was voided.
    #[schema(value_type = schema::Id)]
    pub session_id: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub adjusted_at: String,
    /// By whom.
    pub adjusted_by: String,
    /// Why.
    pub reason: String,
    /// What counted before.
    pub before: AdjustedSideBody,
    /// What counts since.
    pub after: AdjustedSideBody,
    /// SHA-256 of the adjusting receipt, hex.
    #[schema(value_type = schema::Digest)]
    pub digest: String,
}

/// One side of an adjustment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdjustedSideBody {
    /// The score.
    #[schema(value_type = schema::Score)]
    pub score: ExactNumber,
    /// Credited seconds.
    pub observed_seconds: u32,
    /// Whether the node may earn.
    pub eligible: bool,
}

impl From<&ScoreRow> for AdjustedSideBody {
    fn from(row: &ScoreRow) -> Self {
        Self { score: row.score.into(), observed_seconds: row.observed_s, eligible: row.eligible }
    }
}

impl From<&Adjustment> for AdjustmentBody {
    fn from(adjustment: &Adjustment) -> Self {
        Self {
            number: adjustment.number,
            session_id: adjustment.session.to_string(),
            adjusted_at: adjustment.at.to_string(),
            adjusted_by: adjustment.actor.clone(),
            reason: adjustment.reason.clone(),
            before: (&adjustment.before).into(),
            after: (&adjustment.after).into(),
            digest: adjustment.digest().to_string(),
        }
    }
}

impl ScoreBody {
    /// The id of an epoch's score.
    pub fn id_of(epoch_start_s: i64, node: NodeId) -> String {
        format!("{epoch_start_s}-{node}")
    }
    /// The epoch and node of a score's id; `None` if it is no such id.
    pub fn parse_id(text: &str) -> Option<(i64, NodeId)> {
        let (epoch, node) = text.split_once('-')?;
        Some((epoch.parse().ok()?, node.parse().ok()?))
    }

    /// A score of an epoch.
    pub fn of_epoch(row: &ScoreRow, header: &ChunkHeader, calculated_at: TimeMs) -> Self {
        Self {
            node_id: row.node.to_string(),
            score: row.score.into(),
            calculated_at: calculated_at.to_string(),
            observation_count: row.sessions,
            total_observation_time: row.observed_s,
            factors: row.factors.into(),
            score_id: Self::id_of(header.period.start_s, row.node),
            epoch: Some(header.period.start_s),
            raw_score: raw_score(row.raw),
            eligible: row.eligible,
            observed_seconds: row.observed_s,
            period_seconds: header.period.length.seconds(),
            policy: (&header.policy).into(),
            policy_failure: None,
            kind: "epoch".into(),
            held: row.held,
            reason: row.reason.clone().or_else(|| row.why_nothing().map(Into::into)),
            adjustments: Vec::new(),
        }
    }

    /// A score computed on demand; `failure` is that of the active policy, if another answered in
    /// its place.
    pub fn on_demand(receipt: &OnDemandReceipt, failure: Option<String>) -> Self {
        Self {
            node_id: receipt.node.to_string(),
            score: receipt.score.into(),
            calculated_at: receipt.calculated_at.to_string(),
            observation_count: receipt.observations,
            total_observation_time: receipt.observed_s,
            factors: receipt.factors.into(),
            score_id: receipt.id.to_string(),
            epoch: None,
            raw_score: raw_score(receipt.raw),
            eligible: false,
            observed_seconds: receipt.observed_s,
            period_seconds: receipt.period_s,
            policy: (&receipt.policy).into(),
            policy_failure: failure,
            kind: "on_demand".into(),
            held: false,
            reason: None,
            adjustments: Vec::new(),
        }
    }

    /// With what adjusted it.
    #[must_use]
    pub fn adjusted_by(mut self, adjustments: &[Adjustment]) -> Self {
        self.adjustments = adjustments.iter().map(Into::into).collect();
        self
    }
}

/// Data to compute a score from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CalculateRequest {
    /// For which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// What was observed.
    #[schema(min_items = 1, max_items = 4000)]
    pub observation_data: Vec<ObservationRequest>,
    /// Seconds the score is over.
    #[schema(minimum = 3600, maximum = 86400, default = 3600)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_period: Option<u32>,
}

impl Request for CalculateRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = ScoreRequest;
    fn read(fields: &Fields<'_>) -> Result<ScoreRequest, FieldError> {
        let node = fields.require("node_id", fields.parsed("node_id")?)?;
        let period_s = fields.integer("time_period", 3600..=86_400)?.unwrap_or(3600);
        let data = fields
            .require("observation_data", fields.list("observation_data", 1..=OBSERVATIONS_MAX)?)?;
        let sessions = data.iter().map(ObservationRequest::read).collect::<Result<_, _>>()?;
        Ok(ScoreRequest { node, sessions, period_s })
    }
}

/// A score that somebody claims.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ValidateRequest {
    /// Of which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// 0–100.
    #[schema(value_type = schema::Score)]
    pub score: ExactNumber,
    /// When it was computed.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// The node's Ed25519 signature over the claim, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Signature>)]
    pub signature: Option<String>,
}

impl Request for ValidateRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = ScoreClaim;
    fn read(fields: &Fields<'_>) -> Result<ScoreClaim, FieldError> {
        let score = fields.decimal("score")?.map(|text| {
            text.parse().map_err(|_| fields.error("score", "must be a number from 0 to 100"))
        });
        Ok(ScoreClaim {
            node: fields.require("node_id", fields.parsed("node_id")?)?,
            score: fields.require("score", score.transpose()?)?,
            timestamp: fields.require("timestamp", fields.time("timestamp")?)?,
            timestamp_text: fields.string("timestamp")?.unwrap_or_default().to_owned(),
            signature: fields.base64("signature", 64..=64)?,
        })
    }
}

/// What is true of a score claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidationBody {
    /// All that is told below, and no reason against it.
    pub valid: bool,
    /// There is a receipt with this score.
    pub score_match: bool,
    /// It is neither old nor from the future.
    pub timestamp_valid: bool,
    /// The signature is the node's; absent if none was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_valid: Option<bool>,
    /// Why the validation policy refuses the claim; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ValidationBody {
    /// Valid is what nothing speaks against.
    pub fn new(
        score_match: bool,
        timestamp_valid: bool,
        signature_valid: Option<bool>,
        reason: Option<String>,
    ) -> Self {
        let valid =
            score_match && timestamp_valid && signature_valid.unwrap_or(true) && reason.is_none();
        Self { valid, score_match, timestamp_valid, signature_valid, reason }
    }
}

#[cfg(test)]
mod tests;
