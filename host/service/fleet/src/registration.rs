//! Registering a node.

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    epochs::facts::{REGISTRATION_FACTS, REGISTRATION_TEXTS},
    fleet::{
        commands::NewNode,
        enrolment::EnrolmentScope,
        node::{Node, NodeStatus, SiblingCounts, Wallet},
        pool::{LoadBalancing, Pool},
    },
    id::{NodeId, PoolId, PoolScope},
    notifications::event::EventKind,
    policies::{CallContext, RegistrationClaim, Scope},
};
use lucid_ports::{Newcomer, Registered, Registration, RoomOrder, TRACE};

use crate::{Fleet, NodeView, RegistrationProof};

/// Facts of a registration that are about hardware.
const HARDWARE_FACTS: [&str; 3] = ["cores", "memory-bytes", "storage-bytes"];

impl Fleet {
    /// Registers a node: pending, in a pool that takes it.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the proof is bad, a cap is reached, the policy
    /// refuses or cannot answer, or a live node has the same identity. Nothing is changed then.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.register", skip_all)]
    pub async fn register(
        &self,
        actor: &Actor,
        new: NewNode,
        proof: Option<RegistrationProof>,
    ) -> Result<NodeView, ServiceError> {
        if !(actor.is(Role::Owner) || actor.is(Role::Operator) || actor.is(Role::Enrolled)) {
            return Err(ServiceError::Forbidden {
                why: "this needs role owner or operator, or an enrolment token",
            });
        }
        if let Some(known) = self.registered_before(actor).await? {
            return Ok(known);
        }
        if !self.parts.clock.time_is_known() {
            return Err(ServiceError::ClockDoubted);
        }
        match (new.public_key, &proof) {
            (Some(key), Some(proof)) => self.check_registration(key, proof).await?,
            (Some(_), None) => {
                return Err(ServiceError::invalid(
                    "public_key",
                    "a registration with a public key must be signed by it",
                ));
            }
            (None, _) if actor.enrolment.is_some() => {
                return Err(ServiceError::invalid(
                    "public_key",
                    "is required with an enrolment token: nobody could speak for the node without it",
                ));
            }
            (None, _) => {}
        }
        let newcomer =
            Newcomer { owner: actor.user, ip: new.address.map(|a| a.ip), wallet: new.wallet };
        let siblings = self.parts.nodes.count_siblings(newcomer, None).await?;
        if let Some(cap) = self.config.caps.reached(newcomer.ip, &siblings) {
            return Err(ServiceError::CapReached(cap));
        }
        self.judge_registration(&new, siblings).await?;
        let wanted = self.pool_for(actor).await?;
        let node = self.pending_node(actor, new, wanted.as_ref().map(|pool| pool.id));
        let unplaced = Node { pool: None, ..node.clone() };
        let told = node
            .address
            .map_or_else(|| "without an address".to_owned(), |address| address.to_string());
        let registration = Registration {
            caps: self.config.caps,
            enrolment: actor.enrolment.as_ref().map(|e| e.id),
            audit: self
                .parts
                .audit
                .entry(actor, "node.register", node.id, told)
                .creating(&unplaced),
            assign_audit: node.pool.map(|pool| {
                self.parts
                    .audit
                    .entry(&Actor::system(), "node.assign", node.id, format!("to pool {pool}"))
                    .changing(&unplaced, &node)
            }),
            node,
        };
        let key = registration.node.public_key;
        match self.parts.nodes.register_node(registration).await? {
            Registered::Done(node) => self.welcome(*node, wanted).await,
            Registered::Repeated(node) => {
                self.with_live(vec![*node]).await?.pop().ok_or(ServiceError::no("node"))
            }
            Registered::CapReached(cap) => Err(ServiceError::CapReached(cap)),
            Registered::EnrolmentSpent => Err(ServiceError::Unproven {
                why: "the enrolment token is used up, expired or revoked",
            }),
            Registered::Conflict(conflict) => {
                let holder = match key {
                    Some(key) => self.parts.nodes.node_by_key(key).await?,
                    None => None,
                };
                Err(ServiceError::AlreadyRegistered {
                    conflict,
                    own: holder.filter(|n| n.owner == actor.user).map(|n| n.id),
                })
            }
        }
    }

