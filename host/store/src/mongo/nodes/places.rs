//! Places under caps: a live node holds one of as many numbered places as its owner, address, network and wallet may
//! have. The index over them is unique, so that two newcomers at once are never both the last.

use std::collections::HashSet;

use lucid_model::node::{Node, NodeCaps, network_of};
use mongodb::bson::{Bson, doc};

use super::{
    super::{MongoStore, fault::Fault, fields, page::collect},
    NODES,
};

/// One of the free places below `limit`. Which one differs from node to node, so that those that come at once seldom
/// want the same.
pub(crate) fn free_place(taken: &HashSet<u32>, limit: u32, node: &Node) -> Option<u32> {
    let free = (0..limit).filter(|place| !taken.contains(place));
    let turn = usize::try_from(node.id.0.as_u128() % u128::from(limit.max(1))).unwrap_or(0);
    free.clone().cycle().nth(turn)
}

/// What a place is counted by: `owner:…`, `ip:…`, …
struct Shared {
    field: &'static str,
    value: Bson,
    key: String,
}

/// Which cap counts; the address is IPv4 or not.
type Limit = fn(&NodeCaps, bool) -> u64;

fn shared(node: &Node) -> [(Option<Shared>, Limit); 4] {
    let text = |field: &'static str, value: String| Shared { field, key: format!("{field}:{value}:"), value: Bson::String(value) };
    let owner = Shared { field: "owner", value: fields::id(node.owner.0), key: format!("owner:{}:", node.owner) };
    [
        (Some(owner), |caps, _| caps.per_owner),
        (node.address.map(|at| text("ip", at.ip.to_string())), |caps, v4| if v4 { caps.per_ipv4 } else { 0 }),
        (node.address.map(|at| text("network", network_of(at.ip))), |caps, v4| if v4 { caps.per_ipv4_24 } else { caps.per_ipv6_64 }),
        (node.wallet.map(|wallet| text("wallet_address", wallet.address.to_string())), |caps, _| caps.per_wallet),
    ]
}

/// What the places of a node are called, up to their numbers: one for each thing that a cap counts.
pub(crate) fn place_names(node: &Node) -> impl Iterator<Item = String> {
    shared(node).into_iter().filter_map(|(shared, _)| shared).map(|shared| shared.key)
}

/// Whether a place is one for what the node still shares.
pub(super) fn still_held(place: &str, node: &Node) -> bool {
    shared(node).into_iter().filter_map(|(shared, _)| shared).any(|shared| place.starts_with(&shared.key))
}

impl MongoStore {
    /// A free place under each cap; `None` if one was full in the meantime.
    pub(super) async fn free_places(&self, node: &Node, caps: &NodeCaps) -> Result<Option<Vec<String>>, Fault> {
        let v4 = node.address.is_some_and(|at| at.ip.to_canonical().is_ipv4());
        let mut places = Vec::new();
        for (shared, limit) in shared(node) {
            let (Some(Shared { field, value, key }), Ok(limit)) = (shared, u32::try_from(limit(caps, v4))) else { continue };
            if limit == 0 {
                continue;
            }
            let held = self.collection(NODES).find(doc! { "live": true, field: value }).projection(doc! { "places": 1 }).await?;
            let held = collect(held, |fields| fields.texts("places")).await?;
            let taken = held.iter().flatten().filter_map(|place| place.strip_prefix(&key)?.parse().ok()).collect();
            let Some(free) = free_place(&taken, limit, node) else { return Ok(None) };
            places.push(format!("{key}{free}"));
        }
        Ok(Some(places))
    }
}
