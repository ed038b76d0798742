use async_trait::async_trait;
use futures::{StreamExt as _, stream::try_unfold};
use lucid_model::{
    audit::AuditEntry,
    epochs::score::ScoreCenti,
    fleet::node::{Node, NodeStatus, PublicKey, SiblingCounts, network_of},
    id::{NodeId, PoolId, UserId},
};
use lucid_ports::{
    Assigned, Newcomer, NodeBatches, NodeFilter, NodeSort, NodeStore, Page, PageRequest,
    Registered, Registration, StoreError,
};
use rusqlite::{Connection, Params, params, types::Value};

use crate::{
    SqliteStore, audit,
    columns::{Columns, blob, json, stored},
    fault::Fault,
    fleet::{node_doc::NodeDoc, registration::register},
    query::{Conditions, List, Source, count, execute, first, rows},
};

pub(crate) const COLUMNS: &str = "id, owner, external_id, name, status, pool, ip, port, created_at, updated_at, score, observed_s, public_key, version, doc";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Node, Fault> {
    let id = columns.id(NodeId)?;
    let owner = columns.id(UserId)?;
    let external_id = columns.take()?;
    let name = columns.take()?;
    let status = columns.word(NodeStatus::from_name)?;
    let pool = columns.id_or_none(PoolId)?;
    let address = columns.address()?;
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
        address,
        created_at,
        updated_at,
        score,
        observed_s,
        public_key,
        version,
        activated_at: doc.activated_at(),
        status_since: doc.status_since(),
        config: doc.config(),
        wallet: doc.wallet()?,
        wallet_wish: doc.wallet_wish()?,
        hardware: doc.hardware(),
        suspension: doc.suspension()?,
        approved: doc.approved,
        description: doc.description,
        error_reason: doc.error_reason,
    })
}

