//! Samples of the past: packed buckets, and the stretches of presence that went with them.
//!
//! Sealing moves what a live document holds. First the stretches and the bucket are written, under
//! ids that follow from the node and the number of its bucket, then the live document lets go of
//! exactly what the bucket has, if it is still its turn. A crash between leaves both: samples that
//! are read twice are one sample, and the next sealing finds the bucket and lets go. Readers take
//! live documents first, so that what moves meanwhile is seen twice, not never.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lucid_model::{
    id::NodeId,
    telemetry::{credit::Interval, metric::Sample},
    time::TimeMs,
};
use lucid_store::packing;
use mongodb::bson::{Document, RawDocumentBuf, doc};

use crate::{
    MongoStore,
    among::Among,
    fault::Fault,
    fields::{Fields, bytes, id},
    index::Index,
    page::{BATCH, collect_raw, read_each},
    telemetry::{
        live::{self, LIVE, Live},
        reports::BUCKET_SAMPLES_MAX,
    },
};

pub(crate) const BUCKETS: &str = "samples";
pub(crate) const PRESENCE: &str = "presence";

pub(crate) const INDICES: &[Index] = &[
    Index {
        collection: BUCKETS,
        name: "samples_end",
        keys: &[("node", 1), ("last_at", 1), ("first_at", 1)],
        unique: false,
        partial: None,
        why: "a node's buckets that overlap a range",
    },
    Index {
        collection: BUCKETS,
        name: "samples_rolled",
        keys: &[("node", 1), ("rolled", 1)],
        unique: false,
        partial: None,
        why: "a node's buckets that are in no rollup yet",
    },
    Index {
        collection: PRESENCE,
        name: "presence_end",
        keys: &[("node", 1), ("to_ms", 1), ("from_ms", 1)],
        unique: false,
        partial: None,
        why: "a node's presence that overlaps a range",
    },
];

/// What was measured and seen of a node: samples by their time, presence by its start.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) samples: BTreeMap<TimeMs, Sample>,
    pub(crate) presence: BTreeMap<TimeMs, TimeMs>,
}

impl Seen {
    /// A second sample of the same instant is the same sample, sent again: what came first stays.
    fn add_sample(&mut self, sample: Sample, range: Interval) {
        if range.from <= sample.at && sample.at < range.to {
            self.samples.entry(sample.at).or_insert(sample);
        }
    }
    fn add_presence(&mut self, stretch: Interval, range: Interval) {
        if stretch.to > range.from && stretch.from < range.to {
            let to = self.presence.entry(stretch.from).or_insert(stretch.to);
            *to = stretch.to.max(*to);
        }
    }
}

/// What a bucket takes of a live document.
struct Sealed {
    number: i64,
    samples: Vec<Vec<u8>>,
}

fn read_sealed(node: NodeId, fields: Fields<'_>) -> Result<Sealed, Fault> {
    let unpacked = packing::unpack(node, &fields.bytes("zstd")?)?;
    Ok(Sealed {
        number: fields.number("number")?,
        samples: unpacked.iter().map(packing::to_bytes).collect(),
    })
}

/// Buckets and stretches of presence as they came.
pub(crate) struct Past {
    buckets: Vec<RawDocumentBuf>,
    stretches: Vec<RawDocumentBuf>,
}

impl Past {
    /// Together with what is in the nodes' live documents: what was measured and seen of each in
    /// the range.
    pub(crate) fn seen(
        &self,
        live: Vec<Live>,
        range: Interval,
    ) -> Result<HashMap<NodeId, Seen>, Fault> {
        let mut seen = HashMap::<NodeId, Seen>::new();
        let mut buckets = read_each(&self.buckets, |fields| {
            let node = fields.id("node", NodeId)?;
            Ok((
                fields.number_or_none::<i64>("number")?,
                packing::unpack(node, &fields.bytes("zstd")?)?,
            ))
        })?;
        // What came first stays.
        buckets.sort_by_key(|(number, _)| *number);
        for sample in buckets.into_iter().flat_map(|(_, samples)| samples) {
            seen.entry(sample.node).or_default().add_sample(sample, range);
        }
        let stretches = read_each(&self.stretches, |fields| {
            Ok((
                fields.id("node", NodeId)?,
                Interval { from: fields.time("from_ms")?, to: fields.time("to_ms")? },
            ))
        })?;
        for (node, stretch) in stretches {
            seen.entry(node).or_default().add_presence(stretch, range);
        }
        for live in live {
            let of_node = seen.entry(live.node).or_default();
            for sample in live.samples() {
                of_node.add_sample(sample?, range);
            }
            for stretch in &live.presence {
                of_node.add_presence(*stretch, range);
            }
        }
        Ok(seen)
    }
}

