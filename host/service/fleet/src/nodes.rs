//! Reading nodes, changing them, and their life cycle.

use lucid_foundation::{Actor, CAS_TRIES, Role, ServiceError};
use lucid_model::{
    fleet::{
        commands::{NewSuspension, NodePatch},
        node::{Node, NodeEvent, NodeStatus},
    },
    id::{NodeId, PoolId, PoolScope},
    notifications::event::EventKind,
    time::{HOUR_MS, TimeMs},
};
use lucid_ports::Assigned;

use crate::{Approval, Fleet, NodeView};

/// How a change of a node is told to the audit log.
pub(crate) struct Change<'a> {
    pub(crate) action: &'a str,
    pub(crate) detail: String,
}

impl<'a> Change<'a> {
    pub(crate) fn of(action: &'a str) -> Self {
        Self { action, detail: String::new() }
    }
}

impl Fleet {
    /// Changes what a PUT may change.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is gone, another's or was changed meanwhile.
    pub async fn update_node(
        &self,
        actor: &Actor,
        id: NodeId,
        patch: NodePatch,
    ) -> Result<NodeView, ServiceError> {
        self.change_node(actor, id, Change::of("node.update"), |node, now| {
            node.name = patch.name.clone().unwrap_or_else(|| node.name.clone());
            node.description = patch
                .description
                .clone()
                .or_else(|| node.description.clone())
                .filter(|text| !text.is_empty());
            node.config = patch.config.map_or(node.config, |change| change.apply(node.config));
            node.updated_at = now;
            Ok(())
        })
        .await
        .map(|(_, view)| view)
    }

    /// Starts, pauses or removes a node for its owner or an operator.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not or the life cycle has no such transition.
    pub async fn transition(
        &self,
        actor: &Actor,
        id: NodeId,
        event: NodeEvent,
    ) -> Result<NodeView, ServiceError> {
        Ok(self.apply(actor, id, event).await?.1)
    }

    /// Suspends a node, and tells its owner if that is wanted.
    ///
    /// # Errors
    /// As [`Fleet::transition`].
    pub async fn suspend(
        &self,
        actor: &Actor,
        id: NodeId,
        suspension: NewSuspension,
    ) -> Result<NodeView, ServiceError> {
        let NewSuspension { reason, hours, notify_owner } = suspension;
        let until = hours.map(|hours| self.parts.clock.now().plus_ms(i64::from(hours) * HOUR_MS));
        let (before, view) =
            self.apply(actor, id, NodeEvent::Suspend { reason: reason.clone(), until }).await?;
        self.parts.notifications.emit(EventKind::NodeSuspended {
            node: id,
            from: before.status,
            reason,
            until,
            notify_owner,
        });
        Ok(view)
    }

    async fn apply(
        &self,
        actor: &Actor,
        id: NodeId,
        event: NodeEvent,
    ) -> Result<(Node, NodeView), ServiceError> {
        let operator = actor.is(Role::Operator);
        let action = match event {
            NodeEvent::Activate => "node.activate",
            NodeEvent::Deactivate => "node.deactivate",
            NodeEvent::Suspend { .. } => "node.suspend",
            NodeEvent::LiftSuspension => "node.lift_suspension",
            NodeEvent::Deregister => "node.deregister",
            NodeEvent::GoSilent => "node.go_silent",
            NodeEvent::Return => "node.return",
        };
        if matches!(event, NodeEvent::Suspend { .. } | NodeEvent::LiftSuspension) && !operator {
            return Err(ServiceError::Forbidden { why: "this needs role operator" });
        }
        let approval = self.config.approval;
        let detail = if let NodeEvent::Suspend { reason, .. } = &event {
            reason.clone()
        } else {
            String::new()
        };
        self.change_node(actor, id, Change { action, detail }, |node, now| {
            let approved = operator || node.approved || approval == Approval::Auto;
            if event == NodeEvent::Activate && node.status == NodeStatus::Pending && !approved {
                return Err(ServiceError::Forbidden { why: "an operator approves new nodes here" });
            }
            Ok(node.apply(event.clone(), now)?)
        })
        .await
    }

