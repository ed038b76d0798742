//! Nodes: one document each, with what is unique among live ones in partial indices.

mod assign;
pub(crate) mod document;
pub(crate) mod places;
mod register;
mod together;

use std::{collections::HashMap, net::IpAddr};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream::TryChunksError, try_join};
use lucid_model::{
    audit::AuditEntry,
    fleet::node::{Node, NodeStatus, PublicKey, SiblingCounts, network_of},
    id::{NodeId, PoolId},
};
use lucid_ports::{
    Assigned, Newcomer, NodeBatches, NodeFilter, NodeSort, NodeStore, Page, PageRequest,
    Registered, Registration, StoreError,
};
use mongodb::bson::{Bson, Document, doc};

use self::{document::read, places::still_held};
pub(crate) use self::{places::free_place, together::Together};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields, stored},
    index::{Index, Partial},
    page::{collect, page},
};

pub(crate) const NODES: &str = "nodes";

/// Nodes at an address. Its network goes with it, so that a server finds them by either index.
fn at_ip(ip: IpAddr) -> Document {
    doc! { "network": network_of(ip), "ip": ip.to_string() }
}

fn live_with(name: &'static str) -> Document {
    doc! { "live": true, name: { "$exists": true } }
}

const fn listed(
    name: &'static str,
    keys: &'static [(&'static str, i32)],
    why: &'static str,
) -> Index {
    Index {
        collection: NODES,
        name,
        keys,
        unique: false,
        partial: Some(Partial::Where(|| doc! { "live": true })),
        why,
    }
}

/// What may exist once exists once among live nodes; history keeps the rest. One index for each
/// list that may be long.
pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: NODES,
        name: "live_key",
        keys: &[("public_key", 1)],
        unique: true,
        partial: Some(Partial::Where(|| live_with("public_key"))),
        why: "one live node a key",
    },
    Index {
        collection: NODES,
        name: "live_address",
        keys: &[("ip", 1), ("port", 1)],
        unique: true,
        partial: Some(Partial::Where(|| live_with("ip"))),
        why: "one live node an address and port; nodes of an address",
    },
    Index {
        collection: NODES,
        name: "live_external",
        keys: &[("external_id", 1)],
        unique: true,
        partial: Some(Partial::Where(|| live_with("external_id"))),
        why: "one live node an external id",
    },
    // A pool has as many members as it has slots. Slots that are blocked are in the index too: see
    // `pools::slots`.
    Index {
        collection: NODES,
        name: "slot",
        keys: &[("pool", 1), ("slot", 1)],
        unique: true,
        partial: Some(Partial::Where(|| doc! { "slot": { "$exists": true } })),
        why: "one node a slot of a pool: never more than the pool may have",
    },
    Index {
        collection: NODES,
        name: "live_places",
        keys: &[("places", 1)],
        unique: true,
        partial: Some(Partial::Where(|| live_with("places"))),
        why: "one live node a numbered place under a cap",
    },
    Index {
        collection: NODES,
        name: "enrolment_use",
        keys: &[("enrolment", 1), ("enrolment_use", 1)],
        unique: true,
        partial: Some(Partial::Where(|| doc! { "enrolment_use": { "$exists": true } })),
        why: "one node a use of an enrolment token",
    },
    listed("network", &[("network", 1)], "nodes of a network are counted"),
    listed("wallet", &[("wallet_address", 1)], "nodes of a payee address are counted"),
    listed("pool", &[("pool", 1), ("_id", 1)], "a pool's nodes, and how many each has"),
    listed("walk", &[("_id", 1)], "the fleet by id"),
    listed("created", &[("created_at", 1), ("_id", 1)], "nodes by registration"),
    listed("updated", &[("updated_at", 1), ("_id", 1)], "nodes by last change"),
    listed("score", &[("score", 1), ("_id", 1)], "nodes by score"),
    listed("name", &[("name", 1), ("_id", 1)], "nodes by name"),
    // Of those that are gone too: scores outlive their nodes.
    Index {
        collection: NODES,
        name: "owner_created",
        keys: &[("owner", 1), ("created_at", 1), ("_id", 1)],
        unique: false,
        partial: None,
        why: "an owner's nodes by registration, gone ones too",
    },
    listed(
        "owner_updated",
        &[("owner", 1), ("updated_at", 1), ("_id", 1)],
        "an owner's nodes by last change",
    ),
    listed("owner_score", &[("owner", 1), ("score", 1), ("_id", 1)], "an owner's nodes by score"),
    listed("owner_name", &[("owner", 1), ("name", 1), ("_id", 1)], "an owner's nodes by name"),
    listed(
        "status_created",
        &[("status", 1), ("created_at", 1), ("_id", 1)],
        "nodes of a status by registration; nodes by status are counted",
    ),
    listed(
        "status_updated",
        &[("status", 1), ("updated_at", 1), ("_id", 1)],
        "nodes of a status by last change",
    ),
    listed(
        "status_score",
        &[("status", 1), ("score", 1), ("_id", 1)],
        "nodes of a status by score",
    ),
    listed("status_name", &[("status", 1), ("name", 1), ("_id", 1)], "nodes of a status by name"),
];

