//! Rolling up and forgetting. A bucket without `rolled` is in no rollup yet: it gets the mark when
//! the rollups of all its hours are written, so that whoever was stopped in between does it again,
//! with the same outcome.

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup},
    },
    time::{DAY_MS, TimeMs},
};
use lucid_ports::{SeriesKept, Walked};
use lucid_store::{
    packing,
    series::{HourRollups, renew},
};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    fault::Fault,
    fields::{Fields, bytes, id},
    index::Index,
    page::collect,
    telemetry::{buckets::BUCKETS, live::LIVE},
};

pub(crate) const ROLLUPS: &str = "rollups";

pub(crate) const INDICES: &[Index] = &[Index {
    collection: ROLLUPS,
    name: "rollups_hour",
    keys: &[("node", 1), ("hour", 1)],
    unique: true,
    partial: None,
    why: "a node's hours of a range",
}];

/// The `_id` of an hour of a node.
pub(crate) fn key(node: NodeId, hour: TimeMs) -> String {
    format!("{node}/{}", hour.0)
}

/// The day of an instant.
fn day(at: TimeMs) -> i64 {
    at.0.saturating_sub(at.0.rem_euclid(DAY_MS))
}

/// What is kept of an hour, as far as it was read.
pub(crate) fn read(fields: Fields<'_>) -> Result<(NodeId, TimeMs, HourRollups), Fault> {
    let (node, hour) = (fields.id("node", NodeId)?, fields.time("hour")?);
    let rollups = |name: &str| -> Result<Vec<Rollup>, Fault> {
        let packed = fields.bytes_or_none(name)?;
        Ok(packed
            .map(|packed| packing::unpack_rollups(hour, &packed))
            .transpose()?
            .unwrap_or_default())
    };
    Ok((
        node,
        hour,
        HourRollups { fives: rollups("of_fives")?, hour: rollups("of_hour")?.first().copied() },
    ))
}

/// A node whose live document a step looks at.
struct Reporting {
    node: NodeId,
    last_seen: TimeMs,
    /// What it has that is in no bucket.
    weight: i64,
}

