//! Pools.

mod state;

use lucid_model::fleet::{
    alert::{AlertThresholds, MISSED_HEARTBEAT_S},
    commands::{NewPool, PoolConfigChange, PoolPatch},
    pool::{LoadBalancing, Pool, PoolConfig, PoolStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::state::{
    CapacityBody, PoolHealthBody, PoolPerformanceBody, PoolPerformancePoint, ReplacedBody,
    UtilisationBody,
};
use crate::{
    fields::{FieldError, Fields, Request},
    fleet::node::{
        NodeBody,
        request::{DESCRIPTION_LENGTH, NAME_LENGTH},
    },
    number::ExactNumber,
    schema,
};

/// Nodes a pool has room for when nothing is said.
pub const MAX_NODES_DEFAULT: u32 = 100;

/// How a pool works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolConfigBody {
    /// Whether new nodes may be put here by the service.
    pub auto_assignment: bool,
    /// `round_robin`, `least_connections`, `weighted`.
    #[schema(value_type = schema::LoadBalancing)]
    pub load_balancing: String,
    /// Seconds, 30–3600.
    pub health_check_interval: u32,
    /// Whether a member that fails for long gives its place to an active node that has none.
    pub failover_enabled: bool,
    /// When alerts about its members are raised, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_thresholds: Option<AlertThresholdsBody>,
}

/// When alerts about a pool's members are raised: for members whose own limit is the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertThresholdsBody {
    /// CPU usage, 0-100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub cpu_usage: Option<ExactNumber>,
    /// Memory usage, 0-100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub memory_usage: Option<ExactNumber>,
    /// Disk usage, 0-100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub disk_usage: Option<ExactNumber>,
    /// Seconds without a report after which a member is in error, in place of the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_heartbeat_s: Option<u32>,
}

impl AlertThresholdsBody {
    /// None if they say nothing.
    fn of(thresholds: AlertThresholds) -> Option<Self> {
        let AlertThresholds { cpu, memory, disk, missed_heartbeat_s } = thresholds;
        let [cpu_usage, memory_usage, disk_usage] =
            [cpu, memory, disk].map(|limit| limit.map(ExactNumber::percent));
        (!thresholds.is_empty()).then_some(Self {
            cpu_usage,
            memory_usage,
            disk_usage,
            missed_heartbeat_s,
        })
    }
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub pool_id: String,
    /// Its name.
    pub name: String,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `active`, `inactive`, `maintenance`.
    #[schema(value_type = schema::PoolStatus)]
    pub status: String,
    /// Its nodes.
    pub node_count: u32,
    /// Nodes it has room for.
    pub max_nodes: u32,
    /// Creation.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// Last change.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: String,
    /// How it works.
    pub configuration: PoolConfigBody,
    /// Its nodes; only where one pool is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<NodeBody>>,
}

impl From<&Pool> for PoolBody {
    fn from(pool: &Pool) -> Self {
        Self {
            pool_id: pool.id.to_string(),
            name: pool.name.clone(),
            description: pool.description.clone(),
            status: pool.status.name().into(),
            node_count: pool.node_count,
            max_nodes: pool.max_nodes,
            created_at: pool.created_at.to_string(),
            updated_at: pool.updated_at.to_string(),
            configuration: PoolConfigBody {
                auto_assignment: pool.config.auto_assignment,
                load_balancing: pool.config.load_balancing.name().into(),
                health_check_interval: pool.config.health_check_interval_s,
                failover_enabled: pool.config.failover_enabled,
                alert_thresholds: AlertThresholdsBody::of(pool.config.thresholds),
            },
            nodes: None,
        }
    }
}

impl PoolBody {
    /// The same pool with its nodes.
    #[must_use]
    pub fn with_nodes(self, nodes: Vec<NodeBody>) -> Self {
        Self { nodes: Some(nodes), ..self }
    }
}

