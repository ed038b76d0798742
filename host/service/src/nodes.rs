//! Registering, reading, changing and leaving.

use std::net::IpAddr;

use lucid_model::{
    event::EventKind,
    facts::{REGISTRATION_FACTS, REGISTRATION_TEXTS},
    id::{NodeId, PoolId, PoolScope},
    node::{Hardware, Node, NodeConfig, NodeEvent, NodeStatus, PublicKey, Wallet},
    policy::{CallContext, RegistrationClaim, Scope},
    time::TimeMs,
    tron::TronAddress,
};
use lucid_ports::{Assigned, LiveState, NodeFilter, NodeSort, Page, PageRequest, Registered, SiblingCounts};

use crate::{Actor, Approval, RegistrationProof, Role, Service, ServiceError};

/// A registration, its fields checked for form.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// 1–255 characters.
    pub name: String,
    /// At most 1000.
    pub description: Option<String>,
    /// Where it can be reached.
    pub ip_address: IpAddr,
    /// 1024–65535.
    pub port: u16,
    /// Limits.
    pub config: NodeConfig,
    /// Identity.
    pub public_key: Option<PublicKey>,
    /// Payee address.
    pub wallet: Option<TronAddress>,
    /// What it is made of.
    pub hardware: Option<Hardware>,
    /// An older client's id.
    pub external_id: Option<String>,
}

/// A change of some of a node's limits.
pub type ConfigChange = Box<dyn Fn(NodeConfig) -> NodeConfig + Send + Sync>;

/// What a PUT changes; none = kept.
#[derive(Default)]
pub struct NodePatch {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New limits.
    pub config: Option<ConfigChange>,
}

/// A node with what changes with every report.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The record.
    pub node: Node,
    /// Its last report, if it ever made one.
    pub live: Option<LiveState>,
}

/// Tries of a compare-and-set before the caller is told.
const CAS_TRIES: u32 = 5;

impl Service {
    /// Registers a node: pending, in a pool that takes it.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the proof is bad, a cap is reached, the policy refuses or cannot
    /// answer, or a live node has the same identity. Nothing is changed then.
    pub async fn register(&self, actor: &Actor, new: NewNode, proof: Option<RegistrationProof>) -> Result<NodeView, ServiceError> {
        if !(actor.is(Role::Owner) || actor.is(Role::Operator)) {
            return Err(ServiceError::Forbidden { why: "registering needs role node_operator or admin" });
        }
        match (new.public_key, &proof) {
            (Some(key), Some(proof)) => self.check_registration(key, proof)?,
            (Some(_), None) => return Err(ServiceError::invalid("public_key", "a registration with a public key must be signed by it")),
            (None, _) => {}
        }
        let siblings = self.store().count_siblings(actor.user, new.ip_address).await?;
        let caps = self.config.caps;
        for (what, count, limit) in
            [("nodes of one owner", siblings.same_owner, caps.per_owner), ("nodes at one address", siblings.same_ip, caps.per_ip)]
        {
            if limit > 0 && count >= limit {
                return Err(ServiceError::CapReached { what, limit });
            }
        }
        self.judge_registration(&new, siblings).await?;
        let now = self.now();
        let node = Node {
            id: NodeId(self.uuid_v7()),
            owner: actor.user,
            external_id: new.external_id,
            name: new.name,
            description: new.description,
            status: NodeStatus::Pending,
            error_reason: None,
            pool: None,
            ip_address: new.ip_address,
            port: new.port,
            created_at: now,
            updated_at: now,
            activated_at: None,
            score: None,
            observed_s: 0,
            config: new.config,
            public_key: new.public_key,
            wallet: new.wallet.map(|address| Wallet { address, version: 1, since: now }),
            hardware: new.hardware,
            suspension: None,
            version: 1,
        };
        let audit = self.audit_entry(actor, "node.register", node.id, format!("{}:{}", node.ip_address, node.port)).creating(&node);
        match self.store().register_node(node.clone(), audit).await? {
            Registered::Conflict(conflict) => {
                let holder = match node.public_key {
                    Some(key) => self.store().node_by_key(key).await?,
                    None => None,
                };
                Err(ServiceError::AlreadyRegistered { conflict, own: holder.filter(|n| n.owner == actor.user).map(|n| n.id) })
            }
            Registered::Done => {
                metrics::counter!("lucid_registrations_total").increment(1);
                self.emit(EventKind::NodeRegistered { node: node.id, name: node.name.clone() });
                let placed = self.place(&node).await?;
                Ok(NodeView { node: placed.unwrap_or(node), live: None })
            }
        }
    }

