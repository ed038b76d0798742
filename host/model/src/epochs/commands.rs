//! What callers ask for, checked field by field: read by the API, taken by the service.

use crate::{epochs::score::ScoreCenti, id::NodeId, telemetry::commands::NewSession, time::TimeMs};

/// Observations to be scored on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreRequest {
    pub node: NodeId,
    /// What was observed.
    pub sessions: Vec<NewSession>,
    /// Length of the period that ends with the last of them, 3600–86400 s.
    pub period_s: u32,
}

/// A claim about a score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreClaim {
    pub node: NodeId,
    /// The claimed score.
    pub score: ScoreCenti,
    /// As it was sent: the signature is over this text.
    pub timestamp_text: String,
    /// When it was computed.
    pub timestamp: TimeMs,
    /// Over [`statement::score_claim`], if sent.
    pub signature: Option<Vec<u8>>,
}
