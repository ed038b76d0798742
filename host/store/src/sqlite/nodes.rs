use std::net::IpAddr;

use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::{NodeId, PoolId, UserId},
    node::{Node, NodeStatus, PublicKey},
    score::ScoreCenti,
};
use lucid_ports::{Assigned, NodeFilter, NodeSort, NodeStore, Page, PageRequest, RegisterConflict, Registered, SiblingCounts, StoreError};
use rusqlite::{Connection, Params, params, types::Value};

use super::{
    SqliteStore, audit,
    columns::{Columns, blob, json, stored},
    fault::Fault,
    node_doc::NodeDoc,
    query::{Conditions, List, Source, count, execute, exists, first, rows},
};

/// How long a registration that nobody approved holds its address.
const PENDING_HOLDS_MS: i64 = 15 * 60 * 1000;

const COLUMNS: &str = "id, owner, external_id, name, status, pool, ip, port, created_at, updated_at, score, observed_s, public_key, version, doc";

fn read(columns: &mut Columns<'_>) -> Result<Node, Fault> {
    let id = columns.id(NodeId)?;
    let owner = columns.id(UserId)?;
    let external_id = columns.take()?;
    let name = columns.take()?;
    let status = columns.word(NodeStatus::from_name)?;
    let pool = columns.id_or_none(PoolId)?;
    let ip_address = columns.ip()?;
    let port = columns.take()?;
    let (created_at, updated_at) = (columns.time()?, columns.time()?);
    let score = columns.take::<Option<u32>>()?.map(ScoreCenti);
    let observed_s = columns.unsigned()?;
    let public_key = columns.take::<Option<[u8; 32]>>()?.map(PublicKey);
    let version = columns.unsigned()?;
    let doc: NodeDoc = columns.json()?;
    Ok(Node {
        id,
        owner,
        external_id,
        name,
        status,
        pool,
        ip_address,
        port,
        created_at,
        updated_at,
        score,
        observed_s,
        public_key,
        version,
        activated_at: doc.activated_at(),
        config: doc.config(),
        wallet: doc.wallet()?,
        hardware: doc.hardware(),
        suspension: doc.suspension()?,
        description: doc.description,
        error_reason: doc.error_reason,
    })
}

fn one(connection: &Connection, condition: &str, params: impl Params) -> Result<Option<Node>, Fault> {
    first(connection, &format!("SELECT {COLUMNS} FROM nodes WHERE {condition}"), params, read)
}

fn by_id(connection: &Connection, id: NodeId) -> Result<Option<Node>, Fault> {
    one(connection, "id = ?", [id.0.as_bytes()])
}

fn insert(connection: &Connection, node: &Node) -> Result<(), Fault> {
    let sql = format!("INSERT INTO nodes ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    let values = params![
        node.id.0.as_bytes(),
        node.owner.0.as_bytes(),
        node.external_id,
        node.name,
        node.status.name(),
        node.pool.map(|pool| pool.0.into_bytes()),
        node.ip_address.to_string(),
        node.port,
        node.created_at.0,
        node.updated_at.0,
        node.score.map(|score| score.0),
        stored(node.observed_s)?,
        node.public_key.map(|key| key.0),
        stored(node.version)?,
        json(&NodeDoc::of(node))?,
    ];
    execute(connection, &sql, values)?;
    Ok(())
}

/// A registration that nobody approved gives way once it is old, or at once to a newcomer that proves a key
/// where the holder has none: nobody can squat on another's address.
fn gives_way(holder: &Node, newcomer: &Node) -> bool {
    let expired = newcomer.created_at.ms_since(holder.created_at) > PENDING_HOLDS_MS;
    holder.status == NodeStatus::Pending && (expired || (newcomer.public_key.is_some() && holder.public_key.is_none()))
}

