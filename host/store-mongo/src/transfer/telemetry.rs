use std::collections::{BTreeMap, HashMap};

use lucid_model::{
    id::NodeId,
    telemetry::{credit::Interval, metric::Sample},
    time::TimeMs,
};
use lucid_store::{
    packing,
    transfer::{Key, LiveRecord, Part, Record, RollupsRecord, blocks},
};
use mongodb::bson::{Document, doc};

use super::walk::{bson, by_id};
use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes, digest, id, stored},
    telemetry::{buckets::Seen, live::LIVE, rolling},
};

/// Nodes whose samples are in memory at once.
const NODES_AT_ONCE_MAX: u32 = 50;
/// All times there are.
const EVER: Interval = Interval { from: TimeMs(i64::MIN), to: TimeMs(i64::MAX) };

pub(super) fn read_live(fields: Fields<'_>) -> Result<Record, Fault> {
    let node = fields.id("_id", NodeId)?;
    let newest = fields
        .bytes_or_none("newest")?
        .map(|bytes| packing::from_bytes(node, &bytes))
        .transpose()?;
    let sequence = match fields.number_or_none("highest")? {
        Some(highest) => Some((highest, fields.digest("digest")?)),
        None => None,
    };
    Ok(Record::Live(Box::new(LiveRecord {
        node,
        last_seen: fields.time("last_seen")?,
        newest,
        sequence,
    })))
}

pub(super) fn live_document(live: &LiveRecord) -> Result<Document, Fault> {
    let LiveRecord { node, last_seen, newest, sequence } = live;
    let mut document =
        doc! { "_id": id(node.0), "v": 1, "last_seen": last_seen.0, "weight": 0_i64 };
    if let Some(newest) = newest {
        document.insert("newest", bytes(&packing::to_bytes(newest)));
    }
    if let Some((highest, body)) = sequence {
        document.insert("highest", stored(*highest)?);
        document.insert("digest", digest(*body));
    }
    Ok(document)
}

/// A bucket of its own: those that are sealed later are numbered, and come after it.
pub(super) fn bucket(node: NodeId, block: &[Sample]) -> Result<Document, Fault> {
    let (first, last) = block
        .first()
        .zip(block.last())
        .ok_or_else(|| Fault::Bad(format!("an empty block of samples of node {node}")))?;
    let packed = packing::pack(&block.iter().map(packing::to_bytes).collect::<Vec<_>>())?;
    Ok(doc! {
        "_id": format!("{node}/at/{}", first.at.0), "v": 1, "node": id(node.0), "first_at": first.at.0, "last_at": last.at.0, "zstd": bytes(&packed),
    })
}

pub(super) fn read_rollups(fields: Fields<'_>) -> Result<Record, Fault> {
    let (node, hour) = (fields.id("node", NodeId)?, fields.time("hour")?);
    let (of_hour, of_fives) = (fields.bytes("of_hour")?, fields.bytes_or_none("of_fives")?);
    Ok(Record::Rollups(Box::new(RollupsRecord { node, hour, of_hour, of_fives })))
}

pub(super) fn rollups_document(record: &RollupsRecord) -> Document {
    let RollupsRecord { node, hour, of_hour, of_fives } = record;
    let mut document = doc! { "_id": rolling::key(*node, *hour), "v": 1, "node": id(node.0), "hour": hour.0, "of_hour": bytes(of_hour) };
    if let Some(of_fives) = of_fives {
        document.insert("of_fives", bytes(of_fives));
    }
    document
}

/// The node and the time that a walk through nodes has come to.
fn place(after: Option<&Key>) -> Option<(&Part, i64)> {
    match after.map(|key| key.0.as_slice()) {
        Some([node, Part::Number(at)]) => Some((node, *at)),
        _ => None,
    }
}

impl MongoStore {
    /// The next nodes that ever reported, the one that was begun included, with all that was seen
    /// of them.
    async fn next_seen(
        &self,
        from: &mut Option<(Part, i64)>,
        last: &mut Option<Part>,
    ) -> Result<Vec<(NodeId, Seen)>, Fault> {
        let filter = match (&*from, &*last) {
            (_, Some(last)) => doc! { "_id": { "$gt": bson(last) } },
            (Some((begun, _)), None) => doc! { "_id": { "$gte": bson(begun) } },
            (None, None) => doc! {},
        };
        let nodes = by_id(&self.collection(LIVE), filter, None, NODES_AT_ONCE_MAX, |fields| {
            fields.id("_id", NodeId)
        })
        .await?;
        *last = nodes.last().map(|node| Part::Bytes(node.0.as_bytes().to_vec()));
        let mut seen: HashMap<NodeId, Seen> =
            if nodes.is_empty() { HashMap::new() } else { self.seen(&nodes, EVER).await? };
        let begun = from.take();
        let mut found = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(mut seen) = seen.remove(&node) else { continue };
            if let Some((Part::Bytes(id), at)) = &begun
                && id == node.0.as_bytes()
            {
                let later = |at: &i64| TimeMs(at.saturating_add(1));
                seen = Seen {
                    samples: after(seen.samples, later(at)),
                    presence: after(seen.presence, later(at)),
                };
            }
            found.push((node, seen));
        }
        Ok(found)
    }

    async fn seen_after(
        &self,
        after: Option<&Key>,
        limit: u32,
        records: impl Fn(NodeId, Seen) -> Vec<Record>,
    ) -> Result<Vec<Record>, Fault> {
        let (mut from, mut last) = (place(after).map(|(node, at)| (node.clone(), at)), None);
        let mut found = Vec::new();
        loop {
            let nodes = self.next_seen(&mut from, &mut last).await?;
            // Whole nodes: a page may be longer than was asked for.
            found.extend(nodes.into_iter().flat_map(|(node, seen)| records(node, seen)));
            if last.is_none() || found.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Ok(found);
            }
        }
    }

    pub(super) async fn presence_after(
        &self,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let stretches = |node, seen: Seen| {
            let stretch = |(from, to)| Record::Presence { node, span: Interval { from, to } };
            seen.presence.into_iter().map(stretch).collect()
        };
        self.seen_after(after, limit, stretches).await
    }

    pub(super) async fn samples_after(
        &self,
        after: Option<&Key>,
        limit: u32,
    ) -> Result<Vec<Record>, Fault> {
        let packed = |node, seen: Seen| {
            blocks(node, &seen.samples.into_values().collect::<Vec<_>>()).collect()
        };
        self.seen_after(after, limit, packed).await
    }
}

fn after<T>(mut all: BTreeMap<TimeMs, T>, from: TimeMs) -> BTreeMap<TimeMs, T> {
    all.split_off(&from)
}