    async fn judge_registration(&self, new: &NewNode, siblings: SiblingCounts) -> Result<(), ServiceError> {
        let snapshot = self.ports.policies.snapshot();
        let policy = snapshot.validation(Scope::Default).ok_or(ServiceError::NoPolicy { kind: "validation" })?;
        let hardware = new.hardware;
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let facts = REGISTRATION_FACTS
            .iter()
            .map(|fact| match fact.name {
                "port" => i64::from(new.port),
                "hardware-told" => i64::from(hardware.is_some()),
                "cores" => hardware.map_or(fact.default, |h| i64::from(h.cpu_cores)),
                "memory-bytes" => hardware.map_or(fact.default, |h| whole(h.memory_bytes)),
                "storage-bytes" => hardware.map_or(fact.default, |h| whole(h.storage_bytes)),
                "nodes-same-owner" => whole(siblings.same_owner),
                "nodes-same-ip" => whole(siblings.same_ip),
                _ => fact.default,
            })
            .collect();
        let texts = REGISTRATION_TEXTS
            .iter()
            .map(|text| match *text {
                "name" => Some(new.name.clone()),
                "ip-address" => Some(new.ip_address.to_string()),
                "wallet-address" => new.wallet.map(|w| w.to_string()),
                "public-key" => new.public_key.map(|k| hex::encode(k.0)),
                _ => None,
            })
            .collect();
        let verdict = policy.judge_registration(self.call_context_now(), RegistrationClaim { facts, texts }).await?;
        verdict.map_err(|reason| ServiceError::Refused { reason })
    }

    /// The context of a call that belongs to no epoch: the epoch that is running.
    pub(crate) fn call_context_now(&self) -> CallContext {
        let period = self.config.epoch.period_at(self.now());
        CallContext {
            epoch_start_s: period.start_s,
            period_s: period.length.seconds(),
            seed: CallContext::seed_of(period.start_s, PoolScope::Unassigned),
            totals: Vec::new(),
        }
    }

    /// A node that the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], or [`ServiceError::Forbidden`] if it is another's.
    pub async fn node(&self, actor: &Actor, id: NodeId) -> Result<NodeView, ServiceError> {
        let node = self.store().node(id).await?.filter(Node::is_live).ok_or(ServiceError::no("node"))?;
        if !actor.sees(node.owner, node.id) {
            return Err(ServiceError::Forbidden { why: "the node is another's" });
        }
        self.with_live(vec![node]).await?.pop().ok_or(ServiceError::no("node"))
    }

    async fn with_live(&self, nodes: Vec<Node>) -> Result<Vec<NodeView>, ServiceError> {
        let ids: Vec<_> = nodes.iter().map(|n| n.id).collect();
        let live = self.store().live_states(&ids).await?;
        Ok(nodes.into_iter().zip(live).map(|(node, live)| NodeView { node, live }).collect())
    }