pub(crate) fn one(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Node>, Fault> {
    first(connection, &format!("SELECT {COLUMNS} FROM nodes WHERE {condition}"), params, read)
}

pub(crate) fn by_id(connection: &Connection, id: NodeId) -> Result<Option<Node>, Fault> {
    one(connection, "id = ?", [id.0.as_bytes()])
}

/// Score and credited seconds are the epochs' to write: a record that was read before an epoch
/// closed must not take them back.
fn update(connection: &Connection, node: &Node, entry: &AuditEntry) -> Result<bool, Fault> {
    let sql = "UPDATE nodes SET owner = ?, external_id = ?, name = ?, status = ?, pool = CASE WHEN ? THEN pool ELSE NULL END, ip = ?, port = ?, \
               network = ?, wallet = ?, created_at = ?, updated_at = ?, public_key = ?, version = ?, doc = ? WHERE id = ? AND version = ?";
    let values = params![
        node.owner.0.as_bytes(),
        node.external_id,
        node.name,
        node.status.name(),
        node.pool.is_some(),
        node.address.map(|a| a.ip.to_string()),
        node.address.map(|a| a.port),
        node.address.map(|a| network_of(a.ip)),
        node.wallet.map(|w| w.address.to_string()),
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

pub(crate) fn live_external(
    connection: &Connection,
    external_id: &str,
) -> Result<Option<Node>, Fault> {
    one(connection, "external_id = ? AND status <> 'deregistered'", [external_id])
}

/// Whether a pool takes one more node; `None` if there is no such pool.
pub(crate) fn has_room(connection: &Connection, pool: PoolId) -> Result<Option<bool>, Fault> {
    first(
        connection,
        "SELECT node_count < max_nodes FROM pools WHERE id = ?",
        [pool.0.as_bytes()],
        |c| c.take(),
    )
}

pub(crate) fn siblings(
    connection: &Connection,
    newcomer: &Newcomer,
    except: Option<NodeId>,
) -> Result<SiblingCounts, Fault> {
    let except = except.map(|id| id.0.into_bytes());
    let of = |condition: &str, value: Option<Value>| {
        let Some(value) = value else { return Ok(0) };
        let sql = format!(
            "SELECT count(*) FROM nodes WHERE {condition} = ?1 AND status <> 'deregistered' AND id IS NOT ?2"
        );
        count(connection, &sql, params![value, except])
    };
    Ok(SiblingCounts {
        same_owner: of("owner", Some(blob(newcomer.owner.0)))?,
        same_ip: of("ip", newcomer.ip.map(|ip| Value::Text(ip.to_string())))?,
        same_network: of("network", newcomer.ip.map(|ip| Value::Text(network_of(ip))))?,
        same_wallet: of("wallet", newcomer.wallet.map(|wallet| Value::Text(wallet.to_string())))?,
    })
}

fn assign(
    connection: &Connection,
    id: NodeId,
    version: u64,
    pool: Option<PoolId>,
    entry: &AuditEntry,
) -> Result<Assigned, Fault> {
    let Some(node) =
        by_id(connection, id)?.filter(|node| node.is_live() && node.version == version)
    else {
        return Ok(Assigned::Conflict);
    };
    if let Some(pool) = pool {
        match has_room(connection, pool)? {
            None => return Ok(Assigned::NoSuchPool),
            Some(false) if node.pool != Some(pool) => return Ok(Assigned::PoolFull),
            Some(_) => {}
        }
    }
    let assigned = Node { pool, updated_at: entry.at, version: version + 1, ..node };
    let sql = "UPDATE nodes SET pool = ?, updated_at = ?, version = ? WHERE id = ?";
    let pool = pool.map(|pool| pool.0.into_bytes());
    execute(
        connection,
        sql,
        params![pool, assigned.updated_at.0, stored(assigned.version)?, id.0.as_bytes()],
    )?;
    audit::add(connection, entry)?;
    Ok(Assigned::Done(Box::new(assigned)))
}

/// Takes all nodes out of a pool that is removed by `entry`; who they were.
pub(crate) fn leave_pool(
    connection: &Connection,
    pool: PoolId,
    entry: &AuditEntry,
) -> Result<Vec<NodeId>, Fault> {
    let members = rows(
        connection,
        &format!("SELECT {COLUMNS} FROM nodes WHERE pool = ? ORDER BY id"),
        [pool.0.as_bytes()],
        read,
    )?;
    let sql = "UPDATE nodes SET pool = NULL, updated_at = ?, version = version + 1 WHERE pool = ?";
    execute(connection, sql, params![entry.at.0, pool.0.as_bytes()])?;
    for member in &members {
        let outside = Node { pool: None, ..member.clone() };
        let following = entry.following(
            "node.assign",
            member.id,
            format!("to no pool: pool {pool} was removed"),
        );
        audit::add(connection, &following.changing(member, &outside))?;
    }
    Ok(members.into_iter().map(|member| member.id).collect())
}

pub(crate) fn members(connection: &Connection, pool: PoolId) -> Result<Vec<NodeId>, Fault> {
    rows(
        connection,
        "SELECT id FROM nodes WHERE pool = ? ORDER BY id",
        [pool.0.as_bytes()],
        |columns| columns.id(NodeId),
    )
}

/// Active nodes in no pool.
pub(crate) fn standby_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM nodes INDEXED BY nodes_standby WHERE status = 'active' AND pool IS NULL ORDER BY id LIMIT ?"
    )
}

pub(crate) fn list(filter: &NodeFilter, page: PageRequest<NodeSort>) -> List {
    let conditions = Conditions::of("status <> 'deregistered'")
        .and("owner = ?", filter.owner.map(|owner| blob(owner.0)))
        .and("status = ?", filter.status.map(|status| Value::Text(status.name().to_owned())))
        .and("pool = ?", filter.pool.map(|pool| blob(pool.0)));
    let (key, word) = match page.sort {
        NodeSort::CreatedAt => ("created_at", "created"),
        NodeSort::UpdatedAt => ("updated_at", "updated"),
        // NULL is smaller than any score.
        NodeSort::Score => ("score", "score"),
        NodeSort::Name => ("name", "name"),
    };
    // Said, not left to the planner: it knows no parameter's value, and would walk a hundred
    // thousand names for the few nodes of a pool.
    let index = match filter {
        NodeFilter { pool: Some(_), .. } => "nodes_pool".to_owned(),
        // An owner's nodes are few enough to be sorted by score.
        NodeFilter { owner: Some(_), .. } if page.sort == NodeSort::Score => {
            "nodes_owner_created".to_owned()
        }
        NodeFilter { owner: Some(_), .. } => format!("nodes_owner_{word}"),
        NodeFilter { status: Some(_), .. } => format!("nodes_status_{word}"),
        _ => format!("nodes_{word}"),
    };
    List::new(
        &Source { columns: COLUMNS, table: &format!("nodes INDEXED BY {index}"), joins: "" },
        conditions,
        &[key, "id"],
        &page,
    )
}

#[async_trait]
impl NodeStore for SqliteStore {
    async fn register_node(&self, registration: Registration) -> Result<Registered, StoreError> {
        self.core.write(move |connection| register(connection, registration)).await
    }
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        self.core.lookup(|connection| by_id(connection, id)).await
    }
    async fn node_by_external_id(&self, external_id: &str) -> Result<Option<Node>, StoreError> {
        self.core.lookup(|connection| live_external(connection, external_id)).await
    }
    async fn node_by_key(&self, key: PublicKey) -> Result<Option<Node>, StoreError> {
        self.core
            .lookup(|connection| {
                one(connection, "public_key = ? AND status <> 'deregistered'", [key.0])
            })
            .await
    }
    async fn update_node(&self, node: Node, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| update(connection, &node, &audit)).await
    }
    async fn assign_node(
        &self,
        id: NodeId,
        version: u64,
        pool: Option<PoolId>,
        audit: AuditEntry,
    ) -> Result<Assigned, StoreError> {
        self.core.write(move |connection| assign(connection, id, version, pool, &audit)).await
    }
    async fn nodes(
        &self,
        filter: &NodeFilter,
        page: PageRequest<NodeSort>,
    ) -> Result<Page<Node>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn live_nodes(&self, batch: u32) -> Result<NodeBatches<'_>, StoreError> {
        let next = move |after| async move {
            let nodes = self.live_nodes_after(after, batch).await?;
            let last = nodes.last().map(|last| last.id);
            Ok(last.map(|last| (nodes, Some(last))))
        };
        Ok(try_unfold(None, next).boxed())
    }
    async fn live_nodes_after(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>, StoreError> {
        // An empty blob is before every id.
        let after = after.map(|id| id.0.as_bytes().to_vec()).unwrap_or_default();
        let sql = format!(
            "SELECT {COLUMNS} FROM nodes WHERE id > ? AND status <> 'deregistered' ORDER BY id LIMIT ?"
        );
        self.core.read(move |connection| rows(connection, &sql, params![after, limit], read)).await
    }
    async fn standby_nodes(&self, limit: u32) -> Result<Vec<Node>, StoreError> {
        self.core.read(move |connection| rows(connection, &standby_sql(), [limit], read)).await
    }
    async fn count_siblings(
        &self,
        newcomer: Newcomer,
        except: Option<NodeId>,
    ) -> Result<SiblingCounts, StoreError> {
        self.core.lookup(|connection| siblings(connection, &newcomer, except)).await
    }
    async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, StoreError> {
        let sql =
            "SELECT status, count(*) FROM nodes WHERE status <> 'deregistered' GROUP BY status";
        self.core
            .read(move |connection| {
                rows(connection, sql, [], |c| Ok((c.word(NodeStatus::from_name)?, c.unsigned()?)))
            })
            .await
    }
}