fn register(connection: &Connection, node: &Node, entry: &AuditEntry) -> Result<Registered, Fault> {
    let live_key = "SELECT 1 FROM nodes WHERE public_key = ? AND status <> 'deregistered'";
    if let Some(key) = node.public_key
        && exists(connection, live_key, [key.0])?
    {
        return Ok(Registered::Conflict(RegisterConflict::PublicKey));
    }
    let at_address = params![node.ip_address.to_string(), node.port];
    let holder = one(connection, "ip = ? AND port = ? AND status <> 'deregistered'", at_address)?;
    if holder.as_ref().is_some_and(|holder| !gives_way(holder, node)) {
        return Ok(Registered::Conflict(RegisterConflict::Address));
    }
    if let Some(external_id) = &node.external_id
        && let Some(namesake) = live_external(connection, external_id)?
        && holder.as_ref().is_none_or(|holder| holder.id != namesake.id)
    {
        return Ok(Registered::Conflict(RegisterConflict::ExternalId));
    }
    let gave_way = holder.map(|holder| (holder.clone(), Node { status: NodeStatus::Deregistered, pool: None, ..holder }));
    if let Some((holder, _)) = &gave_way {
        let sql = "UPDATE nodes SET status = 'deregistered', pool = NULL, updated_at = ?, version = version + 1 WHERE id = ?";
        execute(connection, sql, params![node.created_at.0, holder.id.0.as_bytes()])?;
    }
    insert(connection, node)?;
    audit::add(connection, entry)?;
    if let Some((holder, gone)) = gave_way {
        let following = entry.following("node.deregister", holder.id, format!("gave way to node {}", node.id));
        audit::add(connection, &following.changing(&holder, &gone))?;
    }
    Ok(Registered::Done)
}

fn live_external(connection: &Connection, external_id: &str) -> Result<Option<Node>, Fault> {
    one(connection, "external_id = ? AND status <> 'deregistered'", [external_id])
}

/// Score and credited seconds are the epochs' to write: a record that was read before an epoch closed must not
/// take them back.
fn update(connection: &Connection, node: &Node, entry: &AuditEntry) -> Result<bool, Fault> {
    let sql = "UPDATE nodes SET owner = ?, external_id = ?, name = ?, status = ?, pool = CASE WHEN ? THEN pool ELSE NULL END, ip = ?, port = ?, \
               created_at = ?, updated_at = ?, public_key = ?, version = ?, doc = ? WHERE id = ? AND version = ?";
    let values = params![
        node.owner.0.as_bytes(),
        node.external_id,
        node.name,
        node.status.name(),
        node.pool.is_some(),
        node.ip_address.to_string(),
        node.port,
        node.created_at.0,
        node.updated_at.0,
        node.public_key.map(|key| key.0),
        stored(node.version)?,
        json(&NodeDoc::of(node))?,
        node.id.0.as_bytes(),
        stored(node.version.saturating_sub(1))?,
    ];
    let changed = match execute(connection, sql, values) {
        // Somebody else was first at the address, key or external id.
        Err(fault) if fault.is_taken() => 0,
        other => other?,
    };
    if changed == 0 {
        return Ok(false);
    }
    let owned = "UPDATE latest_scores SET owner = ?1 WHERE node = ?2 AND owner IS NOT ?1";
    execute(connection, owned, params![node.owner.0.as_bytes(), node.id.0.as_bytes()])?;
    audit::add(connection, entry)?;
    Ok(true)
}

fn assign(connection: &Connection, id: NodeId, version: u64, pool: Option<PoolId>, entry: &AuditEntry) -> Result<Assigned, Fault> {
    let Some(node) = by_id(connection, id)?.filter(|node| node.is_live() && node.version == version) else {
        return Ok(Assigned::Conflict);
    };
    if let Some(pool) = pool {
        let max_nodes = "SELECT max_nodes FROM pools WHERE id = ?";
        let Some(max_nodes) = first(connection, max_nodes, [pool.0.as_bytes()], |c| c.unsigned())? else {
            return Ok(Assigned::NoSuchPool);
        };
        let members = "SELECT count(*) FROM nodes WHERE pool = ?1 AND id <> ?2";
        if count(connection, members, params![pool.0.as_bytes(), id.0.as_bytes()])? >= max_nodes {
            return Ok(Assigned::PoolFull);
        }
    }
    let assigned = Node { pool, updated_at: entry.at, version: version + 1, ..node };
    let sql = "UPDATE nodes SET pool = ?, updated_at = ?, version = ? WHERE id = ?";
    let pool = pool.map(|pool| pool.0.into_bytes());
    execute(connection, sql, params![pool, assigned.updated_at.0, stored(assigned.version)?, id.0.as_bytes()])?;
    audit::add(connection, entry)?;
    Ok(Assigned::Done(Box::new(assigned)))
}

