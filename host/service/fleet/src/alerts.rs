//! Alerts about nodes while they live: raised, cleared, known again after a start.
//!
//! What a report is held against is in memory; the store is written only when an alert is raised or
//! cleared, and keeps apart what several replicas raise.

use std::collections::BTreeMap;

use lucid_foundation::ServiceError;
use lucid_model::{
    fleet::{
        alert::{Alert, AlertKind, AlertThresholds, Crossing, Measured, UsageLimits},
        node::{Node, NodeStatus},
        pool::Pool,
    },
    id::{AlertId, NodeId, PoolId},
    notifications::event::EventKind,
    telemetry::metric::Sample,
};
use lucid_ports::{Order, PageRequest, PoolFilter, PoolSort};

use crate::{Fleet, liveness::WALK_BATCH};

/// Pools read at once.
const POOLS_A_PAGE: u32 = 100;
/// Alerts forgotten in one step.
const FORGOTTEN_A_STEP: u32 = 1_000;

/// Whether an alert still fits the node it is about; one whose end a crash cut off does not.
fn fits(kind: AlertKind, node: Option<&Node>) -> bool {
    let Some(node) = node.filter(|node| node.is_live()) else { return false };
    match kind {
        AlertKind::Silent => node.status == NodeStatus::Error,
        AlertKind::Suspended => node.status == NodeStatus::Suspended,
        // It is over once the reports do not collide any more.
        AlertKind::Cloned => true,
        AlertKind::Cpu | AlertKind::Memory | AlertKind::Disk => node.config.monitoring_enabled,
    }
}

impl Fleet {
    /// Learns which alerts are active, so that none is raised twice and each is cleared, whoever
    /// raised it.
    pub(crate) async fn know_active_alerts(&self) -> Result<(), ServiceError> {
        let (mut after, mut active) = (None, BTreeMap::<NodeId, Vec<AlertKind>>::new());
        loop {
            let alerts = self.parts.node_alerts.active_alerts_after(after, WALK_BATCH).await?;
            let Some(last) = alerts.last() else { break };
            after = Some(last.id);
            for alert in alerts {
                let node = self.parts.nodes.node(alert.node).await?;
                if fits(alert.kind, node.as_ref()) {
                    if alert.kind == AlertKind::Cloned {
                        self.know_cloned(alert.node);
                    }
                    active.entry(alert.node).or_default().push(alert.kind);
                } else {
                    self.clear_node_alert(alert.node, alert.kind).await?;
                }
            }
        }
        let mut watches = self.usage_watches.lock();
        for (node, watch) in watches.iter_mut() {
            let gone: Vec<_> = watch
                .raised()
                .filter(|kind| active.get(node).is_none_or(|kinds| !kinds.contains(kind)))
                .collect();
            gone.into_iter().for_each(|kind| watch.note(kind, false));
        }
        for (node, kinds) in active {
            let watch = watches.entry(node).or_default();
            let known: Vec<_> = watch.raised().collect();
            kinds
                .into_iter()
                .filter(|kind| !known.contains(kind))
                .for_each(|kind| watch.note(kind, true));
        }
        Ok(())
    }