impl MongoStore {
    /// Moves what is in a node's live document into a bucket.
    pub(crate) async fn seal(&self, node: NodeId) -> Result<(), Fault> {
        let Some(live) = live::of(&self.collection(LIVE), Among::These(&[node])).await?.pop()
        else {
            return Ok(());
        };
        let mut past = live.presence.clone();
        past.sort_unstable_by_key(|stretch| stretch.from);
        // The last stretch goes on growing.
        past.pop();
        for stretch in &past {
            let key = format!("{node}/{}", stretch.from.0);
            let fixed = doc! { "v": 1, "node": id(node.0), "from_ms": stretch.from.0 };
            let update = doc! { "$setOnInsert": fixed, "$max": { "to_ms": stretch.to.0 } };
            self.collection(PRESENCE).update_one(doc! { "_id": key }, update).upsert(true).await?;
        }
        let sealed = self.bucket(&live).await?;
        self.let_go(&live, &sealed, &past).await
    }

    /// Writes the bucket whose turn it is, or finds it: another replica may seal at the same time,
    /// and have seen more or less of the document.
    async fn bucket(&self, live: &Live) -> Result<Sealed, Fault> {
        let number = live.sealed;
        let samples: Vec<_> = live.samples.iter().take(BUCKET_SAMPLES_MAX).cloned().collect();
        let times = live
            .samples()
            .take(BUCKET_SAMPLES_MAX)
            .map(|sample| sample.map(|sample| sample.at.0))
            .collect::<Result<BTreeSet<_>, _>>()?;
        let (Some(first_at), Some(last_at)) = (times.first(), times.last()) else {
            return Ok(Sealed { number, samples });
        };
        let key = format!("{}/{number}", live.node);
        let packed = bytes(&packing::pack(&samples)?);
        let bucket = doc! { "_id": &key, "v": 1, "node": id(live.node.0), "number": number, "first_at": *first_at, "last_at": *last_at, "zstd": packed };
        match self.collection(BUCKETS).insert_one(bucket).await.map_err(Fault::from) {
            Ok(_) => Ok(Sealed { number, samples }),
            Err(fault) if fault.is_duplicate() => {
                let found = self.collection(BUCKETS).find_one(doc! { "_id": key }).await?;
                found.map_or(Err(fault), |found| read_sealed(live.node, Fields::of(&found)))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Takes out of the live document what is sealed; nothing if somebody else did, or a stretch
    /// has grown meanwhile.
    async fn let_go(&self, live: &Live, sealed: &Sealed, past: &[Interval]) -> Result<(), Fault> {
        let mut filter = doc! { "_id": id(live.node.0) };
        // A document that was never sealed has no number yet.
        filter.insert(
            "sealed",
            if sealed.number == 0 {
                doc! { "$not": { "$gt": 0_i64 } }
            } else {
                doc! { "$eq": sealed.number }
            },
        );
        let mut unset = Document::new();
        for stretch in past {
            let name = format!("presence.{}", stretch.from.0);
            filter.insert(name.clone(), stretch.to.0);
            unset.insert(name, "");
        }
        let left = i64::try_from(live.samples.len().saturating_sub(sealed.samples.len()))
            .unwrap_or(i64::MAX);
        let taken: Vec<_> = sealed.samples.iter().map(|sample| bytes(sample)).collect();
        let mut update = doc! {
            "$pull": { "samples": { "$in": taken } },
            "$set": { "weight": left },
            "$inc": { "sealed": 1_i64 },
        };
        if !unset.is_empty() {
            update.insert("$unset", unset);
        }
        self.collection(LIVE).update_one(filter, update).await?;
        Ok(())
    }

    /// What was measured and seen of each of these nodes in the range.
    pub(crate) async fn seen(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<HashMap<NodeId, Seen>, Fault> {
        let nodes = Among::These(nodes);
        let live = live::of(&self.collection(LIVE), nodes).await?;
        self.past(nodes, range).await?.seen(live, range)
    }

    /// What is no longer in live documents, which have to be read first: what is sealed meanwhile
    /// is then seen twice, not missed.
    pub(crate) async fn past(&self, nodes: Among<'_>, range: Interval) -> Result<Past, Fault> {
        // What is of another time is told by one comparison, so it comes first.
        let buckets = doc! { "last_at": { "$gte": range.from.0 }, "first_at": { "$lt": range.to.0 }, "node": nodes.condition() };
        let stretches = doc! { "to_ms": { "$gt": range.from.0 }, "from_ms": { "$lt": range.to.0 }, "node": nodes.condition() };
        Ok(Past {
            buckets: collect_raw(self.collection(BUCKETS).find(buckets).batch_size(BATCH).await?)
                .await?,
            stretches: collect_raw(
                self.collection(PRESENCE).find(stretches).batch_size(BATCH).await?,
            )
            .await?,
        })
    }
}
