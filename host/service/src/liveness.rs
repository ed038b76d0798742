//! Nodes that fall silent, and suspensions that end.

use std::collections::BTreeMap;

use lucid_model::{
    id::NodeId,
    node::{Node, NodeEvent, NodeStatus},
};
use lucid_ports::{NodeFilter, NodeSort, Order, PageRequest};

use crate::{Service, ServiceError};

/// Nodes read at once when the fleet is walked.
pub(crate) const WALK_BATCH: u32 = 1_000;

impl Service {
    /// Starts to watch every node that is active: from now, since nobody knows what was missed while we were away.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn watch_fleet(&self) -> Result<(), ServiceError> {
        let mut after = None;
        loop {
            let nodes = self.store().live_nodes_after(after, WALK_BATCH).await?;
            let Some(last) = nodes.last() else { return Ok(()) };
            after = Some(last.id);
            let started = self.ports.clock.monotonic_ms();
            let mut heard = self.last_heard_ms.lock();
            for node in nodes.iter().filter(|n| n.status == NodeStatus::Active) {
                heard.entry(node.id).or_insert(started);
            }
        }
    }

    /// Puts nodes that were silent for too long into error.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn sweep_silent(&self) -> Result<u32, ServiceError> {
        let (now_ms, now) = (self.ports.clock.monotonic_ms(), self.now());
        let deadline = now_ms - self.config.silence_ms;
        let unheard: Vec<_> = self.last_heard_ms.lock().iter().filter(|(_, at)| **at <= deadline).map(|(node, _)| *node).collect();
        let mut gone = 0;
        for some in unheard.chunks(WALK_BATCH as usize) {
            // Other replicas may have heard them: the store has the last report, whoever took it.
            let last = self.store().live_states(some).await?;
            let elsewhere = some.iter().zip(last).filter_map(|(id, live)| Some((*id, now.ms_since(live?.last_seen))));
            let elsewhere: BTreeMap<_, _> = elsewhere.filter(|(_, ago_ms)| ago_ms.abs() < self.config.silence_ms).collect();
            gone += self.silence(some.iter().copied().filter(|id| !elsewhere.contains_key(id)).collect()).await?;
            let mut heard = self.last_heard_ms.lock();
            for (id, ago_ms) in elsewhere {
                // A clock that is ahead of ours makes nobody heard in the future.
                heard.entry(id).and_modify(|at| *at = now_ms.saturating_sub(ago_ms.max(0)).max(*at));
            }
        }
        Ok(gone)
    }

    async fn silence(&self, silent: Vec<NodeId>) -> Result<u32, ServiceError> {
        let mut gone = 0;
        for id in silent {
            let node = self.store().node(id).await?;
            match node.filter(Node::is_live) {
                Some(node) if node.status == NodeStatus::Active => {
                    let changed = self.change_by_itself(&node, NodeEvent::GoSilent, "node.go_silent", "no report within the liveness window").await?;
                    gone += u32::from(changed.is_some());
                }
                _ => {
                    self.last_heard_ms.lock().remove(&id);
                }
            }
        }
        Ok(gone)
    }

    /// Lifts suspensions whose time is over.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn lift_suspensions(&self) -> Result<(), ServiceError> {
        let filter = NodeFilter { status: Some(NodeStatus::Suspended), ..NodeFilter::default() };
        let now = self.now();
        let mut page = 1;
        loop {
            let request = PageRequest { page, limit: 100, sort: NodeSort::CreatedAt, order: Order::Ascending };
            let suspended = self.store().nodes(&filter, request).await?.items;
            let over: Vec<_> = suspended.iter().filter(|n| n.suspension.as_ref().and_then(|s| s.until).is_some_and(|until| until <= now)).collect();
            for node in &over {
                self.change_by_itself(node, NodeEvent::LiftSuspension, "node.lift_suspension", "its time is over").await?;
            }
            if suspended.len() < 100 {
                return Ok(());
            }
            // What was lifted left the list, so that the next page begins earlier.
            page += u64::from(over.is_empty());
        }
    }
}
