use std::collections::HashMap;

use lucid_model::{
    id::NodeId,
    telemetry::{credit::Interval, metric::Sample, observation::Observation},
    time::TimeMs,
};
use lucid_ports::LiveState;
use lucid_store::packing;
use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};

use crate::{
    among::Among,
    fault::Fault,
    fields::{Fields, id},
    index::{Index, Partial},
    page::{BATCH, collect},
    telemetry::sessions,
};

pub(crate) const LIVE: &str = "live";

/// Few documents have claims that are not yet folded into their sessions, and most of the time
/// none.
pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: LIVE,
        name: "live_claimed",
        keys: &[("claims.claim", 1)],
        unique: false,
        partial: Some(Partial::Sparse),
        why: "sessions that are not yet documents of their own",
    },
    // MongoDB walks `_id` itself; a server of its protocol may search all of it.
    Index {
        collection: LIVE,
        name: "live_walk",
        keys: &[("_id", 1), ("v", 1)],
        unique: false,
        partial: None,
        why: "nodes that follow each other",
    },
];

/// Sessions of a report that is stored but not yet folded into the sessions' documents.
pub(crate) struct Claim {
    /// Its place among the node's reports with sessions.
    pub(crate) number: i64,
    pub(crate) sessions: Vec<Observation>,
}

/// A node's live document: what is newest of it, and what is not yet in buckets.
pub(crate) struct Live {
    pub(crate) node: NodeId,
    /// How many buckets were sealed.
    pub(crate) sealed: i64,
    /// The samples since, as they were sent.
    pub(crate) samples: Vec<Vec<u8>>,
    /// Stretches of presence by their start.
    pub(crate) presence: Vec<Interval>,
    pub(crate) claims: Vec<Claim>,
}

impl Live {
    pub(crate) fn samples(&self) -> impl Iterator<Item = Result<Sample, Fault>> {
        self.samples.iter().map(|bytes| Ok(packing::from_bytes(self.node, bytes)?))
    }
}

pub(crate) fn read(fields: Fields<'_>) -> Result<Live, Fault> {
    let node = fields.id("_id", NodeId)?;
    let bad = |name: &str| Fault::Bad(format!("field {name} of the live document of node {node}"));
    let binaries = fields.get("samples").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    let samples = binaries.iter().map(|value| match value {
        Bson::Binary(binary) => Ok(binary.bytes.clone()),
        _ => Err(bad("samples")),
    });
    let starts = fields.get("presence").and_then(Bson::as_document).into_iter().flatten();
    let presence = starts.map(|(from, to)| {
        let (from, to) = from.parse().ok().zip(to.as_i64()).ok_or_else(|| bad("presence"))?;
        Ok(Interval { from: TimeMs(from), to: TimeMs(to) })
    });
    let claims = fields.documents("claims")?.into_iter().map(|claim| {
        let sessions = claim
            .documents("sessions")?
            .into_iter()
            .map(sessions::read)
            .collect::<Result<_, Fault>>()?;
        Ok(Claim { number: claim.number("claim")?, sessions })
    });
    Ok(Live {
        node,
        sealed: fields.number_or_none("sealed")?.unwrap_or_default(),
        samples: samples.collect::<Result<_, Fault>>()?,
        presence: presence.collect::<Result<_, Fault>>()?,
        claims: claims.collect::<Result<_, Fault>>()?,
    })
}

/// What is newest of each node, in the order asked.
pub(crate) async fn states(
    live: &Collection<Document>,
    nodes: &[NodeId],
) -> Result<Vec<Option<LiveState>>, Fault> {
    let ids: Vec<_> = nodes.iter().map(|node| id(node.0)).collect();
    let cursor = live
        .find(doc! { "_id": { "$in": ids } })
        .projection(doc! { "last_seen": 1, "newest": 1 })
        .await?;
    let states = collect(cursor, |fields| {
        let node = fields.id("_id", NodeId)?;
        let sample = fields
            .bytes_or_none("newest")?
            .map(|bytes| packing::from_bytes(node, &bytes))
            .transpose()?;
        Ok((node, LiveState { last_seen: fields.time("last_seen")?, sample }))
    });
    let states: HashMap<_, _> = states.await?.into_iter().collect();
    Ok(nodes.iter().map(|node| states.get(node).copied()).collect())
}

/// The stretch of presence that ends last. Sealing leaves the one that began last, so that it goes
/// on growing.
pub(crate) async fn last_presence(
    live: &Collection<Document>,
    node: NodeId,
) -> Result<Option<Interval>, Fault> {
    let found =
        live.find_one(doc! { "_id": id(node.0) }).projection(doc! { "presence": 1 }).await?;
    let presence = found
        .map(|found| read(Fields::of(&found)))
        .transpose()?
        .map(|live| live.presence)
        .unwrap_or_default();
    Ok(presence.into_iter().max_by_key(|stretch| (stretch.to, std::cmp::Reverse(stretch.from))))
}

/// The live documents of these nodes.
pub(crate) async fn of(live: &Collection<Document>, nodes: Among<'_>) -> Result<Vec<Live>, Fault> {
    collect(live.find(doc! { "_id": nodes.condition() }).batch_size(BATCH).await?, read).await
}

/// All nodes that ever reported, by id.
pub(crate) async fn nodes(live: &Collection<Document>) -> Result<Vec<NodeId>, Fault> {
    let cursor = live.find(doc! {}).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 }).await?;
    collect(cursor, |fields| fields.id("_id", NodeId)).await
}

/// Live documents with claims that are not yet folded: of these nodes, or of all.
pub(crate) async fn with_claims(
    live: &Collection<Document>,
    nodes: Option<&[NodeId]>,
) -> Result<Vec<Live>, Fault> {
    let mut filter = doc! { "claims.claim": { "$exists": true } };
    if let Some(nodes) = nodes {
        filter
            .insert("_id", doc! { "$in": nodes.iter().map(|node| id(node.0)).collect::<Vec<_>>() });
    }
    collect(live.find(filter).projection(doc! { "claims": 1 }).await?, read).await
}
