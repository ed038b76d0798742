//! Usage over time, of one node and of the fleet.

use lucid_model::{
    epochs::score::Ppm,
    id::NodeId,
    telemetry::metric::{Sample, UsageSummary},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields::FieldError, fleet::node::NetworkUsageBody, number::ExactNumber, schema};

/// How far back a question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeRange {
    /// One hour.
    #[default]
    Hour,
    /// Six hours.
    SixHours,
    /// A day.
    Day,
    /// A week.
    Week,
    /// Thirty days.
    Month,
}

impl TimeRange {
    /// Every range.
    pub const ALL: [Self; 5] = [Self::Hour, Self::SixHours, Self::Day, Self::Week, Self::Month];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }
    /// Its length in milliseconds.
    pub fn ms(self) -> i64 {
        let hours = match self {
            Self::Hour => 1,
            Self::SixHours => 6,
            Self::Day => 24,
            Self::Week => 7 * 24,
            Self::Month => 30 * 24,
        };
        hours * 3_600_000
    }
    /// Reads `time_range`; absent is an hour.
    ///
    /// # Errors
    /// [`FieldError`] for another word.
    pub fn read(text: Option<&str>) -> Result<Self, FieldError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let found = Self::ALL.into_iter().find(|range| range.name() == text);
        found.ok_or_else(|| {
            FieldError::new(
                "time_range",
                format!("must be one of {}", Self::ALL.map(Self::name).join(", ")),
            )
        })
    }
}

/// Usage of one node over a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeResourcesBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// The newest sample's time; without samples the time of the answer.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// Mean, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub cpu_usage: Option<ExactNumber>,
    /// Mean, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub memory_usage: Option<ExactNumber>,
    /// Mean, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub disk_usage: Option<ExactNumber>,
    /// Traffic over the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_usage: Option<NetworkUsageBody>,
    /// Sessions open in the newest sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_sessions: Option<u32>,
    /// Seconds since the machine started, in the newest sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<u64>,
    /// The node's clock less ours, by its newest sample's time and arrival: how far it is ahead,
    /// less the time that its report took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// Samples of those that were expected in the range, one each half minute: percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub completeness: Option<ExactNumber>,
}

impl NodeResourcesBody {
    /// Of a node whose samples in the range sum up to `usage`; `newest` is its newest sample,
    /// whenever it was.
    pub fn new(
        node: NodeId,
        usage: &UsageSummary,
        newest: Option<&Sample>,
        completeness: Ppm,
        now: TimeMs,
    ) -> Self {
        let any = usage.samples > 0;
        let percent = |ratio| any.then(|| ExactNumber::percent(ratio));
        let newest = newest.filter(|_| any);
        Self {
            node_id: node.to_string(),
            timestamp: newest.map_or(now, |sample| sample.at).to_string(),
            cpu_usage: percent(usage.cpu),
            memory_usage: percent(usage.memory),
            disk_usage: percent(usage.disk),
            network_usage: any.then(|| usage.network.into()),
            active_sessions: newest.map(|sample| sample.active_sessions),
            uptime: newest.map(|sample| sample.uptime_s),
            clock_offset_ms: newest.map(Sample::clock_offset_ms),
            completeness: any.then(|| ExactNumber::percent_floor(completeness)),
        }
    }
}

/// Traffic of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotalNetworkBody {
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// Usage of the fleet over a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceSummaryBody {
    /// When it was summed up.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// Live nodes.
    pub total_nodes: u64,
    /// Of them active.
    pub active_nodes: u64,
    /// Mean, percent.
    #[schema(value_type = schema::Percent)]
    pub average_cpu_usage: ExactNumber,
    /// Mean, percent.
    #[schema(value_type = schema::Percent)]
    pub average_memory_usage: ExactNumber,
    /// Mean, percent.
    #[schema(value_type = schema::Percent)]
    pub average_disk_usage: ExactNumber,
    /// Traffic over the range.
    pub total_network_usage: TotalNetworkBody,
    /// Sessions open in the newest samples.
    pub total_active_sessions: u64,
    /// Samples of those that were expected of all live nodes, one each half minute: percent.
    #[schema(value_type = schema::Percent)]
    pub completeness: ExactNumber,
}

impl ResourceSummaryBody {
    /// Of a fleet, with how many nodes it has and how many of them are active.
    pub fn new(
        now: TimeMs,
        (total_nodes, active_nodes): (u64, u64),
        usage: &UsageSummary,
        total_active_sessions: u64,
        completeness: Ppm,
    ) -> Self {
        Self {
            timestamp: now.to_string(),
            total_nodes,
            active_nodes,
            average_cpu_usage: ExactNumber::percent(usage.cpu),
            average_memory_usage: ExactNumber::percent(usage.memory),
            average_disk_usage: ExactNumber::percent(usage.disk),
            total_network_usage: TotalNetworkBody {
                bytes_sent: usage.network.bytes_sent,
                bytes_received: usage.network.bytes_received,
            },
            total_active_sessions,
            completeness: ExactNumber::percent_floor(completeness),
        }
    }
}

/// A sample as older clients know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageBody {
    /// 0–100.
    #[schema(value_type = schema::Percent)]
    pub cpu_percent: ExactNumber,
    /// 0–100.
    #[schema(value_type = schema::Percent)]
    pub memory_percent: ExactNumber,
    /// 0–100.
    #[schema(value_type = schema::Percent)]
    pub disk_percent: ExactNumber,
    /// Bytes received.
    pub network_in: u64,
    /// Bytes sent.
    pub network_out: u64,
    /// When it was measured.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
}

impl From<&Sample> for UsageBody {
    fn from(sample: &Sample) -> Self {
        Self {
            cpu_percent: ExactNumber::percent(sample.usage.cpu),
            memory_percent: ExactNumber::percent(sample.usage.memory),
            disk_percent: ExactNumber::percent(sample.usage.disk),
            network_in: sample.usage.network.bytes_received,
            network_out: sample.usage.network.bytes_sent,
            timestamp: sample.at.to_string(),
        }
    }
}

/// Samples as older clients know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageHistoryBody {
    /// Oldest first.
    pub usage_history: Vec<UsageBody>,
}
