use std::net::IpAddr;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{NodeId, PoolId, UserId},
    node::{Node, NodeStatus, PublicKey},
    pool::{Pool, PoolStatus},
};

use crate::{Page, PageRequest, StoreError};

/// Which nodes. Deregistered ones are never listed.
#[derive(Debug, Clone, Default)]
pub struct NodeFilter {
    /// Of this owner.
    pub owner: Option<UserId>,
    /// In this status.
    pub status: Option<NodeStatus>,
    /// In this pool.
    pub pool: Option<PoolId>,
}

/// How nodes are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeSort {
    /// By registration.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By score; without one comes lowest.
    Score,
    /// By name.
    Name,
}

/// What makes a registration a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterConflict {
    /// A live node has this key.
    PublicKey,
    /// A live node is at this address and port.
    Address,
    /// A live node has this external id.
    ExternalId,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// It is new and durable.
    Done,
    /// It is not: nothing changed.
    Conflict(RegisterConflict),
}

/// What became of an assignment to a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// The node is in; here is its record.
    Done(Box<Node>),
    /// The pool has `max_nodes`.
    PoolFull,
    /// There is no such pool.
    NoSuchPool,
    /// The node changed meanwhile, or is gone.
    Conflict,
}

/// Live nodes that share something with a newcomer, itself not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SiblingCounts {
    /// Of the same owner.
    pub same_owner: u64,
    /// At the same address.
    pub same_ip: u64,
}

/// Nodes. Every change carries its audit entry, written with it.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// Adds a node unless a live one has its key, address or external id. A pending one that gives way to it has an
    /// audit entry that follows from the newcomer's.
    async fn register_node(&self, node: Node, audit: AuditEntry) -> Result<Registered, StoreError>;
    /// One node, deregistered ones too.
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError>;
    /// The live node of an external id.
    async fn node_by_external_id(&self, external_id: &str) -> Result<Option<Node>, StoreError>;
    /// The live node of a key.
    async fn node_by_key(&self, key: PublicKey) -> Result<Option<Node>, StoreError>;
    /// Replaces the record if its version is still `node.version - 1`; pool membership is not touched unless
    /// `node.pool` is `None`, which leaves the pool. `false`: somebody else was first, nothing changed.
    async fn update_node(&self, node: Node, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Puts the node (at `version`) into a pool that has room, or out of all pools.
    async fn assign_node(&self, id: NodeId, version: u64, pool: Option<PoolId>, audit: AuditEntry) -> Result<Assigned, StoreError>;
    /// A page of nodes.
    async fn nodes(&self, filter: &NodeFilter, page: PageRequest<NodeSort>) -> Result<Page<Node>, StoreError>;
    /// Live nodes by id, after `after`: for walking the fleet.
    async fn live_nodes_after(&self, after: Option<NodeId>, limit: u32) -> Result<Vec<Node>, StoreError>;
    /// How many live nodes share owner or address.
    async fn count_siblings(&self, owner: UserId, ip: IpAddr) -> Result<SiblingCounts, StoreError>;
    /// Live nodes by status.
    async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, StoreError>;
}

/// Which pools.
#[derive(Debug, Clone, Default)]
pub struct PoolFilter {
    /// In this status.
    pub status: Option<PoolStatus>,
}

/// How pools are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSort {
    /// By creation.
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By name.
    Name,
    /// By number of nodes.
    NodeCount,
}

/// Pools. `node_count` is derived from the nodes.
#[async_trait]
pub trait PoolStore: Send + Sync {
    /// Adds a pool; `false` if one has this name.
    async fn create_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError>;
    /// One pool.
    async fn pool(&self, id: PoolId) -> Result<Option<Pool>, StoreError>;
    /// Replaces the record if its version is still `pool.version - 1` and no other pool has its name.
    async fn update_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Removes a pool and unassigns its nodes, whose ids it answers; `None` if there is no such pool. Each node has
    /// an audit entry that follows from the pool's.
    async fn delete_pool(&self, id: PoolId, audit: AuditEntry) -> Result<Option<Vec<NodeId>>, StoreError>;
    /// A page of pools.
    async fn pools(&self, filter: &PoolFilter, page: PageRequest<PoolSort>) -> Result<Page<Pool>, StoreError>;
    /// Active pools that take nodes by themselves and have room, oldest first.
    async fn pools_with_room(&self) -> Result<Vec<Pool>, StoreError>;
    /// The nodes of a pool, by id.
    async fn pool_members(&self, id: PoolId) -> Result<Vec<NodeId>, StoreError>;
}
