//! Nodes that fall silent, and suspensions that end.

use futures::TryStreamExt as _;
use lucid_foundation::ServiceError;
use lucid_model::{
    fleet::{
        alert::{AlertKind, Measured},
        node::{Node, NodeEvent, NodeStatus},
    },
    id::NodeId,
};
use lucid_ports::{NodeFilter, NodeSort, Order, PageRequest};

use crate::Fleet;

/// Nodes read at once when the fleet is walked.
pub const WALK_BATCH: u32 = 1_000;
/// Fleets of fewer nodes have no mass outage: a few nodes fail together for reasons of their own.
const MASS_OUTAGE_NODES_MIN: usize = 10;
/// Between two looks at a fleet that is silent.
const MASS_OUTAGE_LOOK_MS: i64 = 5_000;

impl Fleet {
    /// Starts to watch every node that is active: from now, since nobody knows what was missed
    /// while we were away.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn watch_fleet(&self) -> Result<(), ServiceError> {
        let mut batches = self.parts.nodes.live_nodes(WALK_BATCH).await?;
        while let Some(nodes) = batches.try_next().await? {
            let started = self.parts.clock.monotonic_ms();
            let mut heard = self.presence.last_heard_ms.lock();
            for node in nodes.iter().filter(|n| n.status == NodeStatus::Active) {
                heard.entry(node.id).or_insert(started);
            }
        }
        self.learn_thresholds().await?;
        self.know_active_alerts().await
    }

    /// Puts nodes that were silent for too long into error, unless so many are silent at once that
    /// it is probably us.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn sweep_silent(&self) -> Result<u32, ServiceError> {
        let now_ms = self.parts.clock.monotonic_ms();
        if now_ms < *self.no_sweep_before_ms.lock() {
            return Ok(0);
        }
        if self.unheard(now_ms, |silence_ms| silence_ms).is_empty() {
            self.parts.notifications.clear_alert("mass-outage");
            return Ok(0);
        }
        // When the first node of an outage has been silent for too long, the others are on their
        // way there: also those of pools that wait for longer, which report as often as the others
        // do.
        let on_its_way_ms = |silence_ms: i64| silence_ms.min(self.config.silence_ms) / 2;
        self.hear_from_others(self.unheard(now_ms, on_its_way_ms), now_ms).await?;
        let (overdue, watched) =
            (self.unheard(now_ms, on_its_way_ms).len(), self.presence.last_heard_ms.lock().len());
        if self.is_mass_outage(overdue, watched) {
            *self.no_sweep_before_ms.lock() = now_ms + MASS_OUTAGE_LOOK_MS;
            self.parts.notifications.alert(
                "mass-outage",
                format!("{overdue} of {watched} nodes are silent at once: none is put in error, the fault is probably on our side"),
            );
            return Ok(0);
        }
        self.parts.notifications.clear_alert("mass-outage");
        self.silence(self.unheard(now_ms, |silence_ms| silence_ms), now_ms).await
    }

    /// Nodes that this process has not heard for as long as `wait_ms` makes of the silence that
    /// each is allowed.
    fn unheard(&self, now_ms: i64, wait_ms: impl Fn(i64) -> i64) -> Vec<NodeId> {
        let silences_ms = self.silences_ms.lock();
        let waited = |node: &NodeId| {
            wait_ms(silences_ms.get(node).copied().unwrap_or(self.config.silence_ms))
        };
        self.presence
            .last_heard_ms
            .lock()
            .iter()
            .filter(|(node, at)| now_ms - **at >= waited(node))
            .map(|(node, _)| *node)
            .collect()
    }

    fn is_mass_outage(&self, overdue: usize, watched: usize) -> bool {
        let most = watched
            .saturating_mul(usize::try_from(self.config.mass_outage_percent).unwrap_or(usize::MAX));
        self.config.mass_outage_percent > 0
            && watched >= MASS_OUTAGE_NODES_MIN
            && overdue.saturating_mul(100) > most
    }

    /// Other replicas may have heard them: the store has the last report, whoever took it.
    async fn hear_from_others(
        &self,
        unheard: Vec<NodeId>,
        now_ms: i64,
    ) -> Result<(), ServiceError> {
        let now = self.parts.clock.now();
        for some in unheard.chunks(WALK_BATCH as usize) {
            let last = self.parts.reports.live_states(some).await?;
            let mut heard = self.presence.last_heard_ms.lock();
            for (id, live) in some.iter().zip(last).filter_map(|(id, live)| Some((*id, live?))) {
                // A clock that is ahead of ours makes nobody heard in the future.
                let heard_ms = now_ms.saturating_sub(now.ms_since(live.last_seen).max(0));
                if let Some(at) = heard.get_mut(&id) {
                    *at = heard_ms.max(*at);
                }
            }
        }
        Ok(())
    }

    async fn silence(&self, silent: Vec<NodeId>, now_ms: i64) -> Result<u32, ServiceError> {
        let mut gone = 0;
        for id in silent {
            let node = self.parts.nodes.node(id).await?;
            match node.filter(Node::is_live) {
                Some(node) if node.status == NodeStatus::Active => {
                    let measured = self.silence_of(id, now_ms);
                    let changed = self
                        .apply_automatic_transition(
                            &node,
                            NodeEvent::GoSilent,
                            "node.go_silent",
                            "no report within the liveness window",
                        )
                        .await?;
                    if let Some(changed) = changed {
                        gone += 1;
                        self.raise_node_alert(
                            id,
                            AlertKind::Silent,
                            changed.error_reason.unwrap_or_default(),
                            Some(measured),
                        )
                        .await?;
                    }
                }
                _ => {
                    self.presence.last_heard_ms.lock().remove(&id);
                }
            }
        }
        Ok(gone)
    }

    /// For how long a node has been silent, and for how long it may be, in seconds.
    fn silence_of(&self, node: NodeId, now_ms: i64) -> Measured {
        let seconds = |ms: i64| u32::try_from(ms / 1_000).unwrap_or_default();
        let heard_ms = self.presence.last_heard_ms.lock().get(&node).copied().unwrap_or(now_ms);
        let limit_ms =
            self.silences_ms.lock().get(&node).copied().unwrap_or(self.config.silence_ms);
        Measured { value: seconds(now_ms - heard_ms), limit: seconds(limit_ms) }
    }

    /// Lifts suspensions whose time is over.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn lift_suspensions(&self) -> Result<(), ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(()) };
        let filter = NodeFilter { status: Some(NodeStatus::Suspended), ..NodeFilter::default() };
        let mut page = 1;
        loop {
            let request = PageRequest {
                page,
                limit: 100,
                sort: NodeSort::CreatedAt,
                order: Order::Ascending,
            };
            let suspended = self.parts.nodes.nodes(&filter, request).await?.items;
            let over: Vec<_> = suspended
                .iter()
                .filter(|n| {
                    n.suspension.as_ref().and_then(|s| s.until).is_some_and(|until| until <= now)
                })
                .collect();
            for node in &over {
                self.apply_automatic_transition(
                    node,
                    NodeEvent::LiftSuspension,
                    "node.lift_suspension",
                    "its time is over",
                )
                .await?;
            }
            if suspended.len() < 100 {
                return Ok(());
            }
            // What was lifted left the list, so that the next page begins earlier.
            page += u64::from(over.is_empty());
        }
    }
}