/// How a pool works; what is absent has its default (or stays, in an update).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PoolConfigRequest {
    /// Whether new nodes may be put here by the service.
    #[schema(default = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_assignment: Option<bool>,
    /// `round_robin`, `least_connections`, `weighted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::LoadBalancing>, default = "round_robin")]
    pub load_balancing: Option<String>,
    /// Seconds.
    #[schema(minimum = 30, maximum = 3600, default = 300)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_interval: Option<u32>,
    /// Whether a member that fails for long gives its place to an active node that has none.
    #[schema(default = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_enabled: Option<bool>,
    /// When alerts about its members are raised; they replace those before as a whole, an empty
    /// object removes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert_thresholds: Option<AlertThresholdsRequest>,
}

/// When alerts about a pool's members are raised; what is absent is not the pool's to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertThresholdsRequest {
    /// CPU usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub cpu_usage: Option<ExactNumber>,
    /// Memory usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub memory_usage: Option<ExactNumber>,
    /// Disk usage.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Percent>)]
    pub disk_usage: Option<ExactNumber>,
    /// Seconds without a report after which a member is in error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 30, maximum = 86_400)]
    pub missed_heartbeat_s: Option<u32>,
}

/// A new pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreatePoolRequest {
    /// For people; no other pool has it.
    #[schema(value_type = schema::Name)]
    pub name: String,
    /// About it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// Nodes it has room for.
    #[schema(minimum = 1, maximum = 1000, default = 100)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// How it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PoolConfigRequest>,
}

/// A change of a pool; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpdatePoolRequest {
    /// For people; no other pool has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Name>)]
    pub name: Option<String>,
    /// About it; an empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Description>)]
    pub description: Option<String>,
    /// Nodes it has room for.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// `active`, `inactive`, `maintenance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PoolStatus>)]
    pub status: Option<String>,
    /// How it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PoolConfigRequest>,
}

fn configuration(fields: &Fields<'_>) -> Result<Option<PoolConfigChange>, FieldError> {
    let Some(config) = fields.object("configuration")? else { return Ok(None) };
    Ok(Some(PoolConfigChange {
        auto_assignment: config.flag("auto_assignment")?,
        load_balancing: config.word("load_balancing", LoadBalancing::ALL, LoadBalancing::name)?,
        health_check_interval_s: config.integer("health_check_interval", 30..=3600)?,
        failover_enabled: config.flag("failover_enabled")?,
        thresholds: config
            .object("alert_thresholds")?
            .map(|limits| thresholds(&limits))
            .transpose()?,
    }))
}

fn thresholds(limits: &Fields<'_>) -> Result<AlertThresholds, FieldError> {
    Ok(AlertThresholds {
        cpu: limits.percent("cpu_usage")?,
        memory: limits.percent("memory_usage")?,
        disk: limits.percent("disk_usage")?,
        missed_heartbeat_s: limits.integer("missed_heartbeat_s", MISSED_HEARTBEAT_S)?,
    })
}

impl Request for CreatePoolRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = NewPool;
    fn read(fields: &Fields<'_>) -> Result<NewPool, FieldError> {
        Ok(NewPool {
            name: fields.require("name", fields.text("name", NAME_LENGTH)?)?,
            description: fields.text("description", DESCRIPTION_LENGTH)?,
            max_nodes: fields.integer("max_nodes", 1..=1000)?.unwrap_or(MAX_NODES_DEFAULT),
            config: configuration(fields)?.unwrap_or_default().apply(PoolConfig::default()),
        })
    }
}

impl Request for UpdatePoolRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = PoolPatch;
    fn read(fields: &Fields<'_>) -> Result<PoolPatch, FieldError> {
        Ok(PoolPatch {
            name: fields.text("name", NAME_LENGTH)?,
            description: fields.text("description", DESCRIPTION_LENGTH)?,
            max_nodes: fields.integer("max_nodes", 1..=1000)?,
            status: fields.word("status", PoolStatus::ALL, PoolStatus::name)?,
            config: configuration(fields)?,
        })
    }
}

/// Which pool a node is put into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AssignPoolRequest {
    /// The pool.
    #[schema(value_type = schema::Id)]
    pub pool_id: String,
}

impl Request for AssignPoolRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = lucid_model::id::PoolId;
    fn read(fields: &Fields<'_>) -> Result<Self::Valid, FieldError> {
        fields.require("pool_id", fields.parsed("pool_id")?)
    }
}

#[cfg(test)]
mod tests;
