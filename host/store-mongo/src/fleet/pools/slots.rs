//! Slots: a member of a pool holds one of as many as the pool may have nodes. The index over (pool,
//! slot) is unique.
//!
//! A pool that is made smaller first *blocks* the slots it will no longer have, each by a document
//! of its own in the same index: who saw the larger pool a moment ago finds its slot taken. Members
//! in those slots move to lower ones, which is no change of their record. A block says which
//! version of the pool it was made for. Below the size of a pool that has that version or a later
//! one it means nothing any more (the change was made and unmade, or another one was made instead,
//! or a process ended in the middle), and whoever is in want of a slot removes it.

use std::collections::HashSet;

use lucid_model::{
    fleet::{node::Node, pool::Pool},
    id::{NodeId, PoolId},
};
use mongodb::bson::{Document, doc};
use uuid::Uuid;

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, stored},
    fleet::nodes::{NODES, free_place},
    page::collect,
};

/// A place in a pool, from 0.
pub(crate) type Slot = u32;

/// Names the blocks of one attempt to make a pool smaller.
#[derive(Clone, Copy)]
pub(super) struct Block(Uuid);

/// Looks at a pool that is made smaller while others put nodes into it; a pool has 1000 at most.
const TRIES_MAX: u32 = 1_024;

/// A slot that is taken, and by which node unless it is blocked.
struct Taken {
    slot: Slot,
    node: Option<NodeId>,
}

impl MongoStore {
    async fn taken_slots(&self, pool: PoolId) -> Result<Vec<Taken>, Fault> {
        let nodes = self.collection(NODES);
        let found = nodes.find(doc! { "pool": fields::id(pool.0), "slot": { "$exists": true } });
        let found = found.projection(doc! { "slot": 1, "blocks": 1 }).await?;
        collect(found, |fields| {
            let node =
                if fields.get("blocks").is_some() { None } else { Some(fields.id("_id", NodeId)?) };
            Ok(Taken { slot: fields.number("slot")?, node })
        })
        .await
    }

    /// A slot that is free at this moment: `None` if there is no such pool, `Some(None)` if it has
    /// no room.
    pub(crate) async fn free_slot(
        &self,
        id: PoolId,
        node: &Node,
    ) -> Result<Option<Option<Slot>>, Fault> {
        loop {
            let Some(pool) = self.live_pool(id).await? else { return Ok(None) };
            let taken = self.taken_slots(id).await?.into_iter().map(|taken| taken.slot).collect();
            let free = free_place(&taken, pool.max_nodes, node);
            if free.is_some() || self.unblock_stale(&pool).await? == 0 {
                return Ok(Some(free));
            }
        }
    }

    /// A slot that was free a moment ago: `None` if the pool has none, or is not there.
    pub(crate) async fn recently_free_slot(&self, id: PoolId) -> Result<Option<Slot>, Fault> {
        if let Some(slot) = self.room.take_slot(id) {
            return Ok(Some(slot));
        }
        let _reading = self.room.reading_slots.lock().await;
        if let Some(slot) = self.room.take_slot(id) {
            return Ok(Some(slot));
        }
        let Some(pool) = self.live_pool(id).await? else { return Ok(None) };
        let taken: HashSet<Slot> =
            self.taken_slots(id).await?.into_iter().map(|taken| taken.slot).collect();
        self.room.put_slots(id, (0..pool.max_nodes).filter(|slot| !taken.contains(slot)).collect());
        Ok(self.room.take_slot(id))
    }

    /// Makes sure that nobody is, or comes, beyond the size the pool shall have. `None`: more are
    /// in.
    pub(super) async fn block_slots(
        &self,
        pool: &Pool,
        size_before: u32,
    ) -> Result<Option<Block>, Fault> {
        let block = Block(Uuid::new_v4());
        for _ in 0..TRIES_MAX {
            let taken = self.taken_slots(pool.id).await?;
            if taken.iter().filter(|taken| taken.node.is_some()).count() as u64
                > u64::from(pool.max_nodes)
            {
                self.unblock(pool.id, block).await?;
                return Ok(None);
            }
            let slots: HashSet<Slot> = taken.iter().map(|taken| taken.slot).collect();
            let open: Vec<Slot> =
                (pool.max_nodes..size_before).filter(|slot| !slots.contains(slot)).collect();
            let beyond: Vec<_> = taken
                .iter()
                .filter(|taken| taken.slot >= pool.max_nodes)
                .filter_map(|t| Some((t.node?, t.slot)))
                .collect();
            if open.is_empty() && beyond.is_empty() {
                return Ok(Some(block));
            }
            self.block(pool, &open, block).await?;
            for ((node, from), to) in
                beyond.into_iter().zip((0..pool.max_nodes).filter(|slot| !slots.contains(slot)))
            {
                self.move_slot(pool.id, node, from, to).await?;
            }
            // Not those of others who are about to write the same version.
            self.unblock_stale(&Pool { version: pool.version.saturating_sub(1), ..pool.clone() })
                .await?;
        }
        self.unblock(pool.id, block).await?;
        Err(Fault::Contended(format!("pool {} was filled as fast as it was made smaller", pool.id)))
    }

    async fn block(&self, pool: &Pool, slots: &[Slot], block: Block) -> Result<(), Fault> {
        if slots.is_empty() {
            return Ok(());
        }
        let version = stored(pool.version)?;
        let blocks = slots.iter().map(|slot| -> Document {
            doc! { "v": 1, "pool": fields::id(pool.id.0), "slot": i64::from(*slot), "blocks": version, "by": fields::id(block.0) }
        });
        match self.collection(NODES).insert_many(blocks).ordered(false).await.map_err(Fault::from) {
            // Who was faster is looked at again.
            Err(fault) if !fault.is_duplicate() => Err(fault),
            _ => Ok(()),
        }
    }

    async fn move_slot(
        &self,
        pool: PoolId,
        node: NodeId,
        from: Slot,
        to: Slot,
    ) -> Result<(), Fault> {
        let filter =
            doc! { "_id": fields::id(node.0), "pool": fields::id(pool.0), "slot": i64::from(from) };
        match self
            .collection(NODES)
            .update_one(filter, doc! { "$set": { "slot": i64::from(to) } })
            .await
            .map_err(Fault::from)
        {
            Err(fault) if !fault.is_duplicate() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Takes back the blocks of a change that was not made.
    pub(super) async fn unblock(&self, pool: PoolId, block: Block) -> Result<(), Fault> {
        self.collection(NODES)
            .delete_many(doc! { "pool": fields::id(pool.0), "by": fields::id(block.0) })
            .await?;
        Ok(())
    }

    /// Removes blocks that mean nothing any more, for a pool as it was read or written; how many.
    pub(super) async fn unblock_stale(&self, pool: &Pool) -> Result<u64, Fault> {
        let stale = doc! {
            "pool": fields::id(pool.id.0), "slot": { "$lt": i64::from(pool.max_nodes) }, "blocks": { "$lte": stored(pool.version)? },
        };
        Ok(self.collection(NODES).delete_many(stale).await?.deleted_count)
    }
}
