//! What needs the attention of a node's owner, and what did.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::{
        alert::{Alert, AlertKind, Measured},
        node::{Node, NodeStatus},
    },
    id::NodeId,
    time::TimeMs,
};
use lucid_ports::{Order, PageRequest};

use crate::Fleet;

/// Alerts of the history, newest first.
const HISTORY_MAX: u32 = 100;

/// Something that is wrong with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAlert {
    /// The alert's kind, or `no_wallet`, `wallet_waits`: what is told by the node's record alone.
    pub about: &'static str,
    /// For people.
    pub message: String,
    /// Since when, if that is known.
    pub since: Option<TimeMs>,
    /// What was measured as the alert was raised, as its kind counts.
    pub measured: Option<(AlertKind, Measured)>,
}

/// What is wrong with a node, and what was.
#[derive(Debug, Clone)]
pub struct NodeAlerts {
    /// Now.
    pub active: Vec<NodeAlert>,
    /// Alerts, active ones too, newest first.
    pub history: Vec<Alert>,
}

fn of_record(about: &'static str, message: impl Into<String>, since: Option<TimeMs>) -> NodeAlert {
    NodeAlert { about, message: message.into(), since, measured: None }
}

fn raised(alert: Alert) -> NodeAlert {
    let measured = alert.measured.map(|measured| (alert.kind, measured));
    NodeAlert {
        about: alert.kind.name(),
        message: alert.message,
        since: Some(alert.raised_at),
        measured,
    }
}

/// What is wrong by the node's record. Where an alert is not written yet, the record tells of it
/// too.
fn alerts_by_record(node: &Node, known: &[NodeAlert]) -> Vec<NodeAlert> {
    let unknown = |kind: AlertKind| known.iter().all(|alert| alert.about != kind.name());
    let mut told = Vec::new();
    if node.status == NodeStatus::Error && unknown(AlertKind::Silent) {
        told.push(of_record(
            "silent",
            node.error_reason.clone().unwrap_or_default(),
            Some(node.updated_at),
        ));
    }
    if let Some(suspension) = node.suspension.as_ref().filter(|_| unknown(AlertKind::Suspended)) {
        told.push(of_record("suspended", suspension.reason.clone(), None));
    }
    if node.wallet.is_none() {
        told.push(of_record(
            "no_wallet",
            "earnings accrue and cannot be paid",
            Some(node.created_at),
        ));
    }
    if let Some(wish) = &node.wallet_wish {
        told.push(of_record(
            "wallet_waits",
            format!("a change of wallet to {} waits for a treasurer", wish.address),
            Some(wish.at),
        ));
    }
    told
}

impl Fleet {
    /// What is wrong with a node that the caller sees, and what was.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn node_alerts(&self, actor: &Actor, id: NodeId) -> Result<NodeAlerts, ServiceError> {
        let node = self.node(actor, id).await?.node;
        let alerts = self.parts.node_alerts.active_alerts(id).await?;
        let (mut active, usage): (Vec<_>, Vec<_>) = alerts
            .into_iter()
            .map(raised)
            .partition(|alert| AlertKind::USAGE.iter().all(|kind| kind.name() != alert.about));
        active.extend(alerts_by_record(&node, &active));
        active.extend(usage);
        let newest =
            PageRequest { page: 1, limit: HISTORY_MAX, sort: (), order: Order::Descending };
        Ok(NodeAlerts { active, history: self.parts.node_alerts.alerts(id, newest).await?.items })
    }
}
