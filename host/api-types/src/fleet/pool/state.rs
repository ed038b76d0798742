//! How pools are, and what they did.

use lucid_model::{
    fleet::{
        node::{Node, NodeStatus},
        pool::{
            Pool,
            health::{Health, Standing},
            performance::Performance,
        },
    },
    money::MicroUsdt,
    telemetry::credit::Interval,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{number::ExactNumber, schema};

/// A member whose place was given away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplacedBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// When its place was given away.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
}

/// What the members of a pool that report bring with them, as they were registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapacityBody {
    /// CPU cores.
    pub cpu_cores: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of storage.
    pub storage_bytes: u64,
}

impl CapacityBody {
    fn of<'a>(members: impl IntoIterator<Item = &'a Node>) -> Self {
        let hardware = members
            .into_iter()
            .filter(|node| node.status == NodeStatus::Active)
            .filter_map(|node| node.hardware);
        hardware.fold(Self::default(), |sum, one| Self {
            cpu_cores: sum.cpu_cores.saturating_add(u64::from(one.cpu_cores)),
            memory_bytes: sum.memory_bytes.saturating_add(one.memory_bytes),
            storage_bytes: sum.storage_bytes.saturating_add(one.storage_bytes),
        })
    }
}

/// How a pool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolHealthBody {
    /// The pool.
    #[schema(value_type = schema::Id)]
    pub pool_id: String,
    /// How well it is; absent before its first check.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PoolHealth>)]
    pub health: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub since: Option<String>,
    /// The last check.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub checked_at: Option<String>,
    /// Members that report, at the last check.
    pub nodes_working: u32,
    /// Members in error, at the last check.
    pub nodes_failed: u32,
    /// Members now, whatever they do.
    pub node_count: u32,
    /// Members it may have.
    pub max_nodes: u32,
    /// Members that there is room for now.
    pub places_free: u32,
    /// What members that report now have.
    pub capacity: CapacityBody,
    /// Members that failed for long and were replaced: they come back when they work again and
    /// there is room.
    #[schema(max_items = 100_000)]
    pub replaced: Vec<ReplacedBody>,
}

impl PoolHealthBody {
    /// What is known of a pool from its checks, and from its members.
    pub fn new(pool: &Pool, standing: Option<&Standing>, members: &[Node]) -> Self {
        let replaced = standing.map(|standing| standing.replaced.as_slice()).unwrap_or_default();
        let counted = standing.map(|standing| standing.members).unwrap_or_default();
        Self {
            pool_id: pool.id.to_string(),
            health: standing.map(|standing| Health::name(standing.health).to_owned()),
            since: standing.map(|standing| standing.since.to_string()),
            checked_at: standing.map(|standing| standing.checked_at.to_string()),
            nodes_working: counted.working,
            nodes_failed: counted.failed,
            node_count: pool.node_count,
            max_nodes: pool.max_nodes,
            places_free: pool.max_nodes.saturating_sub(pool.node_count),
            capacity: CapacityBody::of(members),
            replaced: replaced
                .iter()
                .map(|r| ReplacedBody { node_id: r.node.to_string(), at: r.at.to_string() })
                .collect(),
        }
    }
}

/// Mean usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UtilisationBody {
    /// CPU, percent.
    #[schema(value_type = schema::Percent)]
    pub cpu: ExactNumber,
    /// Memory, percent.
    #[schema(value_type = schema::Percent)]
    pub memory: ExactNumber,
    /// Disk, percent.
    #[schema(value_type = schema::Percent)]
    pub disk: ExactNumber,
}

/// What a pool did in an interval. What nothing is known of is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPerformancePoint {
    /// When the interval begins.
    #[schema(value_type = schema::Timestamp)]
    pub time: String,
    /// Closed epochs that it tells of.
    pub epochs: u64,
    /// Members, mean of the epochs.
    pub nodes_total: u64,
    /// Members that were there at some moment of an epoch, mean of the epochs.
    pub nodes_active: u64,
    /// Witnessed time of the time in which members were active, 0-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Ratio>)]
    pub uptime_ratio: Option<ExactNumber>,
    /// Mean score of its members, 0-100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Score>)]
    pub mean_score: Option<ExactNumber>,
    /// Credited hours of all members.
    pub observation_hours: ExactNumber,
    /// Mean usage over all samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<UtilisationBody>,
    /// What its members were paid in the interval; only for who may read everybody's payouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usdt>)]
    pub paid_usdt: Option<String>,
    /// Samples of those that were expected, one each half minute: percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub completeness: Option<ExactNumber>,
}

impl PoolPerformancePoint {
    /// What is told of an interval that begins at `time`.
    pub fn new(time: String, performance: &Performance, paid: Option<MicroUsdt>) -> Self {
        Self {
            time,
            epochs: performance.epochs,
            nodes_total: performance.nodes_total(),
            nodes_active: performance.nodes_active(),
            uptime_ratio: performance.uptime().map(ExactNumber::ratio),
            mean_score: performance.mean_score().map(ExactNumber::from),
            observation_hours: ExactNumber::hours_floor(performance.observed_s()),
            utilisation: performance.utilisation().map(|usage| UtilisationBody {
                cpu: ExactNumber::percent_floor(usage.cpu),
                memory: ExactNumber::percent_floor(usage.memory),
                disk: ExactNumber::percent_floor(usage.disk),
            }),
            paid_usdt: paid.map(|paid| paid.to_string()),
            completeness: performance.completeness().map(ExactNumber::percent_floor),
        }
    }
}

/// What a pool did over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolPerformanceBody {
    /// The pool.
    #[schema(value_type = schema::Id)]
    pub pool_id: String,
    /// How finely it is told.
    #[schema(value_type = schema::PoolGrain)]
    pub resolution: String,
    /// Epochs that begin from here on …
    #[schema(value_type = schema::Timestamp)]
    pub from: String,
    /// … and before this.
    #[schema(value_type = schema::Timestamp)]
    pub to: String,
    /// All of them together.
    pub total: PoolPerformancePoint,
    /// Oldest first; intervals without a closed epoch in which it had members are left out.
    #[schema(max_items = 2_500)]
    pub points: Vec<PoolPerformancePoint>,
}

impl PoolPerformanceBody {
    /// Puts the parts together.
    pub fn new(
        pool: &Pool,
        resolution: &str,
        range: Interval,
        total: PoolPerformancePoint,
        points: Vec<PoolPerformancePoint>,
    ) -> Self {
        Self {
            pool_id: pool.id.to_string(),
            resolution: resolution.into(),
            from: range.from.to_string(),
            to: range.to.to_string(),
            total,
            points,
        }
    }
}
