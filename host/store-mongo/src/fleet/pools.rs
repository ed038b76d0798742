//! Pools. Who is in one is said by the nodes (`pool`, `slot`); counts are derived from them.

mod room;
mod slots;

use std::collections::HashMap;

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
use lucid_ports::{
    Order, Page, PageRequest, PoolFilter, PoolSort, PoolStore, RoomOrder, StoreError,
};
use mongodb::bson::{Bson, Document, doc};

pub(crate) use self::{room::Room, slots::Slot};
use crate::{
    MongoStore,
    audit::{intent, read_intent},
    fault::Fault,
    fields::{self, Fields, stored},
    index::{Index, Partial},
    page::{collect, sorted},
};

pub(crate) const POOLS: &str = "pools";

const fn live(
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    unique: bool,
    why: &'static str,
) -> Index {
    Index {
        collection: POOLS,
        name,
        keys,
        unique,
        partial: Some(Partial::Where(|| doc! { "live": true })),
        why,
    }
}

pub(crate) const INDICES: &[Index] = &[
    live("live_name", &[("name", 1)], true, "one live pool a name"),
    live("created", &[("created_at", 1), ("_id", 1)], false, "pools by creation"),
    live("updated", &[("updated_at", 1), ("_id", 1)], false, "pools by last change"),
    live(
        "status",
        &[("status", 1), ("created_at", 1), ("_id", 1)],
        false,
        "pools of a status by creation",
    ),
];

/// Nodes of each pool that has some.
type Counts = HashMap<PoolId, u32>;

/// What a change of a pool sets.
fn changed(pool: &Pool) -> Result<Document, Fault> {
    let config = &pool.config;
    let AlertThresholds { cpu, memory, disk, missed_heartbeat_s } = config.thresholds;
    let limit = |limit: Option<Ppm>| limit.map(|limit| i64::from(limit.0));
    Ok(doc! {
        "v": 1, "live": true, "name": &pool.name, "description": &pool.description, "status": pool.status.name(),
        "max_nodes": i64::from(pool.max_nodes), "updated_at": pool.updated_at.0, "auto_assignment": config.auto_assignment,
        "load_balancing": config.load_balancing.name(), "health_check_interval_s": i64::from(config.health_check_interval_s),
        "failover_enabled": config.failover_enabled, "alert_cpu": limit(cpu), "alert_memory": limit(memory), "alert_disk": limit(disk),
        "alert_missed_heartbeat_s": missed_heartbeat_s.map(i64::from), "version": stored(pool.version)?,
    })
}