impl MongoStore {
    async fn reporting_after(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Vec<Reporting>, Fault> {
        let filter =
            after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": id(after.0) } });
        let shown = doc! { "last_seen": 1, "weight": 1 };
        let found = self
            .collection(LIVE)
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::from(limit))
            .projection(shown)
            .await?;
        let read = |fields: Fields<'_>| {
            let (node, last_seen) = (fields.id("_id", NodeId)?, fields.time("last_seen")?);
            Ok(Reporting {
                node,
                last_seen,
                weight: fields.number_or_none("weight")?.unwrap_or_default(),
            })
        };
        collect(found, read).await
    }

    pub(crate) async fn roll_nodes_up(
        &self,
        after: Option<NodeId>,
        before: TimeMs,
        limit: u32,
    ) -> Result<Walked, Fault> {
        let nodes = self.reporting_after(after, limit).await?;
        for silent in nodes
            .iter()
            .filter(|node| node.weight > 0 && node.last_seen < Resolution::Hour.floor(before))
        {
            self.seal(silent.node).await?;
        }
        let ids: Vec<_> = nodes.iter().map(|node| id(node.node.0)).collect();
        let unrolled = self
            .collection(BUCKETS)
            .find(doc! { "node": { "$in": ids }, "rolled": Bson::Null })
            .await?;
        let buckets = collect(unrolled, |fields| {
            let node = fields.id("node", NodeId)?;
            let samples = packing::unpack(node, &fields.bytes("zstd")?)?;
            let hours: BTreeSet<_> =
                samples.iter().map(|sample| Resolution::Hour.floor(sample.at)).collect();
            Ok((node, fields.text("_id")?, hours))
        });
        let mut of_nodes: BTreeMap<NodeId, (Vec<String>, BTreeSet<TimeMs>)> = BTreeMap::new();
        for (node, bucket, hours) in buckets.await? {
            let of_node = of_nodes.entry(node).or_default();
            of_node.0.push(bucket);
            of_node.1.extend(hours);
        }
        let mut done = 0_u64;
        for (node, (buckets, hours)) in of_nodes {
            for hour in &hours {
                self.roll_hour_up(node, *hour).await?;
            }
            self.collection(BUCKETS)
                .update_many(
                    doc! { "_id": { "$in": buckets } },
                    doc! { "$set": { "rolled": true } },
                )
                .await?;
            done = done.saturating_add(u64::try_from(hours.len()).unwrap_or(u64::MAX));
        }
        Ok(Walked { done, next: nodes.last().map(|last| last.node) })
    }

    /// A bucket that is not marked is in no rollup: so are all of them again.
    pub(crate) async fn roll_nodes_up_again(
        &self,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Walked, Fault> {
        let nodes = self.reporting_after(after, limit).await?;
        let ids: Vec<_> = nodes.iter().map(|node| id(node.node.0)).collect();
        let rolled = doc! { "node": { "$in": ids }, "rolled": true };
        self.collection(BUCKETS).update_many(rolled, doc! { "$unset": { "rolled": "" } }).await?;
        self.roll_nodes_up(after, TimeMs(i64::MIN), limit).await
    }

    /// From all that there is of the hour, in buckets or not.
    async fn roll_hour_up(&self, node: NodeId, hour: TimeMs) -> Result<(), Fault> {
        let seen = self
            .seen(&[node], Resolution::Hour.from(hour))
            .await?
            .remove(&node)
            .unwrap_or_default();
        let samples: Vec<_> = seen.samples.into_values().collect();
        let rollups = self.collection(ROLLUPS);
        let kept = rollups.find_one(doc! { "_id": key(node, hour) }).await?;
        let kept = kept.as_ref().map(|kept| read(Fields::of(kept))).transpose()?;
        let (fives, of_hour) =
            kept.map_or((Vec::new(), None), |(_, _, kept)| (kept.fives, kept.hour));
        let renewed = renew(&samples, &fives, of_hour);
        let Some(of_hour) = renewed.hour else { return Ok(()) };
        let of_fives = bytes(&packing::pack_rollups(hour, &renewed.fives));
        let set = doc! { "of_hour": bytes(&packing::pack_rollups(hour, &[of_hour])), "of_fives": of_fives };
        let fixed = doc! { "v": 1, "node": id(node.0), "hour": hour.0 };
        rollups
            .update_one(
                doc! { "_id": key(node, hour) },
                doc! { "$setOnInsert": fixed, "$set": set },
            )
            .upsert(true)
            .await?;
        Ok(())
    }

    pub(crate) async fn forget_of_nodes(
        &self,
        after: Option<NodeId>,
        kept: SeriesKept,
        limit: u32,
    ) -> Result<Walked, Fault> {
        let nodes = self.reporting_after(after, limit).await?;
        let ids: Vec<_> = nodes.iter().map(|node| id(node.node.0)).collect();
        let old =
            |key: &str, from: TimeMs| doc! { "node": { "$in": &ids }, key: { "$lt": day(from) } };
        let mut buckets = old("last_at", kept.samples_from);
        buckets.insert("rolled", true);
        let mut done = self.collection(BUCKETS).delete_many(buckets).await?.deleted_count;
        let rollups = self.collection(ROLLUPS);
        let mut fives = old("hour", kept.five_minutes_from);
        fives.insert("of_fives", doc! { "$exists": true });
        done = done.saturating_add(
            rollups.update_many(fives, doc! { "$unset": { "of_fives": "" } }).await?.modified_count,
        );
        done = done
            .saturating_add(rollups.delete_many(old("hour", kept.hours_from)).await?.deleted_count);
        Ok(Walked { done, next: nodes.last().map(|last| last.node) })
    }

    /// What is kept of these nodes in a range of whole hours; only what `shown` names of it is
    /// read.
    pub(crate) async fn kept_rollups(
        &self,
        nodes: &[NodeId],
        hours: Interval,
        shown: &str,
    ) -> Result<Vec<(NodeId, TimeMs, HourRollups)>, Fault> {
        let ids: Vec<_> = nodes.iter().map(|node| id(node.0)).collect();
        let filter =
            doc! { "node": { "$in": ids }, "hour": { "$gte": hours.from.0, "$lt": hours.to.0 } };
        collect(
            self.collection(ROLLUPS)
                .find(filter)
                .projection(doc! { "node": 1, "hour": 1, shown: 1 })
                .await?,
            read,
        )
        .await
    }
}