    /// What an earlier try of the same request registered: its answer was lost.
    async fn registered_before(&self, actor: &Actor) -> Result<Option<NodeView>, ServiceError> {
        let Some(id) = actor.creates else { return Ok(None) };
        let known = self.parts.nodes.node(NodeId(id.0)).await?.filter(|n| n.owner == actor.user);
        match known {
            Some(node) => Ok(self.with_live(vec![node]).await?.pop()),
            None => Ok(None),
        }
    }

    /// The enrolment token's pool, else the emptiest that takes nodes by itself.
    async fn pool_for(&self, actor: &Actor) -> Result<Option<Pool>, ServiceError> {
        if let Some(pool) = actor.enrolment.as_ref().and_then(|e| e.pool)
            && let Some(pool) = self.parts.pools.pool(pool).await?
            && pool.node_count < pool.max_nodes
        {
            return Ok(Some(pool));
        }
        Ok(self.parts.pools.pools_with_room(RoomOrder::Emptiest, 1).await?.pop())
    }

    fn pending_node(&self, actor: &Actor, new: NewNode, pool: Option<PoolId>) -> Node {
        let now = self.parts.clock.now();
        Node {
            id: NodeId(self.parts.ids.new_id(actor)),
            owner: actor.user,
            external_id: new.external_id,
            name: new.name,
            description: new.description,
            status: NodeStatus::Pending,
            error_reason: None,
            pool,
            address: new.address,
            created_at: now,
            updated_at: now,
            activated_at: None,
            status_since: None,
            score: None,
            observed_s: 0,
            config: new.config,
            public_key: new.public_key,
            wallet: new.wallet.map(|address| Wallet { address, version: 1, since: now }),
            wallet_wish: None,
            hardware: new.hardware,
            suspension: None,
            approved: actor.enrolment.as_ref().is_some_and(|e| e.scope == EnrolmentScope::Approve),
            version: 1,
        }
    }

    async fn welcome(&self, node: Node, wanted: Option<Pool>) -> Result<NodeView, ServiceError> {
        metrics::counter!("lucid_registrations_total").increment(1);
        self.parts
            .notifications
            .emit(EventKind::NodeRegistered { node: node.id, name: node.name.clone() });
        let node = match (node.pool, wanted) {
            (Some(id), Some(pool)) => {
                self.parts.notifications.emit(EventKind::NodeAssigned {
                    node: node.id,
                    pool: PoolScope::Pool(id),
                    pool_name: Some(pool.name),
                });
                node
            }
            // It was filled between the look and the write.
            (None, Some(_)) => {
                self.place(&node, LoadBalancing::LeastConnections, 0).await?.unwrap_or(node)
            }
            _ => node,
        };
        Ok(NodeView { hold: self.payout_hold(&node), node, live: None })
    }

    pub(crate) async fn judge_registration(
        &self,
        new: &NewNode,
        siblings: SiblingCounts,
    ) -> Result<(), ServiceError> {
        let snapshot = self.parts.runtime.snapshot();
        let policy = snapshot
            .validation(Scope::Default, self.parts.clock.now().unix_s_floor())
            .ok_or(ServiceError::NoPolicy { kind: "validation" })?;
        let hardware = new.hardware;
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let facts = REGISTRATION_FACTS
            .iter()
            .map(|fact| match fact.name {
                "port" => new.address.map_or(fact.default, |a| i64::from(a.port)),
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
                "ip-address" => new.address.map(|a| a.ip.to_string()),
                "wallet-address" => new.wallet.map(|w| w.to_string()),
                "public-key" => new.public_key.map(|k| hex::encode(k.0)),
                _ => None,
            })
            .collect();
        let verdict = policy
            .judge_registration(self.call_context_now(), RegistrationClaim { facts, texts })
            .await?;
        verdict.map_err(|reason| {
            // A reason begins with what it is about, in the words of the catalogue.
            let hardware =
                HARDWARE_FACTS.iter().any(|fact| reason.split_whitespace().next() == Some(fact));
            if hardware {
                ServiceError::HardwareRefused { reason }
            } else {
                ServiceError::Refused { reason }
            }
        })
    }

    /// The context of a call that belongs to no epoch: the epoch that is running.
    pub fn call_context_now(&self) -> CallContext {
        let period = self.parts.rules.epoch.period_at(self.parts.clock.now());
        CallContext {
            epoch_start_s: period.start_s,
            period_s: period.length.seconds(),
            seed: CallContext::seed_of(period.start_s, PoolScope::Unassigned),
            totals: Vec::new(),
        }
    }
}