/// A pool that was not there.
pub(crate) fn document(pool: &Pool) -> Result<Document, Fault> {
    let mut document = changed(pool)?;
    document.extend(doc! { "_id": fields::id(pool.id.0), "created_at": pool.created_at.0 });
    Ok(document)
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Pool, Fault> {
    Ok(Pool {
        id: fields.id("_id", PoolId)?,
        name: fields.text("name")?,
        description: fields.text_or_none("description")?,
        status: fields.word("status", PoolStatus::from_name)?,
        max_nodes: fields.number("max_nodes")?,
        node_count: 0,
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        config: PoolConfig {
            auto_assignment: fields.truth("auto_assignment")?,
            load_balancing: fields.word("load_balancing", LoadBalancing::from_name)?,
            health_check_interval_s: fields.number("health_check_interval_s")?,
            failover_enabled: fields.truth("failover_enabled")?,
            thresholds: AlertThresholds {
                cpu: fields.number_or_none("alert_cpu")?.map(Ppm),
                memory: fields.number_or_none("alert_memory")?.map(Ppm),
                disk: fields.number_or_none("alert_disk")?.map(Ppm),
                missed_heartbeat_s: fields.number_or_none("alert_missed_heartbeat_s")?,
            },
        },
        version: fields.number("version")?,
    })
}

fn counted(pool: Pool, counts: &Counts) -> Pool {
    Pool { node_count: counts.get(&pool.id).copied().unwrap_or(0), ..pool }
}

impl MongoStore {
    async fn counts(&self, pools: &[PoolId]) -> Result<Counts, Fault> {
        let pools: Vec<_> = pools.iter().map(|pool| fields::id(pool.0)).collect();
        self.count_nodes_by(doc! { "live": true, "pool": { "$in": pools } }, "pool", |fields| {
            fields.id("_id", PoolId)
        })
        .await
    }

    /// A pool that was not removed, without its count.
    async fn find_pool(&self, mut filter: Document) -> Result<Option<Pool>, Fault> {
        filter.insert("live", true);
        let found = self.collection(POOLS).find_one(filter).await?;
        found.map(|document| read(Fields::of(&document))).transpose()
    }
    pub(crate) async fn live_pool(&self, id: PoolId) -> Result<Option<Pool>, Fault> {
        self.find_pool(doc! { "_id": fields::id(id.0) }).await
    }

    async fn one(&self, filter: Document) -> Result<Option<Pool>, Fault> {
        let Some(pool) = self.find_pool(filter).await? else { return Ok(None) };
        let counts = self.counts(&[pool.id]).await?;
        Ok(Some(counted(pool, &counts)))
    }

    async fn create(&self, pool: &Pool, entry: &AuditEntry) -> Result<bool, Fault> {
        let created =
            self.insert_audited(POOLS, document(pool)?, std::slice::from_ref(entry)).await;
        self.room.forget();
        created
    }

    async fn change(&self, pool: &Pool, entry: &AuditEntry) -> Result<bool, Fault> {
        let before = pool.version.saturating_sub(1);
        let Some(found) = self.live_pool(pool.id).await?.filter(|found| found.version == before)
        else {
            return Ok(false);
        };
        let block = match self.block_slots(pool, found.max_nodes).await? {
            Some(block) => block,
            None => return Ok(false),
        };
        let filter =
            doc! { "_id": fields::id(pool.id.0), "version": stored(before)?, "live": true };
        let changed = self
            .update_audited(
                POOLS,
                filter,
                doc! { "$set": changed(pool)? },
                std::slice::from_ref(entry),
            )
            .await;
        self.room.forget();
        self.room.forget_slots(pool.id);
        let changed = changed?;
        if changed {
            self.unblock_stale(pool).await?;
        } else {
            self.unblock(pool.id, block).await?;
        }
        Ok(changed)
    }

    /// Marks the pool as removed, which is what counts, then takes its nodes out. The document
    /// stays: it holds the entry that theirs follow from, for whoever has to go on after a crash.
    async fn remove(
        &self,
        id: PoolId,
        version: Option<u64>,
        entry: &AuditEntry,
    ) -> Result<Option<Vec<NodeId>>, Fault> {
        let mut filter = doc! { "_id": fields::id(id.0), "live": true };
        if let Some(version) = version {
            filter.insert("version", stored(version)?);
        }
        let update = doc! { "$unset": { "live": "" }, "$set": { "removal": intent(entry) } };
        if !self.update_audited(POOLS, filter, update, std::slice::from_ref(entry)).await? {
            self.leave_if_removed(id).await?;
            return Ok(None);
        }
        self.room.forget();
        self.forget_standing(id).await?;
        self.leave_pool(id, entry).await.map(Some)
    }

    /// Whoever put a node into a pool looks again: if it was removed meanwhile, the node leaves as
    /// the others did.
    pub(crate) async fn leave_if_removed(&self, id: PoolId) -> Result<(), Fault> {
        self.leave_removed(doc! { "_id": fields::id(id.0) }).await
    }

    /// Ends what a crash cut off: nodes leave pools that were removed.
    pub(crate) async fn empty_removed_pools(&self) -> Result<(), Fault> {
        self.leave_removed(doc! {}).await
    }

    /// Removed pools are few, and finding out that one is empty is one search: counting the nodes
    /// of all pools would read the fleet.
    async fn leave_removed(&self, mut pools: Document) -> Result<(), Fault> {
        pools.insert("removal", doc! { "$exists": true });
        let found = self.collection(POOLS).find(pools).projection(doc! { "removal": 1 }).await?;
        let removed = collect(found, |fields| {
            Ok((fields.id("_id", PoolId)?, read_intent(fields.document("removal")?, "id")?))
        })
        .await?;
        for (pool, entry) in removed {
            self.leave_pool(pool, &entry).await?;
        }
        Ok(())
    }

    async fn list(
        &self,
        filter: &PoolFilter,
        request: &PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, Fault> {
        let mut conditions = doc! { "live": true };
        if let Some(status) = filter.status {
            conditions.insert("status", status.name());
        }
        let key = match request.sort {
            PoolSort::CreatedAt => "created_at",
            PoolSort::UpdatedAt => "updated_at",
            PoolSort::Name => "name",
            PoolSort::NodeCount => return self.list_by_count(conditions, request).await,
        };
        let page =
            crate::page::page(&self.collection(POOLS), conditions, &[key, "_id"], request, read)
                .await?;
        let counts =
            self.counts(&page.items.iter().map(|pool| pool.id).collect::<Vec<_>>()).await?;
        Ok(Page {
            items: page.items.into_iter().map(|pool| counted(pool, &counts)).collect(),
            total: page.total,
        })
    }

    /// Counts are in no index: all pools are read, which operators make by hand, and sorted here.
    async fn list_by_count(
        &self,
        conditions: Document,
        request: &PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, Fault> {
        let mut pools = self.all_counted(conditions, doc! { "_id": 1 }).await?;
        pools.sort_by_key(|pool| (pool.node_count, pool.id));
        if request.order == Order::Descending {
            pools.reverse();
        }
        let total = pools.len() as u64;
        let offset = usize::try_from(request.offset()).unwrap_or(usize::MAX);
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        Ok(Page { items: pools.into_iter().skip(offset).take(limit).collect(), total })
    }

    async fn all_counted(&self, conditions: Document, sort: Document) -> Result<Vec<Pool>, Fault> {
        let pools =
            collect(self.collection(POOLS).find(conditions).sort(sort).await?, read).await?;
        let counts = self.counts(&pools.iter().map(|pool| pool.id).collect::<Vec<_>>()).await?;
        Ok(pools.into_iter().map(|pool| counted(pool, &counts)).collect())
    }

    async fn with_room(&self, order: RoomOrder, limit: u32) -> Result<Vec<Pool>, Fault> {
        let taking = doc! { "live": true, "status": PoolStatus::Active.name(), "auto_assignment": Bson::Boolean(true) };
        let mut pools = match self.room.recent() {
            (Some(pools), _) => pools,
            (None, _) => {
                let _reading = self.room.reading.lock().await;
                match self.room.recent() {
                    (Some(pools), _) => pools,
                    (None, changes) => {
                        let pools = self
                            .all_counted(taking, sorted(&["created_at", "_id"], Order::Ascending))
                            .await?;
                        self.room.remember(&pools, changes);
                        pools
                    }
                }
            }
        };
        pools.retain(|pool| pool.node_count < pool.max_nodes);
        if order == RoomOrder::Emptiest {
            pools.sort_by_key(|pool| pool.node_count);
        }
        pools.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(pools)
    }
}

#[async_trait]
impl PoolStore for MongoStore {
    async fn create_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.create(&pool, &audit).await?)
    }
    async fn pool(&self, id: PoolId) -> Result<Option<Pool>, StoreError> {
        Ok(self.one(doc! { "_id": fields::id(id.0) }).await?)
    }
    async fn update_pool(&self, pool: Pool, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.change(&pool, &audit).await?)
    }
    async fn delete_pool(
        &self,
        id: PoolId,
        version: Option<u64>,
        audit: AuditEntry,
    ) -> Result<Option<Vec<NodeId>>, StoreError> {
        Ok(self.remove(id, version, &audit).await?)
    }
    async fn pools(
        &self,
        filter: &PoolFilter,
        page: PageRequest<PoolSort>,
    ) -> Result<Page<Pool>, StoreError> {
        Ok(self.list(filter, &page).await?)
    }
    async fn pools_with_room(&self, order: RoomOrder, limit: u32) -> Result<Vec<Pool>, StoreError> {
        Ok(self.with_room(order, limit).await?)
    }
    async fn pool_named(&self, name: &str) -> Result<Option<Pool>, StoreError> {
        Ok(self.one(doc! { "name": name }).await?)
    }
    async fn pool_members(&self, id: PoolId) -> Result<Vec<NodeId>, StoreError> {
        Ok(self.members(id).await?)
    }
    async fn pool_standings(&self) -> Result<Vec<Standing>, StoreError> {
        Ok(self.standings().await?)
    }
    async fn pool_standing(&self, id: PoolId) -> Result<Option<Standing>, StoreError> {
        Ok(self.standing(id).await?)
    }
    async fn keep_standing(&self, standing: Standing) -> Result<bool, StoreError> {
        Ok(self.keep(&standing).await?)
    }
}
