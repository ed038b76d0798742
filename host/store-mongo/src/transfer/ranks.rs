use std::collections::HashMap;

use lucid_model::fleet::node::Node;
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{self, Fields},
    fleet::nodes::{NODES, document, places::place_names},
    page::collect,
};

/// Places under caps and slots of pools that copied nodes were given so far: each node gets the
/// next number of whatever it shares, in the order of the nodes. Any numbers would do that are one
/// node's each.
pub(crate) struct Ranks {
    next: HashMap<String, u32>,
}

impl Ranks {
    fn take(&mut self, name: String) -> u32 {
        let next = self.next.entry(name).or_default();
        let taken = *next;
        *next = next.saturating_add(1);
        taken
    }

    /// A node's document with what only this backend keeps.
    fn document(&mut self, node: &Node) -> Result<Document, Fault> {
        let mut document = document::new(node)?;
        if let Some(pool) = node.pool {
            document.insert("pool", fields::id(pool.0));
            document.insert("slot", i64::from(self.take(slots_of(pool.0))));
        }
        if node.is_live() {
            let places: Vec<_> = place_names(node)
                .map(|name| Bson::String(format!("{name}{}", self.take(name.clone()))))
                .collect();
            if !places.is_empty() {
                document.insert("places", places);
            }
        }
        Ok(document)
    }
}

fn slots_of(pool: uuid::Uuid) -> String {
    format!("pool:{pool}:")
}

impl MongoStore {
    /// The documents of nodes that come in order, page after page.
    pub(super) async fn node_documents(&self, nodes: &[&Node]) -> Result<Vec<Document>, Fault> {
        let mut ranks = self.ranks.lock().await;
        let ranks = match &mut *ranks {
            Some(ranks) => ranks,
            none => none.insert(self.ranks_before(nodes).await?),
        };
        nodes.iter().map(|node| ranks.document(node)).collect()
    }

    /// What an earlier run gave to the nodes before these.
    async fn ranks_before(&self, nodes: &[&Node]) -> Result<Ranks, Fault> {
        let mut next = HashMap::<String, u32>::new();
        let Some(first) = nodes.first() else { return Ok(Ranks { next }) };
        let all = self.collection(NODES);
        let before = all.find(doc! { "_id": { "$lt": fields::id(first.id.0) } });
        let held = collect(
            before.projection(doc! { "places": 1, "pool": 1, "slot": 1 }).await?,
            |fields: Fields<'_>| {
                let slot = fields
                    .id_or_none("pool", slots_of)?
                    .map(|name| Ok::<_, Fault>((name, fields.number("slot")?)))
                    .transpose()?;
                let place = |place: &String| {
                    let (name, number) = place.rsplit_once(':')?;
                    Some((format!("{name}:"), number.parse::<u32>().ok()?))
                };
                Ok(fields.texts("places")?.iter().filter_map(place).chain(slot).collect::<Vec<_>>())
            },
        );
        for (name, taken) in held.await?.into_iter().flatten() {
            let next = next.entry(name).or_default();
            *next = taken.saturating_add(1).max(*next);
        }
        Ok(Ranks { next })
    }
}
