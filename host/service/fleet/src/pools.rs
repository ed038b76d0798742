//! Pools.

use lucid_foundation::{Actor, CAS_TRIES, Role, ServiceError};
use lucid_model::{
    fleet::{
        commands::{NewPool, PoolPatch},
        node::Node,
        pool::{Candidate, LoadBalancing, Pool, PoolStatus},
    },
    id::{NodeId, PoolId, PoolScope},
    notifications::event::EventKind,
};
use lucid_ports::{Assigned, Page, PageRequest, PoolFilter, PoolSort, RoomOrder};

use crate::{Fleet, NodeView};

/// Pools looked at when a node is placed.
const CANDIDATES_MAX: u32 = 1_000;

fn operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role operator" })
    }
}

impl Fleet {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or the name is taken.
    pub async fn create_pool(&self, actor: &Actor, new: NewPool) -> Result<Pool, ServiceError> {
        operator(actor)?;
        let now = self.parts.clock.now();
        let pool = Pool {
            id: PoolId(self.parts.ids.new_id(actor)),
            name: new.name,
            description: new.description,
            status: PoolStatus::Active,
            max_nodes: new.max_nodes,
            node_count: 0,
            created_at: now,
            updated_at: now,
            config: new.config,
            version: 1,
        };
        let audit = self
            .parts
            .audit
            .entry(actor, "pool.create", pool.id, pool.name.clone())
            .creating(&pool);
        if self.parts.pools.create_pool(pool.clone(), audit).await? {
            self.take_thresholds(&pool);
            return Ok(pool);
        }
        // An earlier try of the same request made it: its answer was lost.
        let made =
            if actor.creates.is_some() { self.parts.pools.pool(pool.id).await? } else { None };
        made.ok_or(ServiceError::PoolExists)
    }

    /// One pool with its nodes, as far as the caller may see them.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn pool(
        &self,
        actor: &Actor,
        id: PoolId,
    ) -> Result<(Pool, Vec<NodeView>), ServiceError> {
        let pool = self.parts.pools.pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let mut members = self.members_of(&pool).await?;
        members.retain(|node| actor.sees_all() || node.owner == actor.user);
        Ok((pool, self.with_live(members).await?))
    }

    /// A page of pools.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn pools(
        &self,
        filter: PoolFilter,
        page: PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, ServiceError> {
        Ok(self.parts.pools.pools(&filter, page).await?)
    }

    /// Changes what a PUT may change.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the pool is gone, the name is taken or it has more
    /// nodes.
    pub async fn update_pool(
        &self,
        actor: &Actor,
        id: PoolId,
        patch: PoolPatch,
    ) -> Result<Pool, ServiceError> {
        operator(actor)?;
        let before = self.parts.pools.pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let mut pool = before.clone();
        actor.expects("pool", pool.version)?;
        let max_nodes = patch.max_nodes.unwrap_or(pool.max_nodes);
        if max_nodes < pool.node_count {
            return Err(ServiceError::invalid(
                "max_nodes",
                format!("the pool has {} nodes", pool.node_count),
            ));
        }
        if let Some(name) = &patch.name
            && self.parts.pools.pool_named(name).await?.is_some_and(|namesake| namesake.id != id)
        {
            return Err(ServiceError::PoolExists);
        }
        pool.name = patch.name.unwrap_or(pool.name);
        pool.description = patch.description.or(pool.description).filter(|text| !text.is_empty());
        pool.max_nodes = max_nodes;
        pool.status = patch.status.unwrap_or(pool.status);
        pool.config = patch.config.map_or(pool.config, |change| change.apply(pool.config));
        pool.updated_at = self.parts.clock.now();
        pool.version += 1;
        let audit = self.parts.audit.entry(actor, "pool.update", id, "").changing(&before, &pool);
        if !self.parts.pools.update_pool(pool.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "pool" });
        }
        self.take_thresholds(&pool);
        Ok(pool)
    }

    /// Removes a pool; its nodes go where there is room, spread as its `load_balancing` says, or to
    /// no pool.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is no such pool.
    pub async fn delete_pool(&self, actor: &Actor, id: PoolId) -> Result<(), ServiceError> {
        operator(actor)?;
        let (pool, members) = self.removed_pool(actor, id).await?;
        for (turn, member) in members.into_iter().enumerate() {
            let Some(node) = self.parts.nodes.node(member).await?.filter(Node::is_live) else {
                continue;
            };
            if self.place(&node, pool.config.load_balancing, turn).await?.is_none() {
                self.parts.notifications.emit(EventKind::NodeAssigned {
                    node: member,
                    pool: PoolScope::Unassigned,
                    pool_name: None,
                });
            }
        }
        Ok(())
    }

    /// Takes a pool away; what it was, and who was in it.
    async fn removed_pool(
        &self,
        actor: &Actor,
        id: PoolId,
    ) -> Result<(Pool, Vec<NodeId>), ServiceError> {
        for _ in 0..CAS_TRIES {
            let pool = self.parts.pools.pool(id).await?.ok_or(ServiceError::no("pool"))?;
            actor.expects("pool", pool.version)?;
            let audit =
                self.parts.audit.entry(actor, "pool.delete", id, pool.name.clone()).removing(&pool);
            let version = actor.expected.as_ref().map(|_| pool.version);
            if let Some(members) = self.parts.pools.delete_pool(id, version, audit).await? {
                return Ok((pool, members));
            }
        }
        Err(ServiceError::Changed { what: "pool" })
    }

    /// Puts a node into a pool that takes nodes by itself, chosen among those with room; none if
    /// there is none, or the node was changed meanwhile.
    pub(crate) async fn place(
        &self,
        node: &Node,
        how: LoadBalancing,
        turn: usize,
    ) -> Result<Option<Node>, ServiceError> {
        let mut pools = self.parts.pools.pools_with_room(RoomOrder::Oldest, CANDIDATES_MAX).await?;
        let of =
            |p: &Pool| Candidate { id: p.id, node_count: p.node_count, max_nodes: p.max_nodes };
        while let Some(chosen) = how.choose(&pools.iter().map(of).collect::<Vec<_>>(), turn) {
            let audit = self.parts.audit.entry(
                &Actor::system(),
                "node.assign",
                node.id,
                format!("to pool {chosen}"),
            );
            let audit = audit.changing(node, &Node { pool: Some(chosen), ..node.clone() });
            match self.parts.nodes.assign_node(node.id, node.version, Some(chosen), audit).await? {
                Assigned::Done(assigned) => {
                    let pool_name = pools.into_iter().find(|p| p.id == chosen).map(|p| p.name);
                    self.parts.notifications.emit(EventKind::NodeAssigned {
                        node: node.id,
                        pool: PoolScope::Pool(chosen),
                        pool_name,
                    });
                    return Ok(Some(*assigned));
                }
                // Filled or removed since we looked.
                Assigned::PoolFull | Assigned::NoSuchPool => pools.retain(|p| p.id != chosen),
                Assigned::Conflict => break,
            }
        }
        Ok(None)
    }
}