    /// A page of the nodes the caller may see.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn nodes(&self, actor: &Actor, mut filter: NodeFilter, page: PageRequest<NodeSort>) -> Result<Page<NodeView>, ServiceError> {
        if !actor.sees_all() {
            filter.owner = Some(actor.user);
        }
        let Page { items, total } = self.store().nodes(&filter, page).await?;
        Ok(Page { items: self.with_live(items).await?, total })
    }

    /// Changes what a PUT may change.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is gone, another's or was changed meanwhile.
    pub async fn update_node(&self, actor: &Actor, id: NodeId, patch: NodePatch) -> Result<NodeView, ServiceError> {
        self.change_node(actor, id, "node.update", String::new(), |node, now| {
            node.name = patch.name.clone().unwrap_or_else(|| node.name.clone());
            node.description = patch.description.clone().or_else(|| node.description.clone());
            node.config = patch.config.as_ref().map_or(node.config, |change| change(node.config));
            node.updated_at = now;
            Ok(())
        })
        .await
    }

    /// Starts, pauses or removes a node for its owner or an operator.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not or the life cycle has no such transition.
    pub async fn transition(&self, actor: &Actor, id: NodeId, event: NodeEvent) -> Result<NodeView, ServiceError> {
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
            return Err(ServiceError::Forbidden { why: "suspending needs role admin" });
        }
        let approval = self.config.approval;
        let detail = if let NodeEvent::Suspend { reason, .. } = &event { reason.clone() } else { String::new() };
        self.change_node(actor, id, action, detail, |node, now| {
            if event == NodeEvent::Activate && node.status == NodeStatus::Pending && approval == Approval::Manual && !operator {
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
    pub async fn assign(&self, actor: &Actor, id: NodeId, pool: Option<PoolId>) -> Result<NodeView, ServiceError> {
        for _ in 0..CAS_TRIES {
            let node = self.managed_node(actor, id).await?;
            let audit = self.audit_entry(actor, "node.assign", id, pool.map_or("to no pool".into(), |p| format!("to pool {p}")));
            let audit = audit.changing(&node, &Node { pool, ..node.clone() });
            match self.store().assign_node(id, node.version, pool, audit).await? {
                Assigned::Done(node) => {
                    self.emit(EventKind::NodeAssigned { node: id, pool: PoolScope::of(pool), pool_name: None });
                    return self.with_live(vec![*node]).await?.pop().ok_or(ServiceError::no("node"));
                }
                Assigned::PoolFull => return Err(ServiceError::PoolFull),
                Assigned::NoSuchPool => return Err(ServiceError::no("pool")),
                Assigned::Conflict => {}
            }
        }
        Err(ServiceError::Changed { what: "node" })
    }

    async fn managed_node(&self, actor: &Actor, id: NodeId) -> Result<Node, ServiceError> {
        let node = self.store().node(id).await?.filter(Node::is_live).ok_or(ServiceError::no("node"))?;
        if actor.manages(node.owner) {
            Ok(node)
        } else {
            Err(ServiceError::Forbidden { why: "the node is another's, or the role may not change nodes" })
        }
    }

    async fn change_node(
        &self,
        actor: &Actor,
        id: NodeId,
        action: &str,
        detail: String,
        change: impl Fn(&mut Node, TimeMs) -> Result<(), ServiceError> + Send + Sync,
    ) -> Result<NodeView, ServiceError> {
        for _ in 0..CAS_TRIES {
            let before = self.managed_node(actor, id).await?;
            let mut node = before.clone();
            change(&mut node, self.now())?;
            node.version += 1;
            if self.store().update_node(node.clone(), self.audit_entry(actor, action, id, detail.clone()).changing(&before, &node)).await? {
                self.after_change(&before, &node);
                return self.with_live(vec![node]).await?.pop().ok_or(ServiceError::no("node"));
            }
        }
        Err(ServiceError::Changed { what: "node" })
    }

    /// What follows from a change of status: presence starts anew, liveness is watched or not, everybody is told.
    pub(crate) fn after_change(&self, before: &Node, after: &Node) {
        if before.status == after.status {
            return;
        }
        self.last_reports.lock().remove(&after.id);
        let mut heard = self.last_heard_ms.lock();
        if after.status == NodeStatus::Active {
            heard.insert(after.id, self.ports.clock.monotonic_ms());
        } else {
            heard.remove(&after.id);
        }
        drop(heard);
        self.emit(EventKind::NodeStatusChanged { node: after.id, from: before.status, to: after.status });
    }

    /// A change the service makes by itself; gives up quietly if somebody else was first.
    pub(crate) async fn change_by_itself(&self, before: &Node, event: NodeEvent, action: &str, detail: &str) -> Result<Option<Node>, ServiceError> {
        let mut node = before.clone();
        if node.apply(event, self.now()).is_err() {
            return Ok(None);
        }
        node.version += 1;
        let audit = self.audit_entry(&Actor::system(), action, node.id, detail).changing(before, &node);
        if !self.store().update_node(node.clone(), audit).await? {
            return Ok(None);
        }
        self.after_change(before, &node);
        Ok(Some(node))
    }
}
