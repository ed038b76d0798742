//! What nodes report of themselves: heartbeats, samples, observation sessions.

pub mod carried;
pub mod form;

use lucid_model::{
    epochs::{adjustment::Adjustment, score::Ppm},
    id::SessionId,
    telemetry::{
        commands::{NewSample, NewSession},
        credit::Interval,
        metric::{NetworkCounters, Usage},
        observation::Verdict,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    epochs::poot::{AdjustmentBody, ScoreBody},
    fields::{FieldError, Fields, Request},
    fleet::node::NetworkUsageBody,
    schema,
};

/// Samples of one report.
pub const SAMPLES_MAX: usize = 1000;
/// Sessions of one report.
pub const SESSIONS_MAX: usize = 100;

/// One sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRequest {
    /// When it was measured; absent: when it arrives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Percent.
    pub cpu_usage: f64,
    /// Percent.
    pub memory_usage: f64,
    /// Percent.
    pub disk_usage: f64,
    /// Counters since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_usage: Option<NetworkUsageBody>,
    /// Sessions open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_sessions: Option<u32>,
    /// Seconds since the machine started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
}

impl Request for SampleRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewSample;
    fn read(fields: &Fields<'_>) -> Result<NewSample, FieldError> {
        if !["cpu_usage", "memory_usage", "disk_usage"].into_iter().any(|key| fields.has(key)) {
            return Err(fields.error("cpu_usage", "is required, or memory_usage or disk_usage"));
        }
        Ok(NewSample {
            at: fields.time("timestamp")?,
            usage: usage(fields)?,
            active_sessions: fields.integer("active_sessions", 0..=1_000_000)?.unwrap_or(0),
            uptime_s: fields.integer("uptime", 0..=i64::MAX.unsigned_abs())?.unwrap_or(0),
        })
    }
}

fn usage(fields: &Fields<'_>) -> Result<Usage, FieldError> {
    let percent = |key| -> Result<Ppm, FieldError> { Ok(fields.percent(key)?.unwrap_or_default()) };
    let network = match fields.object("network_usage")? {
        None => NetworkCounters::default(),
        Some(network) => {
            let count = |key| -> Result<u64, FieldError> {
                Ok(network.integer(key, 0..=i64::MAX.unsigned_abs())?.unwrap_or(0))
            };
            NetworkCounters {
                bytes_sent: count("bytes_sent")?,
                bytes_received: count("bytes_received")?,
                packets_sent: count("packets_sent")?,
                packets_received: count("packets_received")?,
            }
        }
    };
    Ok(Usage {
        cpu: percent("cpu_usage")?,
        memory: percent("memory_usage")?,
        disk: percent("disk_usage")?,
        network,
    })
}

/// One or more samples: the fields of one, or `samples`, or the older `metrics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MetricsRequest {
    /// Several samples.
    pub samples: Vec<SampleRequest>,
}

impl Request for MetricsRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = Vec<NewSample>;
    fn read(fields: &Fields<'_>) -> Result<Vec<NewSample>, FieldError> {
        if let Some(samples) = fields.list("samples", 1..=SAMPLES_MAX)? {
            return samples.iter().map(SampleRequest::read).collect();
        }
        let one = match fields.object("metrics")? {
            Some(older) => SampleRequest::read(&older)?,
            None => SampleRequest::read(fields)?,
        };
        Ok(vec![one])
    }
}

/// An observation session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ObservationRequest {
    /// The session; sent again with a later end, it grows.
    #[schema(value_type = schema::Id)]
    pub session_id: String,
    /// Its start.
    #[schema(value_type = schema::Timestamp)]
    pub start_time: String,
    /// Its end, so far.
    #[schema(value_type = schema::Timestamp)]
    pub end_time: String,
    /// 0–1.
    #[schema(minimum = 0, maximum = 1)]
    pub quality_score: f64,
    /// What the node used meanwhile: `cpu_usage`, `memory_usage`, `disk_usage`, `network_usage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<form::UsageRequest>)]
    pub resource_usage: Option<SampleRequest>,
}

impl Request for ObservationRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewSession;
    fn read(fields: &Fields<'_>) -> Result<NewSession, FieldError> {
        let from = fields.require("start_time", fields.time("start_time")?)?;
        let to = fields.require("end_time", fields.time("end_time")?)?;
        if to <= from {
            return Err(fields.error("end_time", "must be after start_time"));
        }
        Ok(NewSession {
            session: fields.require("session_id", fields.parsed("session_id")?)?,
            span: Interval { from, to },
            quality: fields.require("quality_score", fields.ratio("quality_score")?)?,
            usage: fields.object("resource_usage")?.map(|u| usage(&u)).transpose()?,
        })
    }
}

/// One or more observation sessions: the fields of one, or `observations`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservationsRequest {
    /// The sessions.
    pub observations: Vec<ObservationRequest>,
}

impl Request for ObservationsRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = Vec<NewSession>;
    fn read(fields: &Fields<'_>) -> Result<Vec<NewSession>, FieldError> {
        match fields.list("observations", 1..=SESSIONS_MAX)? {
            Some(sessions) => sessions.iter().map(ObservationRequest::read).collect(),
            None if fields.has("session_id") => Ok(vec![ObservationRequest::read(fields)?]),
            None => Err(fields.error("observations", "is required")),
        }
    }
}

