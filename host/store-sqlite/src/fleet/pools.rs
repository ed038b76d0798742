use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    epochs::score::Ppm,
    fleet::{
        alert::AlertThresholds,
        pool::{LoadBalancing, Pool, PoolConfig, PoolStatus, health::Standing},
    },
    id::{NodeId, PoolId},
};
use lucid_ports::{Page, PageRequest, PoolFilter, PoolSort, PoolStore, RoomOrder, StoreError};
use rusqlite::{Connection, params, types::Value};

use crate::{
    SqliteStore, audit,
    columns::{Columns, stored},
    fault::Fault,
    fleet::nodes,
    query::{Conditions, List, Source, execute, first, rows},
    review::standings,
};

pub(crate) const COLUMNS: &str = "id, name, description, status, max_nodes, node_count, created_at, updated_at, auto_assignment, load_balancing, \
                       health_check_interval_s, failover_enabled, alert_cpu, alert_memory, alert_disk, alert_missed_heartbeat_s, version";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Pool, Fault> {
    Ok(Pool {
        id: columns.id(PoolId)?,
        name: columns.take()?,
        description: columns.take()?,
        status: columns.word(PoolStatus::from_name)?,
        max_nodes: columns.take()?,
        node_count: columns.take()?,
        created_at: columns.time()?,
        updated_at: columns.time()?,
        config: PoolConfig {
            auto_assignment: columns.take()?,
            load_balancing: columns.word(LoadBalancing::from_name)?,
            health_check_interval_s: columns.take()?,
            failover_enabled: columns.take()?,
            thresholds: read_thresholds(columns)?,
        },
        version: columns.unsigned()?,
    })
}

fn read_thresholds(columns: &mut Columns<'_>) -> Result<AlertThresholds, Fault> {
    let limit = |columns: &mut Columns<'_>| -> Result<Option<Ppm>, Fault> {
        Ok(columns.take::<Option<u32>>()?.map(Ppm))
    };
    Ok(AlertThresholds {
        cpu: limit(columns)?,
        memory: limit(columns)?,
        disk: limit(columns)?,
        missed_heartbeat_s: columns.take()?,
    })
}

/// Adds a pool without nodes; `false` if it or its name is there.
pub(crate) fn insert(connection: &Connection, pool: &Pool) -> Result<bool, Fault> {
    let sql = "INSERT INTO pools (id, name, description, status, max_nodes, created_at, updated_at, auto_assignment, load_balancing, \
               health_check_interval_s, failover_enabled, alert_cpu, alert_memory, alert_disk, alert_missed_heartbeat_s, version) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        pool.id.0.as_bytes(),
        pool.name,
        pool.description,
        pool.status.name(),
        pool.max_nodes,
        pool.created_at.0,
        pool.updated_at.0,
        pool.config.auto_assignment,
        pool.config.load_balancing.name(),
        pool.config.health_check_interval_s,
        pool.config.failover_enabled,
        pool.config.thresholds.cpu.map(|limit| limit.0),
        pool.config.thresholds.memory.map(|limit| limit.0),
        pool.config.thresholds.disk.map(|limit| limit.0),
        pool.config.thresholds.missed_heartbeat_s,
        stored(pool.version)?,
    ];
    Ok(execute(connection, sql, values)? == 1)
}

fn create(connection: &Connection, pool: &Pool, entry: &AuditEntry) -> Result<bool, Fault> {
    let added = insert(connection, pool)?;
    if added {
        audit::add(connection, entry)?;
    }
    Ok(added)
}