    /// Reads what pools say of their members' alerts: what is changed on another replica is known
    /// here after a while.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn learn_thresholds(&self) -> Result<(), ServiceError> {
        let (mut page, mut thresholds, mut silences) = (1, BTreeMap::new(), BTreeMap::new());
        loop {
            let request = PageRequest {
                page,
                limit: POOLS_A_PAGE,
                sort: PoolSort::CreatedAt,
                order: Order::Ascending,
            };
            let pools = self.parts.pools.pools(&PoolFilter::default(), request).await?.items;
            for pool in pools.iter().filter(|pool| !pool.config.thresholds.is_empty()) {
                thresholds.insert(pool.id, pool.config.thresholds);
                if let Some(missed_s) = pool.config.thresholds.missed_heartbeat_s {
                    let members = self.parts.pools.pool_members(pool.id).await?;
                    silences.extend(
                        members.into_iter().map(|member| (member, i64::from(missed_s) * 1_000)),
                    );
                }
            }
            if pools.len() < POOLS_A_PAGE as usize {
                break;
            }
            page += 1;
        }
        *self.thresholds.lock() = thresholds;
        if *self.silences_ms.lock() != silences {
            tracing::debug!(
                members = silences.len(),
                "members of pools with a silence of their own"
            );
            *self.silences_ms.lock() = silences;
        }
        Ok(())
    }

    /// Takes a pool's thresholds as they are now; who is its member is looked up with the next
    /// [`Fleet::learn_thresholds`].
    pub(crate) fn take_thresholds(&self, pool: &Pool) {
        self.thresholds.lock().insert(pool.id, pool.config.thresholds);
    }

    fn thresholds_of(&self, pool: Option<PoolId>) -> Option<AlertThresholds> {
        self.thresholds.lock().get(&pool?).copied()
    }

    /// Holds what a node just measured against its limits. Samples that were on their way for long
    /// say nothing of now. A store that does not answer costs no report: the alert is raised with
    /// the next sample.
    pub async fn watch_usage(&self, node: &Node, samples: &[Sample]) {
        let done = if node.config.monitoring_enabled {
            self.check_limits(node, samples).await
        } else {
            self.end_usage_alerts(node.id).await
        };
        if let Err(error) = done {
            tracing::error!(node = %node.id, %error, "an alert could not be raised or cleared");
        }
    }

    async fn check_limits(&self, node: &Node, samples: &[Sample]) -> Result<(), ServiceError> {
        let limits = UsageLimits::of(&node.config, self.thresholds_of(node.pool).as_ref());
        let mut crossings = BTreeMap::new();
        {
            let mut watches = self.usage_watches.lock();
            let watch = watches.entry(node.id).or_default();
            for sample in samples.iter().filter(|sample| !sample.is_late()) {
                for crossing in watch.take(sample.at, sample.arrived_at, &sample.usage, &limits) {
                    let (Crossing::Over(kind, _) | Crossing::Under(kind)) = crossing;
                    crossings.insert(kind.name(), crossing);
                }
            }
        }
        for crossing in crossings.into_values() {
            let (kind, raised) = match crossing {
                Crossing::Over(kind, measured) => {
                    let (value, limit) = (kind.shown(measured.value), kind.shown(measured.limit));
                    self.raise_node_alert(
                        node.id,
                        kind,
                        format!("{value} % used, more than the limit of {limit} %"),
                        Some(measured),
                    )
                    .await?;
                    (kind, true)
                }
                Crossing::Under(kind) => {
                    self.clear_node_alert(node.id, kind).await?;
                    (kind, false)
                }
            };
            self.usage_watches.lock().entry(node.id).or_default().note(kind, raised);
        }
        Ok(())
    }

    /// Nobody watches the node's usage any more.
    async fn end_usage_alerts(&self, node: NodeId) -> Result<(), ServiceError> {
        let raised: Vec<_> = self
            .usage_watches
            .lock()
            .get(&node)
            .into_iter()
            .flat_map(|watch| watch.raised().collect::<Vec<_>>())
            .collect();
        for kind in raised {
            self.clear_node_alert(node, kind).await?;
        }
        self.usage_watches.lock().remove(&node);
        Ok(())
    }

    /// Raises an alert, unless one of the kind is active.
    pub(crate) async fn raise_node_alert(
        &self,
        node: NodeId,
        kind: AlertKind,
        message: String,
        measured: Option<Measured>,
    ) -> Result<(), ServiceError> {
        let alert = Alert {
            id: AlertId(self.parts.ids.uuid_v7()),
            node,
            kind,
            raised_at: self.parts.clock.now(),
            cleared_at: None,
            message,
            measured,
        };
        if self.parts.node_alerts.raise_alert(alert.clone()).await? {
            metrics::counter!("lucid_node_alerts_total", "about" => kind.name()).increment(1);
            self.parts.notifications.emit(EventKind::NodeAlertRaised {
                node,
                about: kind,
                message: alert.message,
                measured,
            });
        }
        Ok(())
    }

    /// Clears the active alert of a kind, if there is one.
    pub(crate) async fn clear_node_alert(
        &self,
        node: NodeId,
        kind: AlertKind,
    ) -> Result<(), ServiceError> {
        if let Some(alert) =
            self.parts.node_alerts.clear_alert(node, kind, self.parts.clock.now()).await?
        {
            self.parts.notifications.emit(EventKind::NodeAlertCleared {
                node,
                about: kind,
                message: alert.message,
                measured: alert.measured,
            });
        }
        Ok(())
    }

    /// Raises and clears what follows from a change of a node. What cannot be written now is put
    /// right at the next start.
    pub(crate) async fn follow_with_alerts(&self, before: &Node, after: &Node) {
        if let Err(error) = self.try_follow(before, after).await {
            tracing::error!(node = %after.id, %error, "an alert could not be raised or cleared");
        }
    }

    async fn try_follow(&self, before: &Node, after: &Node) -> Result<(), ServiceError> {
        if before.config.monitoring_enabled && !after.config.monitoring_enabled {
            self.end_usage_alerts(after.id).await?;
        }
        if before.status == after.status {
            return Ok(());
        }
        match before.status {
            NodeStatus::Error => self.clear_node_alert(after.id, AlertKind::Silent).await?,
            NodeStatus::Suspended => self.clear_node_alert(after.id, AlertKind::Suspended).await?,
            _ => {}
        }
        if let Some(suspension) =
            after.suspension.as_ref().filter(|_| after.status == NodeStatus::Suspended)
        {
            let until = suspension
                .until
                .map_or_else(|| "until lifted".to_owned(), |at| format!("until {at}"));
            self.raise_node_alert(
                after.id,
                AlertKind::Suspended,
                format!("{} ({until})", suspension.reason),
                None,
            )
            .await?;
        }
        if !after.is_live() {
            self.end_usage_alerts(after.id).await?;
        }
        Ok(())
    }

    /// Forgets alerts that were over long ago. `true` if there may be more.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn forget_alerts(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        let forgotten = self
            .parts
            .node_alerts
            .forget_alerts(now.plus_ms(-self.config.alerts_kept_ms), FORGOTTEN_A_STEP)
            .await?;
        Ok(forgotten == u64::from(FORGOTTEN_A_STEP))
    }
}