/// A sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeartbeatRequest {
    /// What the node thinks of itself; kept for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ShortText>)]
    pub status: Option<String>,
}

/// A checked sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// What the node thinks of itself.
    pub status: Option<String>,
}

impl Request for HeartbeatRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = Heartbeat;
    fn read(fields: &Fields<'_>) -> Result<Heartbeat, FieldError> {
        Ok(Heartbeat { status: fields.text("status", 0..=255)? })
    }
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportBody {
    /// Samples stored.
    pub accepted: u32,
    /// Those of them that were measured more than 90 s before they arrived: they are kept, and
    /// witness nothing of then.
    #[serde(default)]
    pub late: u32,
    /// Samples that are not kept. The report counts all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<DroppedSampleBody>,
    /// Whether the same report was stored before: this is the answer it had.
    pub repeated: bool,
    /// The node's status.
    #[schema(value_type = schema::NodeStatus)]
    pub status: String,
    /// When the report arrived.
    #[schema(value_type = schema::Timestamp)]
    pub last_heartbeat: String,
}

/// A sample that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DroppedSampleBody {
    /// Its place in the report, from 0.
    pub sample: u32,
    /// Why it is not kept, and what to do.
    pub reason: String,
}

/// What became of one observation session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionVerdictBody {
    /// The session.
    #[schema(value_type = schema::Id)]
    pub session_id: String,
    /// `accepted`, `rejected`, `voided` (an operator took it back), `unverified` (asked again
    /// before the epoch closes).
    #[schema(value_type = schema::SessionVerdict)]
    pub verdict: String,
    /// Why it is rejected or voided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SessionVerdictBody {
    /// The verdict on a session.
    pub fn new(session: SessionId, verdict: &Verdict) -> Self {
        let (word, reason) = match verdict {
            Verdict::Accepted => ("accepted", None),
            Verdict::Rejected(reason) => ("rejected", Some(reason.clone())),
            Verdict::Voided(reason) => ("voided", Some(reason.clone())),
            Verdict::Unverified => ("unverified", None),
        };
        Self { session_id: session.to_string(), verdict: word.into(), reason }
    }
}

/// What became of a report of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObservationsBody {
    /// One verdict a session, in the order they were sent.
    pub observations: Vec<SessionVerdictBody>,
}

/// An observation that was taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VoidedObservationBody {
    /// Its verdict now.
    pub observation: SessionVerdictBody,
    /// Scores of closed epochs that are adjusted by this.
    pub scores: Vec<AdjustedScoreBody>,
    /// What the node loses of what it had accrued, USDT.
    #[schema(value_type = schema::Usdt)]
    pub reversed: String,
}

/// A score that is adjusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AdjustedScoreBody {
    /// `{epoch}-{node}`.
    #[schema(value_type = schema::ScoreId)]
    pub score_id: String,
    /// The adjusting receipt.
    pub adjustment: AdjustmentBody,
}

impl From<&Adjustment> for AdjustedScoreBody {
    fn from(adjustment: &Adjustment) -> Self {
        Self {
            score_id: ScoreBody::id_of(adjustment.epoch_start_s, adjustment.node),
            adjustment: adjustment.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::parse;

    #[test]
    fn samples_come_alone_in_a_list_or_in_the_older_form() {
        let one =
            parse::<MetricsRequest>(br#"{"cpu_usage":12.5,"network_usage":{"bytes_sent":7}}"#)
                .unwrap();
        assert_eq!(
            (one.len(), one[0].usage.cpu, one[0].usage.network.bytes_sent),
            (1, Ppm(125_000), 7)
        );
        assert_eq!(parse::<MetricsRequest>(br#"{"metrics":{"cpu_usage":1}}"#).unwrap().len(), 1);
        assert_eq!(
            parse::<MetricsRequest>(br#"{"samples":[{"cpu_usage":1},{"disk_usage":2}]}"#)
                .unwrap()
                .len(),
            2
        );
        let refusal =
            |json: &str| parse::<MetricsRequest>(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            refusal(r#"{"samples":[{"cpu_usage":1},{"cpu_usage":101}]}"#),
            "samples[1].cpu_usage: must be a number from 0 to 100"
        );
        assert_eq!(refusal(r#"{"samples":[]}"#), "samples: must have 1 to 1000 items, has 0");
        assert_eq!(refusal("{}"), "cpu_usage: is required, or memory_usage or disk_usage");
    }

    #[test]
    fn a_session_ends_after_it_starts() {
        let session = |end: &str, quality: &str| {
            let body = format!(
                r#"{{"observations":[{{"session_id":"0192f0c1-2b3c-7d4e-8f90-123456789abc","start_time":"2026-01-01T00:00:00Z","end_time":"{end}","quality_score":{quality}}}]}}"#
            );
            parse::<ObservationsRequest>(body.as_bytes()).map_err(|e| e.to_string())
        };
        assert_eq!(session("2026-01-01T00:00:01Z", "1.0").unwrap()[0].span.length_ms(), 1000);
        assert_eq!(
            session("2026-01-01T00:00:00Z", "1").unwrap_err(),
            "observations[0].end_time: must be after start_time"
        );
        assert_eq!(
            session("2026-01-01T00:00:01Z", "1.1").unwrap_err(),
            "observations[0].quality_score: must be a number from 0 to 1"
        );
    }
}
