//! Answers that only the deprecated routes give.

use lucid_model::{audit::AuditEntry, node::Node, time::TimeMs};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// Where a node is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatusBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// Its status.
    #[schema(value_type = schema::NodeStatus)]
    pub status: String,
    /// When it was activated last, where it was just started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub started_at: Option<String>,
    /// When it was deactivated, where it was just stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub stopped_at: Option<String>,
    /// Its last report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub last_seen: Option<String>,
}

impl NodeStatusBody {
    /// The status of a node.
    pub fn new(node: &Node, last_seen: Option<TimeMs>) -> Self {
        Self {
            node_id: node.id.to_string(),
            status: node.status.name().into(),
            started_at: None,
            stopped_at: None,
            last_seen: last_seen.map(|at| at.to_string()),
        }
    }
    /// … that was just started.
    #[must_use]
    pub fn started(self, node: &Node) -> Self {
        Self { started_at: Some(node.updated_at.to_string()), ..self }
    }
    /// … that was just stopped.
    #[must_use]
    pub fn stopped(self, node: &Node) -> Self {
        Self { stopped_at: Some(node.updated_at.to_string()), ..self }
    }
}

/// Something that is wrong with a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAlertBody {
    /// What it is about.
    #[schema(value_type = schema::NodeAlertKind)]
    pub about: String,
    /// For people.
    pub message: String,
    /// Since when, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub since: Option<String>,
}

/// Something that happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAlertEntryBody {
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// What: `node.go_silent`, `node.return`, `node.suspend`, `node.lift_suspension`.
    pub action: String,
    /// For people.
    pub message: String,
}

impl From<&AuditEntry> for NodeAlertEntryBody {
    fn from(entry: &AuditEntry) -> Self {
        Self { timestamp: entry.at.to_string(), action: entry.action.clone(), message: entry.detail.clone() }
    }
}

/// What is wrong with a node, and what was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAlertsBody {
    /// Now.
    pub active_alerts: Vec<NodeAlertBody>,
    /// Newest first, at most 100.
    pub alert_history: Vec<NodeAlertEntryBody>,
}
