//! What a node measured over time.

use lucid_model::{
    epochs::score::Ppm,
    telemetry::metric::{Rollup, Spread},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fleet::node::NetworkUsageBody, number::ExactNumber, schema};

/// Which metrics a history tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// CPU.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
    /// Traffic.
    Network,
    /// Observation sessions.
    Sessions,
    /// All of them.
    All,
}

impl Metric {
    /// Every word.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Memory, Self::Disk, Self::Network, Self::Sessions, Self::All];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Sessions => "sessions",
            Self::All => "all",
        }
    }

    fn tells(self, metric: Self) -> bool {
        self == Self::All || self == metric
    }
}

/// Usage in an interval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpreadBody {
    /// The least, percent.
    #[schema(value_type = schema::Percent)]
    pub min: ExactNumber,
    /// The mean, percent.
    #[schema(value_type = schema::Percent)]
    pub mean: ExactNumber,
    /// The greatest, percent.
    #[schema(value_type = schema::Percent)]
    pub max: ExactNumber,
}

/// Observation sessions in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionsBody {
    /// Most that were open at once.
    pub max: u32,
}

/// One interval, or one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPointBody {
    /// When the interval begins, or the sample was measured.
    #[schema(value_type = schema::Timestamp)]
    pub time: String,
    /// Samples in it.
    pub samples: u64,
    /// Samples of those that were expected, one each half minute: percent.
    #[schema(value_type = schema::Percent)]
    pub completeness: ExactNumber,
    /// CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<SpreadBody>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<SpreadBody>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<SpreadBody>,
    /// Traffic since the last sample of the point before; corrected for counters that went round or
    /// began anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkUsageBody>,
    /// Observation sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsBody>,
}

impl HistoryPointBody {
    /// What `metric` asks of a point.
    pub fn new(
        metric: Metric,
        time: TimeMs,
        rollup: &Rollup,
        network: NetworkUsageBody,
        completeness: Ppm,
    ) -> Self {
        let spread = |asked, spread: &Spread| {
            metric.tells(asked).then(|| SpreadBody {
                min: ExactNumber::percent(spread.min),
                mean: ExactNumber::percent(rollup.mean_floor(spread)),
                max: ExactNumber::percent(spread.max),
            })
        };
        Self {
            time: time.to_string(),
            samples: rollup.samples,
            completeness: ExactNumber::percent_floor(completeness),
            cpu: spread(Metric::Cpu, &rollup.cpu),
            memory: spread(Metric::Memory, &rollup.memory),
            disk: spread(Metric::Disk, &rollup.disk),
            network: metric.tells(Metric::Network).then_some(network),
            sessions: metric
                .tells(Metric::Sessions)
                .then_some(SessionsBody { max: rollup.active_sessions_max }),
        }
    }
}

/// What a node measured over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeHistoryBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// What was asked for.
    #[schema(value_type = schema::HistoryMetric)]
    pub metric: String,
    /// How finely it is told.
    #[schema(value_type = schema::HistoryGrain)]
    pub resolution: String,
    /// Start of the first interval.
    #[schema(value_type = schema::Timestamp)]
    pub from: String,
    /// End of the last interval.
    #[schema(value_type = schema::Timestamp)]
    pub to: String,
    /// Samples of those that were expected over the whole range, one each half minute: percent.
    #[schema(value_type = schema::Percent)]
    pub completeness: ExactNumber,
    /// Oldest first; intervals without a sample are left out.
    #[schema(max_items = 5_000)]
    pub points: Vec<HistoryPointBody>,
}
