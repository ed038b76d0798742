//! A node's configuration as requests set and change it.

use lucid_model::fleet::commands::NodeConfigChange;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fields::{FieldError, Fields};

/// Limits of what a node lends; what is absent has its default (or stays, in an update).
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ResourceLimitsRequest {
    /// Percent.
    #[schema(minimum = 0, maximum = 100, default = 80)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cpu_usage: Option<f64>,
    /// Percent.
    #[schema(minimum = 0, maximum = 100, default = 80)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_usage: Option<f64>,
    /// Percent.
    #[schema(minimum = 0, maximum = 100, default = 90)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_disk_usage: Option<f64>,
    /// Bytes per second.
    #[schema(minimum = 0, maximum = 9_223_372_036_854_775_807_u64, default = 1_000_000_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_network_bandwidth: Option<u64>,
}

/// How a node works; what is absent has its default (or stays, in an update).
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct NodeConfigRequest {
    /// Concurrent sessions.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Limits of what it lends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimitsRequest>,
    /// Whether it may be given more sessions under load.
    #[schema(default = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_scaling: Option<bool>,
    /// Whether alerts are raised for it.
    #[schema(default = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring_enabled: Option<bool>,
}

fn change(fields: &Fields<'_>) -> Result<NodeConfigChange, FieldError> {
    let mut changed = NodeConfigChange {
        max_sessions: fields.integer("max_sessions", 1..=100)?,
        auto_scaling: fields.flag("auto_scaling")?,
        monitoring_enabled: fields.flag("monitoring_enabled")?,
        ..NodeConfigChange::default()
    };
    if let Some(limits) = fields.object("resource_limits")? {
        changed.max_cpu = limits.percent("max_cpu_usage")?;
        changed.max_memory = limits.percent("max_memory_usage")?;
        changed.max_disk = limits.percent("max_disk_usage")?;
        // What the store keeps is a signed 64-bit number.
        changed.max_network_bandwidth =
            limits.integer("max_network_bandwidth", 0..=i64::MAX.unsigned_abs())?;
    }
    Ok(changed)
}

/// What a request says of the configuration.
pub(super) fn configuration(fields: &Fields<'_>) -> Result<Option<NodeConfigChange>, FieldError> {
    fields.object("configuration")?.map(|config| change(&config)).transpose()
}
