//! What there is of nodes in a range: rollups, and the samples of hours that are not rolled up.

use std::collections::{BTreeSet, HashMap};

use lucid_model::{
    id::NodeId,
    telemetry::{
        credit::{Interval, union},
        metric::{Resolution, Rollup, Sample},
    },
    time::TimeMs,
};
use lucid_store::{
    packing,
    series::{Series, cut_hours, exact_hours, hours_of},
};
use mongodb::bson::{Bson, doc};

use crate::{
    MongoStore,
    among::Among,
    fault::Fault,
    fields::id,
    page::collect,
    telemetry::{
        buckets::BUCKETS,
        live::{self, LIVE},
    },
};

impl MongoStore {
    /// The samples of these nodes that are in no rollup yet, in a range.
    async fn unrolled(&self, nodes: &[NodeId], range: Interval) -> Result<Vec<Sample>, Fault> {
        let mut samples = Vec::new();
        for live in live::of(&self.collection(LIVE), Among::These(nodes)).await? {
            for sample in live.samples() {
                samples.push(sample?);
            }
        }
        let ids: Vec<_> = nodes.iter().map(|node| id(node.0)).collect();
        let filter = doc! { "node": { "$in": ids }, "rolled": Bson::Null, "last_at": { "$gte": range.from.0 }, "first_at": { "$lt": range.to.0 } };
        let buckets = collect(self.collection(BUCKETS).find(filter).await?, |fields| {
            Ok(packing::unpack(fields.id("node", NodeId)?, &fields.bytes("zstd")?)?)
        });
        samples.extend(buckets.await?.into_iter().flatten());
        samples.retain(|sample| range.from <= sample.at && sample.at < range.to);
        Ok(samples)
    }

    /// Unpacks the hours of these nodes that are open, and those that are wanted of each.
    async fn unpacked(
        &self,
        nodes: &[NodeId],
        range: Interval,
        wanted: &BTreeSet<TimeMs>,
    ) -> Result<HashMap<NodeId, Series>, Fault> {
        let hours = hours_of(range);
        let wanted = || Series { unpacked_hours: wanted.clone(), ..Series::default() };
        let mut all: HashMap<NodeId, Series> = nodes.iter().map(|node| (*node, wanted())).collect();
        for sample in self.unrolled(nodes, hours).await? {
            if let Some(series) = all.get_mut(&sample.node) {
                series.unpacked_hours.insert(Resolution::Hour.floor(sample.at));
            }
        }
        let stretches = all
            .values()
            .flat_map(|series| &series.unpacked_hours)
            .map(|hour| Resolution::Hour.from(*hour));
        for stretch in union(stretches.collect()) {
            for (node, seen) in self.seen(nodes, stretch).await? {
                if let Some(series) = all.get_mut(&node) {
                    let is_unpacked = |sample: &Sample| {
                        series.unpacked_hours.contains(&Resolution::Hour.floor(sample.at))
                    };
                    let samples: Vec<_> = seen.samples.into_values().filter(is_unpacked).collect();
                    series.samples.extend(samples);
                }
            }
        }
        Ok(all)
    }

    async fn add_kept(
        &self,
        all: &mut HashMap<NodeId, Series>,
        nodes: &[NodeId],
        hours: Interval,
        shown: &str,
    ) -> Result<(), Fault> {
        for (node, hour, kept) in self.kept_rollups(nodes, hours, shown).await? {
            let Some(series) = all.get_mut(&node) else { continue };
            if let Some(rollup) = kept.hour {
                series.hours.insert(hour, rollup);
            }
            if !kept.fives.is_empty() {
                series.fives.insert(hour, kept.fives);
            }
        }
        Ok(())
    }

    /// What each of these nodes has in the range, rolled up; nodes without samples are left out.
    pub(crate) async fn rolled_usage(
        &self,
        nodes: &[NodeId],
        range: Interval,
    ) -> Result<HashMap<NodeId, Rollup>, Fault> {
        let mut all = self.unpacked(nodes, range, &exact_hours(range)).await?;
        self.add_kept(&mut all, nodes, hours_of(range), "of_hour").await?;
        for hour in cut_hours(range) {
            self.add_kept(&mut all, nodes, Resolution::Hour.from(hour), "of_fives").await?;
        }
        Ok(all
            .into_iter()
            .filter_map(|(node, series)| Some((node, series.usage(range)?)))
            .collect())
    }

    /// Rollups of a resolution whose intervals begin in the range.
    pub(crate) async fn points(
        &self,
        node: NodeId,
        range: Interval,
        resolution: Resolution,
    ) -> Result<Vec<Rollup>, Fault> {
        if resolution == Resolution::Minute {
            let whole =
                Interval { from: resolution.floor(range.from), to: resolution.ceil(range.to) };
            let seen = self.seen(&[node], whole).await?.remove(&node).unwrap_or_default();
            return Ok(Series {
                samples: seen.samples.into_values().collect(),
                ..Series::default()
            }
            .points(range, resolution));
        }
        let mut all = self.unpacked(&[node], range, &BTreeSet::new()).await?;
        let shown = if resolution == Resolution::Hour { "of_hour" } else { "of_fives" };
        self.add_kept(&mut all, &[node], hours_of(range), shown).await?;
        Ok(all.remove(&node).unwrap_or_default().points(range, resolution))
    }
}
