//! What needs the attention of a node's owner, and what did.

use lucid_model::{
    audit::AuditEntry,
    id::NodeId,
    node::{Node, NodeStatus},
    score::Ppm,
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Order, PageRequest};

use crate::{Actor, NodeView, Service, ServiceError};

/// Entries of the history, newest first.
const HISTORY_MAX: u32 = 100;
/// What of the audit log is an alert's beginning or end.
const HISTORY_ACTIONS: [&str; 4] = ["node.go_silent", "node.return", "node.suspend", "node.lift_suspension"];

/// Something that is wrong with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAlert {
    /// `silent`, `suspended`, `no_wallet`, `wallet_waits`, `cpu`, `memory`, `disk`.
    pub about: &'static str,
    /// For people.
    pub message: String,
    /// Since when, if that is known.
    pub since: Option<TimeMs>,
}

/// What is wrong with a node, and what was.
#[derive(Debug, Clone)]
pub struct NodeAlerts {
    /// Now.
    pub active: Vec<NodeAlert>,
    /// Newest first.
    pub history: Vec<AuditEntry>,
}

fn alert(about: &'static str, message: impl Into<String>, since: Option<TimeMs>) -> NodeAlert {
    NodeAlert { about, message: message.into(), since }
}

fn of_record(node: &Node) -> Vec<NodeAlert> {
    let mut alerts = Vec::new();
    if node.status == NodeStatus::Error {
        alerts.push(alert("silent", node.error_reason.clone().unwrap_or_default(), Some(node.updated_at)));
    }
    if let Some(suspension) = &node.suspension {
        let until = suspension.until.map_or_else(|| "until lifted".to_owned(), |at| format!("until {at}"));
        alerts.push(alert("suspended", format!("{} ({until})", suspension.reason), None));
    }
    if node.wallet.is_none() {
        alerts.push(alert("no_wallet", "earnings accrue and cannot be paid", Some(node.created_at)));
    }
    if let Some(wish) = &node.wallet_wish {
        alerts.push(alert("wallet_waits", format!("a change of wallet to {} waits for a treasurer", wish.address), Some(wish.at)));
    }
    alerts
}

fn of_usage(view: &NodeView) -> Vec<NodeAlert> {
    let Some(sample) = view.live.as_ref().and_then(|live| live.sample).filter(|_| view.node.config.monitoring_enabled) else { return Vec::new() };
    let config = view.node.config;
    let over = |about, used: Ppm, limit: Ppm| {
        (used > limit).then(|| alert(about, format!("{} % used, more than the limit of {} %", used.0 / 10_000, limit.0 / 10_000), Some(sample.at)))
    };
    let usage = sample.usage;
    [over("cpu", usage.cpu, config.max_cpu), over("memory", usage.memory, config.max_memory), over("disk", usage.disk, config.max_disk)]
        .into_iter()
        .flatten()
        .collect()
}

impl Service {
    /// What is wrong with a node that the caller sees, and what was.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn node_alerts(&self, actor: &Actor, id: NodeId) -> Result<NodeAlerts, ServiceError> {
        let view = self.node(actor, id).await?;
        let mut history = Vec::new();
        for action in HISTORY_ACTIONS {
            let filter = AuditFilter { subject: Some(id.to_string()), action: Some(action.to_owned()), ..AuditFilter::default() };
            let page = PageRequest { page: 1, limit: HISTORY_MAX, sort: (), order: Order::Descending };
            history.extend(self.store().audit(&filter, page).await?.items.into_iter().map(|chained| chained.entry));
        }
        history.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.id)));
        history.truncate(HISTORY_MAX as usize);
        Ok(NodeAlerts { active: of_record(&view.node).into_iter().chain(of_usage(&view)).collect(), history })
    }
}