impl MongoStore {
    pub(crate) async fn find_node(&self, filter: Document) -> Result<Option<Node>, Fault> {
        let found = self.collection(NODES).find_one(filter).await?;
        found.map(|document| read(Fields::of(&document))).transpose()
    }
    pub(crate) async fn node_by_id(&self, id: NodeId) -> Result<Option<Node>, Fault> {
        self.find_node(doc! { "_id": fields::id(id.0) }).await
    }

    async fn change_node(&self, node: &Node, entry: &AuditEntry) -> Result<bool, Fault> {
        let version = stored(node.version.saturating_sub(1))?;
        let found = self.collection(NODES).find_one(doc! { "_id": fields::id(node.id.0) }).await?;
        let (mut set, unset) = document::replacing(node)?;
        // Places under caps belong to what the node shares; those of an owner, address or wallet it
        // had are given back. The version makes sure that they are the ones just read.
        if let Some(held) = found.as_ref().and_then(|document| document.get_array("places").ok()) {
            set.insert(
                "places",
                held.iter()
                    .filter(|place| place.as_str().is_some_and(|place| still_held(place, node)))
                    .cloned()
                    .collect::<Bson>(),
            );
        }
        let filter = doc! { "_id": fields::id(node.id.0), "version": version };
        let changed = self
            .update_audited(
                NODES,
                filter,
                doc! { "$set": set, "$unset": unset },
                std::slice::from_ref(entry),
            )
            .await;
        if node.pool.is_none() {
            self.room.forget();
        }
        changed
    }

    pub(crate) async fn siblings(
        &self,
        newcomer: &Newcomer,
        except: Option<NodeId>,
    ) -> Result<SiblingCounts, Fault> {
        let nodes = self.collection(NODES);
        let of = async |shared: Option<Document>| -> Result<u64, Fault> {
            let Some(mut filter) = shared else { return Ok(0) };
            filter.insert("live", true);
            if let Some(except) = except {
                filter.insert("_id", doc! { "$ne": fields::id(except.0) });
            }
            Ok(nodes.count_documents(filter).await?)
        };
        let (same_owner, (same_ip, same_network), same_wallet) = try_join!(
            of(Some(doc! { "owner": fields::id(newcomer.owner.0) })),
            self.neighbours(newcomer.ip, except),
            of(newcomer.wallet.map(|wallet| doc! { "wallet_address": wallet.to_string() })),
        )?;
        Ok(SiblingCounts { same_owner, same_ip, same_network, same_wallet })
    }

    /// Live nodes at an address, and in its network: read by the network, whose index every server
    /// uses.
    async fn neighbours(
        &self,
        ip: Option<IpAddr>,
        except: Option<NodeId>,
    ) -> Result<(u64, u64), Fault> {
        let Some(ip) = ip else { return Ok((0, 0)) };
        let found = self
            .collection(NODES)
            .find(doc! { "live": true, "network": network_of(ip) })
            .projection(doc! { "ip": 1 })
            .await?;
        let found =
            collect(found, |fields| Ok((fields.id("_id", NodeId)?, fields.text("ip")?))).await?;
        let (mut at_ip, mut in_network) = (0, 0);
        for (_, other) in found.iter().filter(|(id, _)| Some(*id) != except) {
            in_network += 1;
            at_ip += u64::from(*other == ip.to_string());
        }
        Ok((at_ip, in_network))
    }