/// Takes all nodes out of a pool that is removed by `entry`; who they were.
pub(crate) fn leave_pool(connection: &Connection, pool: PoolId, entry: &AuditEntry) -> Result<Vec<NodeId>, Fault> {
    let members = rows(connection, &format!("SELECT {COLUMNS} FROM nodes WHERE pool = ? ORDER BY id"), [pool.0.as_bytes()], read)?;
    let sql = "UPDATE nodes SET pool = NULL, updated_at = ?, version = version + 1 WHERE pool = ?";
    execute(connection, sql, params![entry.at.0, pool.0.as_bytes()])?;
    for member in &members {
        let outside = Node { pool: None, ..member.clone() };
        let following = entry.following("node.assign", member.id, format!("to no pool: pool {pool} was removed"));
        audit::add(connection, &following.changing(member, &outside))?;
    }
    Ok(members.into_iter().map(|member| member.id).collect())
}

pub(crate) fn members(connection: &Connection, pool: PoolId) -> Result<Vec<NodeId>, Fault> {
    rows(connection, "SELECT id FROM nodes WHERE pool = ? ORDER BY id", [pool.0.as_bytes()], |columns| columns.id(NodeId))
}

pub(crate) fn list(filter: &NodeFilter, page: PageRequest<NodeSort>) -> List {
    let conditions = Conditions::of("status <> 'deregistered'")
        .and("owner = ?", filter.owner.map(|owner| blob(owner.0)))
        .and("status = ?", filter.status.map(|status| Value::Text(status.name().to_owned())))
        .and("pool = ?", filter.pool.map(|pool| blob(pool.0)));
    let key = match page.sort {
        NodeSort::CreatedAt => "created_at",
        NodeSort::UpdatedAt => "updated_at",
        // NULL is smaller than any score.
        NodeSort::Score => "score",
        NodeSort::Name => "name",
    };
    List::new(&Source { columns: COLUMNS, table: "nodes", joins: "" }, conditions, &[key, "id"], &page)
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn register_node(&self, node: Node, audit: AuditEntry) -> Result<Registered, StoreError> {
        self.core.write(move |connection| register(connection, &node, &audit)).await
    }
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.core.read(move |connection| by_id(connection, id)).await
    }
    async fn node_by_external_id(&self, external_id: &str) -> Result<Option<Node>, StoreError> {
        let external_id = external_id.to_owned();
        self.core.read(move |connection| live_external(connection, &external_id)).await
    }
    async fn node_by_key(&self, key: PublicKey) -> Result<Option<Node>, StoreError> {
        self.core.read(move |connection| one(connection, "public_key = ? AND status <> 'deregistered'", [key.0])).await
    }
    async fn update_node(&self, node: Node, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| update(connection, &node, &audit)).await
    }
    async fn assign_node(&self, id: NodeId, version: u64, pool: Option<PoolId>, audit: AuditEntry) -> Result<Assigned, StoreError> {
        self.core.write(move |connection| assign(connection, id, version, pool, &audit)).await
    }
    async fn nodes(&self, filter: &NodeFilter, page: PageRequest<NodeSort>) -> Result<Page<Node>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn live_nodes_after(&self, after: Option<NodeId>, limit: u32) -> Result<Vec<Node>, StoreError> {
        // An empty blob is before every id.
        let after = after.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default();
        let sql = format!("SELECT {COLUMNS} FROM nodes WHERE id > ? AND status <> 'deregistered' ORDER BY id LIMIT ?");
        self.core.read(move |connection| rows(connection, &sql, params![after, limit], read)).await
    }
    async fn count_siblings(&self, owner: UserId, ip: IpAddr) -> Result<SiblingCounts, StoreError> {
        self.core
            .read(move |connection| {
                let of_owner = "SELECT count(*) FROM nodes WHERE owner = ? AND status <> 'deregistered'";
                let at_ip = "SELECT count(*) FROM nodes WHERE ip = ? AND status <> 'deregistered'";
                let same_owner = count(connection, of_owner, [owner.0.as_bytes()])?;
                Ok(SiblingCounts { same_owner, same_ip: count(connection, at_ip, [ip.to_string()])? })
            })
            .await
    }
    async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, StoreError> {
        let sql = "SELECT status, count(*) FROM nodes WHERE status <> 'deregistered' GROUP BY status";
        self.core.read(move |connection| rows(connection, sql, [], |c| Ok((c.word(NodeStatus::from_name)?, c.unsigned()?)))).await
    }
}
