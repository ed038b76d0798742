use std::collections::BTreeMap;

use lucid_model::{id::NodeId, telemetry::credit::LastReport};
use parking_lot::Mutex;

/// When active nodes were heard of, as far as this replica knows.
#[derive(Debug, Default)]
pub struct Presence {
    /// Last signed report of each active node; what presence grows from.
    last_reports: Mutex<BTreeMap<NodeId, LastReport>>,
    /// When each active node was last heard of, on the monotonic clock; what liveness is judged by.
    pub(crate) last_heard_ms: Mutex<BTreeMap<NodeId, i64>>,
}

impl Presence {
    /// The last signed report of a node that this replica took.
    pub fn last_report(&self, node: NodeId) -> Option<LastReport> {
        self.last_reports.lock().get(&node).copied()
    }

    /// Presence begins anew with the node's next report.
    pub fn forget(&self, node: NodeId) {
        self.last_reports.lock().remove(&node);
    }

    /// An active node reported; signed reports are what presence grows from.
    pub fn heard(&self, node: NodeId, monotonic_ms: i64, signed: Option<LastReport>) {
        self.last_heard_ms.lock().insert(node, monotonic_ms);
        if let Some(report) = signed {
            self.last_reports.lock().insert(node, report);
        }
    }
}