    /// How many live nodes have each value of a field.
    pub(crate) async fn count_nodes_by<K: Eq + std::hash::Hash>(
        &self,
        filter: Document,
        field: &str,
        read: impl Fn(Fields<'_>) -> Result<K, Fault>,
    ) -> Result<HashMap<K, u32>, Fault> {
        let stages = [
            doc! { "$match": filter },
            doc! { "$group": { "_id": format!("${field}"), "nodes": { "$sum": 1_i64 } } },
        ];
        let cursor = self.collection(NODES).aggregate(stages).await?;
        let counted =
            collect(cursor, |fields| Ok((read(fields)?, fields.number("nodes")?))).await?;
        Ok(counted.into_iter().collect())
    }

    pub(crate) async fn members(&self, pool: PoolId) -> Result<Vec<NodeId>, Fault> {
        let nodes = self.collection(NODES);
        let found = nodes
            .find(doc! { "pool": fields::id(pool.0), "live": true })
            .sort(doc! { "_id": 1 })
            .projection(doc! { "_id": 1 })
            .await?;
        collect(found, |fields| fields.id("_id", NodeId)).await
    }
}

pub(crate) fn filtered(filter: &NodeFilter) -> Document {
    let mut conditions = doc! { "live": true };
    let values = [
        ("owner", filter.owner.map(|owner| fields::id(owner.0))),
        ("status", filter.status.map(|status| Bson::String(status.name().to_owned()))),
        ("pool", filter.pool.map(|pool| fields::id(pool.0))),
    ];
    conditions
        .extend(values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    conditions
}

#[async_trait]
impl NodeStore for MongoStore {
    async fn register_node(&self, registration: Registration) -> Result<Registered, StoreError> {
        Ok(self.register(registration).await?)
    }
    async fn node(&self, id: NodeId) -> Result<Option<Node>, StoreError> {
        Ok(self.node_by_id(id).await?)
    }
    async fn node_by_external_id(&self, external_id: &str) -> Result<Option<Node>, StoreError> {
        Ok(self.find_node(doc! { "live": true, "external_id": external_id }).await?)
    }
    async fn node_by_key(&self, key: PublicKey) -> Result<Option<Node>, StoreError> {
        Ok(self.find_node(doc! { "live": true, "public_key": fields::bytes(&key.0) }).await?)
    }
    async fn update_node(&self, node: Node, audit: AuditEntry) -> Result<bool, StoreError> {
        Ok(self.change_node(&node, &audit).await?)
    }
    async fn assign_node(
        &self,
        id: NodeId,
        version: u64,
        pool: Option<PoolId>,
        audit: AuditEntry,
    ) -> Result<Assigned, StoreError> {
        Ok(self.assign(id, version, pool, &audit).await?)
    }
    async fn nodes(
        &self,
        filter: &NodeFilter,
        request: PageRequest<NodeSort>,
    ) -> Result<Page<Node>, StoreError> {
        let key = match request.sort {
            NodeSort::CreatedAt => "created_at",
            NodeSort::UpdatedAt => "updated_at",
            // A missing one is smaller than any number.
            NodeSort::Score => "score",
            NodeSort::Name => "name",
        };
        Ok(page(&self.collection(NODES), filtered(filter), &[key, "_id"], &request, read).await?)
    }
    async fn live_nodes(&self, batch: u32) -> Result<NodeBatches<'_>, StoreError> {
        let found = self
            .collection(NODES)
            .find(doc! { "live": true })
            .sort(doc! { "_id": 1 })
            .batch_size(batch)
            .await
            .map_err(Fault::from)?;
        let nodes = found.map(|found| Ok(read(Fields::of(&found.map_err(Fault::from)?))?));
        Ok(nodes
            .try_chunks(usize::try_from(batch.max(1)).unwrap_or(usize::MAX))
            .map_err(|TryChunksError(_, error)| error)
            .boxed())
    }
    async fn live_nodes_after(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Node>, StoreError> {
        let mut filter = doc! { "live": true };
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": fields::id(after.0) });
        }
        let nodes = self.collection(NODES);
        let found = nodes
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn standby_nodes(&self, limit: u32) -> Result<Vec<Node>, StoreError> {
        let waiting =
            doc! { "live": true, "status": NodeStatus::Active.name(), "pool": Bson::Null };
        let found = self
            .collection(NODES)
            .find(waiting)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .await
            .map_err(Fault::from)?;
        Ok(collect(found, read).await?)
    }
    async fn count_siblings(
        &self,
        newcomer: Newcomer,
        except: Option<NodeId>,
    ) -> Result<SiblingCounts, StoreError> {
        Ok(self.siblings(&newcomer, except).await?)
    }
    async fn count_by_status(&self) -> Result<Vec<(NodeStatus, u64)>, StoreError> {
        let counted = self
            .count_nodes_by(doc! { "live": true }, "status", |fields| {
                fields.word("_id", NodeStatus::from_name)
            })
            .await?;
        Ok(counted.into_iter().map(|(status, nodes)| (status, u64::from(nodes))).collect())
    }
}
