//! Pools.

use lucid_model::{
    event::EventKind,
    id::{NodeId, PoolId, PoolScope},
    node::Node,
    pool::{Pool, PoolConfig, PoolStatus},
};
use lucid_ports::{Assigned, Page, PageRequest, PoolFilter, PoolSort};

use crate::{Actor, Role, Service, ServiceError};

/// A pool to be, its fields checked for form.
#[derive(Debug, Clone)]
pub struct NewPool {
    /// 1–255 characters.
    pub name: String,
    /// At most 1000.
    pub description: Option<String>,
    /// 1–1000.
    pub max_nodes: u32,
    /// How it works.
    pub config: PoolConfig,
}

/// A change of some of a pool's configuration.
pub type PoolConfigChange = Box<dyn Fn(PoolConfig) -> PoolConfig + Send + Sync>;

/// What a PUT changes; none = kept.
#[derive(Default)]
pub struct PoolPatch {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New size.
    pub max_nodes: Option<u32>,
    /// New status.
    pub status: Option<PoolStatus>,
    /// New configuration.
    pub config: Option<PoolConfigChange>,
}

fn operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Operator) { Ok(()) } else { Err(ServiceError::Forbidden { why: "changing pools needs role admin" }) }
}

impl Service {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or the name is taken.
    pub async fn create_pool(&self, actor: &Actor, new: NewPool) -> Result<Pool, ServiceError> {
        operator(actor)?;
        let now = self.now();
        let pool = Pool {
            id: PoolId(self.uuid_v7()),
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
        let audit = self.audit_entry(actor, "pool.create", pool.id, pool.name.clone()).creating(&pool);
        if self.store().create_pool(pool.clone(), audit).await? { Ok(pool) } else { Err(ServiceError::PoolExists) }
    }

    /// One pool with its nodes, as far as the caller may see them.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn pool(&self, actor: &Actor, id: PoolId) -> Result<(Pool, Vec<NodeId>), ServiceError> {
        let pool = self.store().pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let mut members = self.store().pool_members(id).await?;
        if !actor.sees_all() {
            let mut own = Vec::new();
            for member in members {
                if self.store().node(member).await?.is_some_and(|n| actor.sees(n.owner, n.id)) {
                    own.push(member);
                }
            }
            members = own;
        }
        Ok((pool, members))
    }

    /// A page of pools.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn pools(&self, filter: PoolFilter, page: PageRequest<PoolSort>) -> Result<Page<Pool>, ServiceError> {
        Ok(self.store().pools(&filter, page).await?)
    }

    /// Changes what a PUT may change.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the pool is gone, the name is taken or it has more nodes.
    pub async fn update_pool(&self, actor: &Actor, id: PoolId, patch: PoolPatch) -> Result<Pool, ServiceError> {
        operator(actor)?;
        let before = self.store().pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let mut pool = before.clone();
        if patch.max_nodes.is_some_and(|max| max < pool.node_count) {
            return Err(ServiceError::invalid("max_nodes", format!("the pool has {} nodes", pool.node_count)));
        }
        pool.name = patch.name.unwrap_or(pool.name);
        pool.description = patch.description.or(pool.description);
        pool.max_nodes = patch.max_nodes.unwrap_or(pool.max_nodes);
        pool.status = patch.status.unwrap_or(pool.status);
        pool.config = patch.config.map_or(pool.config, |change| change(pool.config));
        pool.updated_at = self.now();
        pool.version += 1;
        let audit = self.audit_entry(actor, "pool.update", id, "").changing(&before, &pool);
        if self.store().update_pool(pool.clone(), audit).await? {
            Ok(pool)
        } else {
            Err(ServiceError::Changed { what: "pool, or its name was taken" })
        }
    }

    /// Removes a pool; its nodes go where there is room, or to no pool.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is no such pool.
    pub async fn delete_pool(&self, actor: &Actor, id: PoolId) -> Result<(), ServiceError> {
        operator(actor)?;
        let before = self.store().pool(id).await?.ok_or(ServiceError::no("pool"))?;
        let audit = self.audit_entry(actor, "pool.delete", id, before.name.clone()).removing(&before);
        let members = self.store().delete_pool(id, audit).await?.ok_or(ServiceError::no("pool"))?;
        for member in members {
            let Some(node) = self.store().node(member).await? else { continue };
            if self.place(&node).await?.is_none() {
                self.emit(EventKind::NodeAssigned { node: member, pool: PoolScope::Unassigned, pool_name: None });
            }
        }
        Ok(())
    }

    /// Puts a node into the emptiest pool that takes nodes by itself; none if no pool has room, or the node
    /// was changed meanwhile.
    pub(crate) async fn place(&self, node: &Node) -> Result<Option<Node>, ServiceError> {
        let mut pools = self.store().pools_with_room().await?;
        pools.sort_by_key(|p| (p.node_count, p.created_at, p.id));
        for pool in pools {
            let audit = self.audit_entry(&Actor::system(), "node.assign", node.id, format!("to pool {}", pool.id));
            let audit = audit.changing(node, &Node { pool: Some(pool.id), ..node.clone() });
            match self.store().assign_node(node.id, node.version, Some(pool.id), audit).await? {
                Assigned::Done(assigned) => {
                    self.emit(EventKind::NodeAssigned { node: node.id, pool: PoolScope::Pool(pool.id), pool_name: Some(pool.name) });
                    return Ok(Some(*assigned));
                }
                Assigned::PoolFull | Assigned::NoSuchPool => {}
                Assigned::Conflict => break,
            }
        }
        Ok(None)
    }
}
