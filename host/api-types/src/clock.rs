//! The clocks of a replica.

use lucid_model::time::TimeMs;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// The clocks of the replica that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockBody {
    /// Whether the wall clock is trusted. While it is not, nothing is closed, settled, planned,
    /// expired or deleted.
    pub trusted: bool,
    /// The time that the service goes by.
    #[schema(value_type = schema::Timestamp)]
    pub now: String,
    /// What the wall clock shows.
    #[schema(value_type = schema::Timestamp)]
    pub wall_clock: String,
    /// By how many milliseconds the wall clock is ahead of `now`; below zero it is behind.
    pub ahead_ms: i64,
    /// `moved`, `behind`, `ahead` or `epoch_ahead`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The fault in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ClockBody {
    /// Of what the clocks say.
    pub fn new(now: TimeMs, wall: TimeMs, fault: Option<(&str, String)>) -> Self {
        let trusted = fault.is_none();
        let (fault, reason) = fault.map(|(name, words)| (name.to_owned(), words)).unzip();
        Self {
            trusted,
            now: now.to_string(),
            wall_clock: wall.to_string(),
            ahead_ms: wall.ms_since(now),
            fault,
            reason,
        }
    }
}