fn update(connection: &Connection, pool: &Pool, entry: &AuditEntry) -> Result<bool, Fault> {
    // OR IGNORE: another pool's name changes nothing, as another version does.
    let sql = "UPDATE OR IGNORE pools SET name = ?, description = ?, status = ?, max_nodes = ?, updated_at = ?, auto_assignment = ?, \
               load_balancing = ?, health_check_interval_s = ?, failover_enabled = ?, alert_cpu = ?, alert_memory = ?, \
               alert_disk = ?, alert_missed_heartbeat_s = ?, version = ? WHERE id = ? AND version = ? AND node_count <= ?";
    let values = params![
        pool.name,
        pool.description,
        pool.status.name(),
        pool.max_nodes,
        pool.updated_at.0,
        pool.config.auto_assignment,
        pool.config.load_balancing.name(),
        pool.config.health_check_interval_s,
        pool.config.failover_enabled,
        pool.config.thresholds.cpu.map(|limit| limit.0),
        pool.config.thresholds.memory.map(|limit| limit.0),
        pool.config.thresholds.disk.map(|limit| limit.0),
        pool.config.thresholds.missed_heartbeat_s,
        stored(pool.version)?,
        pool.id.0.as_bytes(),
        stored(pool.version.saturating_sub(1))?,
        pool.max_nodes,
    ];
    let changed = execute(connection, sql, values)? == 1;
    if changed {
        audit::add(connection, entry)?;
    }
    Ok(changed)
}

pub(crate) fn list(filter: &PoolFilter, page: PageRequest<PoolSort>) -> List {
    let conditions = Conditions::default()
        .and("status = ?", filter.status.map(|status| Value::Text(status.name().to_owned())));
    let key = match page.sort {
        PoolSort::CreatedAt => "created_at",
        PoolSort::UpdatedAt => "updated_at",
        PoolSort::Name => "name",
        PoolSort::NodeCount => "node_count",
    };
    List::new(
        &Source { columns: COLUMNS, table: "pools", joins: "" },
        conditions,
        &[key, "id"],
        &page,
    )
}

#[async_trait]
impl PoolStore for SqliteStore {
    async fn create_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| create(connection, &pool, &audit)).await
    }
    async fn pool(&self, id: PoolId) -> Result<Option<Pool>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM pools WHERE id = ?");
        self.core.lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read)).await
    }
    async fn update_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core.write(move |connection| update(connection, &pool, &audit)).await
    }
    async fn delete_pool(
        &self,
        id: PoolId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<Option<Vec<NodeId>>, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "DELETE FROM pools WHERE id = ?1 AND version = coalesce(?2, version)";
                if execute(
                    connection,
                    sql,
                    params![id.0.as_bytes(), version.map(stored).transpose()?],
                )? == 0
                {
                    return Ok(None);
                }
                audit::add(connection, &audit)?;
                standings::forget(connection, id)?;
                nodes::leave_pool(connection, id, &audit).map(Some)
            })
            .await
    }
    async fn pools(
        &self,
        filter: &PoolFilter,
        page: PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn pools_with_room(&self, order: RoomOrder, limit: u32) -> Result<Vec<Pool>, StoreError> {
        let key = match order {
            RoomOrder::Oldest => "created_at, id",
            RoomOrder::Emptiest => "node_count, created_at, id",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM pools WHERE status = 'active' AND auto_assignment AND node_count < max_nodes ORDER BY {key} LIMIT ?"
        );
        self.core.lookup(|connection| rows(connection, &sql, [limit], read)).await
    }
    async fn pool_named(&self, name: &str) -> Result<Option<Pool>, StoreError> {
        let (name, sql) = (name.to_owned(), format!("SELECT {COLUMNS} FROM pools WHERE name = ?"));
        self.core.read(move |connection| first(connection, &sql, [name], read)).await
    }
    async fn pool_members(&self, id: PoolId) -> Result<Vec<NodeId>, StoreError> {
        self.core.read(move |connection| nodes::members(connection, id)).await
    }
    async fn pool_standings(&self) -> Result<Vec<Standing>, StoreError> {
        self.core.read(standings::all).await
    }
    async fn pool_standing(&self, id: PoolId) -> Result<Option<Standing>, StoreError> {
        self.core.lookup(|connection| standings::one(connection, id)).await
    }
    async fn keep_standing(&self, standing: Standing) -> Result<bool, StoreError> {
        self.core.write(move |connection| standings::keep(connection, &standing)).await
    }
}
