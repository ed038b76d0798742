//! Places under caps: a live node holds one of as many numbered places as its owner, address,
//! network and wallet may have. The index over them is unique, so that two newcomers at once are
//! never both the last.

use std::collections::HashSet;

use futures::future::try_join_all;
use lucid_model::{
    fleet::node::{Node, NodeCaps, network_of},
    id::NodeId,
};
use mongodb::bson::{Bson, Document, doc};

use super::NODES;
use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    page::collect,
};

/// One of the free places below `limit`. Which one differs from node to node, so that those that
/// come at once seldom want the same.
pub(crate) fn free_place(taken: &HashSet<u32>, limit: u32, node: &Node) -> Option<u32> {
    let free = (0..limit).filter(|place| !taken.contains(place));
    let turn = usize::try_from(node.id.0.as_u128() % u128::from(limit.max(1))).unwrap_or(0);
    free.clone().cycle().nth(turn)
}

/// What a place is counted by: `owner:…`, `ip:…`, …
struct Shared {
    by: Document,
    /// Of what is found by that, only this address.
    ip: Option<String>,
    key: String,
}

/// Which cap counts; the address is IPv4 or not.
type Limit = fn(&NodeCaps, bool) -> u64;

fn shared(node: &Node) -> [(Option<Shared>, Limit); 4] {
    let shared =
        |field: &str, value: Bson, key: String| Shared { by: doc! { field: value }, ip: None, key };
    let owner = shared("owner", fields::id(node.owner.0), format!("owner:{}:", node.owner));
    let text = |field: &str, value: String| {
        shared(field, Bson::String(value.clone()), format!("{field}:{value}:"))
    };
    let network = node.address.map(|at| text("network", network_of(at.ip)));
    let ip = node.address.map(|at| {
        let by = doc! { "network": network_of(at.ip) };
        Shared { by, ip: Some(at.ip.to_string()), key: format!("ip:{}:", at.ip) }
    });
    let wallet = node.wallet.map(|wallet| text("wallet_address", wallet.address.to_string()));
    [
        (Some(owner), |caps, _| caps.per_owner),
        (ip, |caps, v4| if v4 { caps.per_ipv4 } else { 0 }),
        (network, |caps, v4| if v4 { caps.per_ipv4_24 } else { caps.per_ipv6_64 }),
        (wallet, |caps, _| caps.per_wallet),
    ]
}

/// What the places of a node are called, up to their numbers: one for each thing that a cap counts.
pub(crate) fn place_names(node: &Node) -> impl Iterator<Item = String> {
    shared(node).into_iter().filter_map(|(shared, _)| shared).map(|shared| shared.key)
}

/// Whether a place is one for what the node still shares.
pub(super) fn still_held(place: &str, node: &Node) -> bool {
    shared(node)
        .into_iter()
        .filter_map(|(shared, _)| shared)
        .any(|shared| place.starts_with(&shared.key))
}

impl MongoStore {
    /// A free place under each cap; `None` if one was full in the meantime.
    pub(super) async fn free_places(
        &self,
        node: &Node,
        caps: &NodeCaps,
        gives_way: Option<NodeId>,
    ) -> Result<Option<Vec<String>>, Fault> {
        let v4 = node.address.is_some_and(|at| at.ip.to_canonical().is_ipv4());
        let nodes = self.collection(NODES);
        let looked = shared(node).into_iter().filter_map(|(shared, limit)| {
            let limit = u32::try_from(limit(caps, v4)).ok().filter(|limit| *limit > 0)?;
            Some((shared?, limit))
        });
        let nodes = &nodes;
        let looked = looked.map(|(Shared { mut by, ip, key }, limit)| async move {
            by.insert("live", true);
            let held = nodes.find(by).projection(doc! { "places": 1, "ip": 1 }).await?;
            let read = |fields: Fields<'_>| {
                Ok((fields.id("_id", NodeId)?, fields.text_or_none("ip")?, fields.texts("places")?))
            };
            let mut held = collect(held, read).await?;
            held.retain(|(id, held_ip, _)| {
                gives_way != Some(*id) && (ip.is_none() || *held_ip == ip)
            });
            // Those that were registered before there was a cap have no place, and count all the
            // same.
            if held.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Ok::<_, Fault>(None);
            }
            let taken: HashSet<u32> = held
                .iter()
                .flat_map(|(_, _, places)| places)
                .filter_map(|place| place.strip_prefix(&key)?.parse().ok())
                .collect();
            Ok(free_place(&taken, limit, node).map(|free| format!("{key}{free}")))
        });
        Ok(try_join_all(looked).await?.into_iter().collect())
    }
}
