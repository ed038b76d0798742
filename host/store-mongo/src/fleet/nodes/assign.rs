use lucid_model::{
    audit::AuditEntry,
    fleet::node::Node,
    id::{NodeId, PoolId},
};
use lucid_ports::Assigned;
use mongodb::bson::{Document, doc};

use super::NODES;
use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, stored},
    fleet::pools::Slot,
};

/// Looks for a slot. Each that fails lost it to another node, which is in by then; a pool has 1000
/// at most.
const TRIES_MAX: u32 = 1_024;

impl MongoStore {
    pub(super) async fn assign(
        &self,
        id: NodeId,
        version: u64,
        pool: Option<PoolId>,
        entry: &AuditEntry,
    ) -> Result<Assigned, Fault> {
        for _ in 0..TRIES_MAX {
            let Some(node) =
                self.node_by_id(id).await?.filter(|node| node.is_live() && node.version == version)
            else {
                return Ok(Assigned::Conflict);
            };
            let place = match pool {
                None => Place::Nowhere,
                // It is in already, and stays where it is.
                Some(pool) if node.pool == Some(pool) && self.live_pool(pool).await?.is_some() => {
                    Place::Same
                }
                Some(pool) => match self.free_slot(pool, &node).await? {
                    None => return Ok(Assigned::NoSuchPool),
                    Some(None) => return Ok(Assigned::PoolFull),
                    Some(Some(slot)) => Place::At(pool, slot),
                },
            };
            if self.place(&node, &place, entry).await? {
                if let Some(pool) = pool {
                    self.leave_if_removed(pool).await?;
                }
                return Ok(Assigned::Done(Box::new(Node {
                    pool,
                    updated_at: entry.at,
                    version: version + 1,
                    ..node
                })));
            }
        }
        Err(Fault::Contended(format!("node {id} lost its slot to others {TRIES_MAX} times")))
    }

    /// Puts a node where it shall be. `false`: it changed, or the slot is taken.
    async fn place(&self, node: &Node, place: &Place, entry: &AuditEntry) -> Result<bool, Fault> {
        let mut update =
            doc! { "$set": { "updated_at": entry.at.0, "version": stored(node.version + 1)? } };
        match place {
            Place::Same => {}
            Place::Nowhere => drop(update.insert("$unset", doc! { "pool": "", "slot": "" })),
            Place::At(pool, slot) => {
                let set = update
                    .get_document_mut("$set")
                    .map_err(|error| Fault::Bad(error.to_string()))?;
                set.extend(doc! { "pool": fields::id(pool.0), "slot": i64::from(*slot) });
            }
        }
        let filter: Document =
            doc! { "_id": fields::id(node.id.0), "version": stored(node.version)?, "live": true };
        let placed = self.update_audited(NODES, filter, update, std::slice::from_ref(entry)).await;
        self.room.forget();
        placed
    }

    /// Takes all nodes out of a pool that was removed by `entry`; who they were. Doing it again
    /// does nothing twice: a node's entry has an id that follows from both.
    pub(crate) async fn leave_pool(
        &self,
        pool: PoolId,
        entry: &AuditEntry,
    ) -> Result<Vec<NodeId>, Fault> {
        let members = self.members(pool).await?;
        for member in &members {
            while let Some(node) = self
                .node_by_id(*member)
                .await?
                .filter(|node| node.is_live() && node.pool == Some(pool))
            {
                let outside = Node { pool: None, ..node.clone() };
                let following = entry.following(
                    "node.assign",
                    node.id,
                    format!("to no pool: pool {pool} was removed"),
                );
                self.place(&node, &Place::Nowhere, &following.changing(&node, &outside)).await?;
            }
        }
        Ok(members)
    }
}

enum Place {
    Nowhere,
    Same,
    At(PoolId, Slot),
}