    /// Puts a node into a pool, or out of all.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no such node or pool, or no room.
    pub async fn assign(
        &self,
        actor: &Actor,
        id: NodeId,
        pool: Option<PoolId>,
    ) -> Result<NodeView, ServiceError> {
        for _ in 0..CAS_TRIES {
            let node = self.managed_node(actor, id).await?;
            actor.expects("node", node.version)?;
            let audit = self.parts.audit.entry(
                actor,
                "node.assign",
                id,
                pool.map_or("to no pool".into(), |p| format!("to pool {p}")),
            );
            let audit = audit.changing(&node, &Node { pool, ..node.clone() });
            match self.parts.nodes.assign_node(id, node.version, pool, audit).await? {
                Assigned::Done(node) => {
                    self.parts.notifications.emit(EventKind::NodeAssigned {
                        node: id,
                        pool: PoolScope::of(pool),
                        pool_name: None,
                    });
                    return self
                        .with_live(vec![*node])
                        .await?
                        .pop()
                        .ok_or(ServiceError::no("node"));
                }
                Assigned::PoolFull => return Err(ServiceError::PoolFull),
                Assigned::NoSuchPool => return Err(ServiceError::no("pool")),
                Assigned::Conflict => {}
            }
        }
        Err(ServiceError::Changed { what: "node" })
    }

    pub(crate) async fn managed_node(
        &self,
        actor: &Actor,
        id: NodeId,
    ) -> Result<Node, ServiceError> {
        let node = self.live_node(id).await?;
        if actor.manages(node.owner) {
            Ok(node)
        } else {
            Err(ServiceError::Forbidden {
                why: "the node is another's, or the role may not change nodes",
            })
        }
    }

    /// Changes a node that the caller manages; the record before, and what it is now.
    pub(crate) async fn change_node(
        &self,
        actor: &Actor,
        id: NodeId,
        told: Change<'_>,
        change: impl Fn(&mut Node, TimeMs) -> Result<(), ServiceError> + Send + Sync,
    ) -> Result<(Node, NodeView), ServiceError> {
        for _ in 0..CAS_TRIES {
            let before = self.managed_node(actor, id).await?;
            actor.expects("node", before.version)?;
            let mut node = before.clone();
            change(&mut node, self.parts.clock.now())?;
            self.stamp_status(&before, &mut node);
            node.version += 1;
            let audit = self
                .parts
                .audit
                .entry(actor, told.action, id, told.detail.clone())
                .changing(&before, &node);
            if self.parts.nodes.update_node(node.clone(), audit).await? {
                self.after_change(&before, &node);
                self.follow_with_alerts(&before, &node).await;
                let view =
                    self.with_live(vec![node]).await?.pop().ok_or(ServiceError::no("node"))?;
                return Ok((before, view));
            }
        }
        Err(ServiceError::Changed { what: "node" })
    }

    /// Dates a change of status as presence is dated, so that none grows from before it.
    fn stamp_status(&self, before: &Node, after: &mut Node) {
        if before.status != after.status {
            after.status_since = Some(self.parts.clock.presence_now());
        }
    }

    /// What follows from a change of status: presence starts anew, liveness is watched or not,
    /// everybody is told.
    pub(crate) fn after_change(&self, before: &Node, after: &Node) {
        if before.status == after.status {
            return;
        }
        self.presence.forget(after.id);
        let mut heard = self.presence.last_heard_ms.lock();
        if after.status == NodeStatus::Active {
            heard.insert(after.id, self.parts.clock.monotonic_ms());
        } else {
            heard.remove(&after.id);
        }
        drop(heard);
        // A suspension is told with its reason, by who suspends.
        if after.status != NodeStatus::Suspended {
            self.parts.notifications.emit(EventKind::NodeStatusChanged {
                node: after.id,
                from: before.status,
                to: after.status,
            });
        }
    }

    /// A change the service makes by itself; gives up quietly if somebody else was first.
    pub async fn apply_automatic_transition(
        &self,
        before: &Node,
        event: NodeEvent,
        action: &str,
        detail: &str,
    ) -> Result<Option<Node>, ServiceError> {
        let mut node = before.clone();
        if node.apply(event, self.parts.clock.now()).is_err() {
            return Ok(None);
        }
        self.stamp_status(before, &mut node);
        node.version += 1;
        let audit = self
            .parts
            .audit
            .entry(&Actor::system(), action, node.id, detail)
            .changing(before, &node);
        if !self.parts.nodes.update_node(node.clone(), audit).await? {
            return Ok(None);
        }
        self.after_change(before, &node);
        self.follow_with_alerts(before, &node).await;
        Ok(Some(node))
    }
}
