//! Answers that only the deprecated routes give.

use lucid_model::{
    epochs::score::Ppm,
    fleet::{
        alert::{Alert, AlertKind, Measured},
        node::Node,
    },
    id::PoolId,
    money::payout::Payout,
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    money::payout::PayoutBody,
    number::ExactNumber,
    schema,
};

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

/// Which pool a node is put into, as the Electron client says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JoinPoolRequest {
    /// The pool.
    #[serde(rename = "poolId")]
    #[schema(value_type = schema::Id)]
    pub pool_id: String,
}

impl Request for JoinPoolRequest {
    const IGNORES_UNKNOWN: bool = true;
    type Valid = PoolId;
    fn read(fields: &Fields<'_>) -> Result<PoolId, FieldError> {
        fields.require("poolId", fields.parsed("poolId")?)
    }
}

/// A payout, with the Electron client's names of its amount and transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LegacyPayoutBody {
    /// The payout.
    #[serde(flatten)]
    pub payout: PayoutBody,
    /// `amount`.
    #[schema(value_type = schema::Amount)]
    pub amount_usdt: ExactNumber,
    /// `transaction_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::TransactionId>)]
    pub transaction_hash: Option<String>,
}

impl From<&Payout> for LegacyPayoutBody {
    fn from(payout: &Payout) -> Self {
        let payout = PayoutBody::from(payout);
        Self {
            amount_usdt: payout.amount.clone(),
            transaction_hash: payout.transaction_id.clone(),
            payout,
        }
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
    /// What was measured when it was raised: percent of usage, or seconds of silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ExactNumber>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<ExactNumber>,
}

/// An alert of a node, active or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAlertEntryBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub alert_id: String,
    /// What it is about.
    #[schema(value_type = schema::NodeAlertKind)]
    pub about: String,
    /// When it was raised.
    #[schema(value_type = schema::Timestamp)]
    pub raised_at: String,
    /// When it was over; not there while it is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub cleared_at: Option<String>,
    /// When that happened which `action` names.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// What happened last: `node.alert_raised`, `node.alert_cleared`.
    pub action: String,
    /// For people.
    pub message: String,
    /// What was measured when it was raised: percent of usage, or seconds of silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ExactNumber>,
    /// What it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<ExactNumber>,
}

/// A number of an alert as its kind counts: hundredths of a percent, or seconds.
fn number(kind: AlertKind, number: u32) -> ExactNumber {
    if AlertKind::USAGE.contains(&kind) {
        ExactNumber::percent_floor(Ppm(number.saturating_mul(100)))
    } else {
        ExactNumber::whole(number)
    }
}

/// Value and limit of an alert.
pub fn measured(
    kind: AlertKind,
    measured: Option<Measured>,
) -> (Option<ExactNumber>, Option<ExactNumber>) {
    measured.map(|m| (number(kind, m.value), number(kind, m.limit))).unzip()
}

impl From<&Alert> for NodeAlertEntryBody {
    fn from(alert: &Alert) -> Self {
        let (value, limit) = measured(alert.kind, alert.measured);
        Self {
            alert_id: alert.id.to_string(),
            about: alert.kind.name().into(),
            raised_at: alert.raised_at.to_string(),
            cleared_at: alert.cleared_at.map(|at| at.to_string()),
            timestamp: alert.cleared_at.unwrap_or(alert.raised_at).to_string(),
            action: if alert.cleared_at.is_some() {
                "node.alert_cleared"
            } else {
                "node.alert_raised"
            }
            .into(),
            message: alert.message.clone(),
            value,
            limit,
        }
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
