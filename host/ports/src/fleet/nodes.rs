use std::net::IpAddr;

use async_trait::async_trait;
use futures::stream::BoxStream;
use lucid_model::{
    audit::AuditEntry,
    fleet::{
        node::{CapReached, Node, NodeCaps, NodeStatus, PublicKey, SiblingCounts},
        pool::{Pool, PoolStatus, health::Standing},
    },
    id::{EnrolmentId, NodeId, PoolId, UserId},
    money::tron::TronAddress,
};

use crate::{Page, PageRequest, StoreError};

/// Nodes, some at a time, as they are read.
pub type NodeBatches<'a> = BoxStream<'a, Result<Vec<Node>, StoreError>>;

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

/// What a node may share with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newcomer {
    pub owner: UserId,
    /// Its address, if it says one.
    pub ip: Option<IpAddr>,
    /// Its payee address, if it has one.
    pub wallet: Option<TronAddress>,
}

impl Newcomer {
    /// What a node shares.
    pub fn of(node: &Node) -> Self {
        Self {
            owner: node.owner,
            ip: node.address.map(|a| a.ip),
            wallet: node.wallet.map(|w| w.address),
        }
    }
}

/// A registration: one write.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The node to be. If the pool it names has no room by then, it is registered without one.
    pub node: Node,
    /// Caps that are checked again with the write: two at once must not both be the last.
    pub caps: NodeCaps,
    /// The enrolment token that is used up by one with it.
    pub enrolment: Option<EnrolmentId>,
    /// Tells of the registration.
    pub audit: AuditEntry,
    /// Tells of the pool, if it gets the one it names.
    pub assign_audit: Option<AuditEntry>,
}

/// What became of a registration; except for the first nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is new and durable; here is its record.
    Done(Box<Node>),
    /// A node with this id is there: the same request was carried out before.
    Repeated(Box<Node>),
    /// A live node has its identity.
    Conflict(RegisterConflict),
    /// One more is too many.
    CapReached(CapReached),
    /// The enrolment token is used up, expired or revoked.
    EnrolmentSpent,
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

/// Nodes. Every change carries its audit entry, written with it.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// Adds a node unless a live one has its key, address or external id, or a cap is reached. A
    /// pending one that gives way to it has an audit entry that follows from the newcomer's.
    async fn register_node(&self, registration: Registration) -> Result<Registered, StoreError>;
    /// One node, deregistered ones too.
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError>;
    /// The live node of an external id.
    async fn node_by_external_id(&self, external_id: &str) -> Result<Option<Node>, StoreError>;
    /// The live node of a key.
    async fn node_by_key(&self, key: PublicKey) -> Result<Option<Node>, StoreError>;
    /// Replaces the record if its version is still `node.version - 1`; pool membership is not
    /// touched unless `node.pool` is `None`, which leaves the pool. `false`: somebody else was
    /// first, nothing changed.
    async fn update_node(&self, node: Node, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Puts the node (at `version`) into a pool that has room, or out of all pools.
    async fn assign_node(
        &self,
        id: NodeId,
        version: u64,
        pool: Option<PoolId>,
        audit: AuditEntry,
    ) -> Result<Assigned, StoreError>;
    /// A page of nodes.
    async fn nodes(
        &self,
        filter: &NodeFilter,
        page: PageRequest<NodeSort>,
    ) -> Result<Page<Node>, StoreError>;
    /// All live nodes by id, up to `batch` at a time: for going through the fleet. Who comes or
    /// goes meanwhile may be among them or not.
    async fn live_nodes(&self, batch: u32) -> Result<NodeBatches<'_>, StoreError>;
    /// Live nodes by id, after `after`: for walking the fleet with pauses.
    async fn live_nodes_after(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>, StoreError>;
    /// Active nodes that are in no pool, by id: the longest registered first.
    async fn standby_nodes(&self, limit: u32) -> Result<Vec<Node>, StoreError>;
    /// How many live nodes share owner, address, network or wallet, `except` not counted.
    async fn count_siblings(
        &self,
        newcomer: Newcomer,
        except: Option<NodeId>,
    ) -> Result<SiblingCounts, StoreError>;
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

/// Which pools come first when nodes are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomOrder {
    /// By creation.
    Oldest,
    /// By number of nodes, then by creation.
    Emptiest,
}

/// Pools. `node_count` is derived from the nodes.
#[async_trait]
pub trait PoolStore: Send + Sync {
    /// Adds a pool; `false` if one has this name or id.
    async fn create_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError>;
    /// One pool.
    async fn pool(&self, id: PoolId) -> Result<Option<Pool>, StoreError>;
    /// Replaces the record if its version is still `pool.version - 1`, no other pool has its name,
    /// and it has no more nodes than it may.
    async fn update_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError>;
    /// Removes a pool and unassigns its nodes, whose ids it answers; `None` if there is no such
    /// pool, or it does not have the version that is named. Each node has an audit entry that
    /// follows from the pool's.
    async fn delete_pool(
        &self,
        id: PoolId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<Option<Vec<NodeId>>, StoreError>;
    /// A page of pools.
    async fn pools(
        &self,
        filter: &PoolFilter,
        page: PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, StoreError>;
    /// Active pools that take nodes by themselves and have room, at most `limit`.
    async fn pools_with_room(&self, order: RoomOrder, limit: u32) -> Result<Vec<Pool>, StoreError>;
    /// The pool of a name.
    async fn pool_named(&self, name: &str) -> Result<Option<Pool>, StoreError>;
    /// The nodes of a pool, by id.
    async fn pool_members(&self, id: PoolId) -> Result<Vec<NodeId>, StoreError>;
    /// What checks found of each pool that was checked and is still there, by pool.
    async fn pool_standings(&self) -> Result<Vec<Standing>, StoreError>;
    /// The same of one pool.
    async fn pool_standing(&self, id: PoolId) -> Result<Option<Standing>, StoreError>;
    /// Keeps what a check found if the version before is still `standing.version - 1`, 0 being that
    /// of none.
    async fn keep_standing(&self, standing: Standing) -> Result<bool, StoreError>;
}
