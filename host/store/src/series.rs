//! What a store has of a node in a range, in its parts, and what follows from them: one rule for
//! every backend.
//!
//! Hours that are over are kept as rollups; an hour that has samples which are in no rollup yet is
//! *open*, and rolled up from all of its samples whenever it is asked for. Old samples go, and then
//! the rollups say what there was.

use std::collections::{BTreeMap, BTreeSet};

use lucid_model::{
    telemetry::{
        credit::Interval,
        metric::{Resolution, Rollup, Sample, UsageSum, UsageSummary, coarsen, merge_all, roll_up},
    },
    time::TimeMs,
};

/// A range that begins or ends within an hour is summed up to the very sample if it is not longer
/// than this; beyond, to five minutes, so that no samples have to be unpacked.
const EXACT_MS_MAX: i64 = 6 * 3_600_000;

/// The parts, of one node.
#[derive(Default)]
pub struct Series {
    /// Hours of which all samples are here: the open ones, and those that were asked for.
    pub unpacked_hours: BTreeSet<TimeMs>,
    /// The samples of those hours.
    pub samples: Vec<Sample>,
    /// Rollups of one hour, by their start.
    pub hours: BTreeMap<TimeMs, Rollup>,
    /// Rollups of five minutes, by the hour they are in.
    pub fives: BTreeMap<TimeMs, Vec<Rollup>>,
}

/// The rollups of an hour as they are to be kept.
pub struct HourRollups {
    pub fives: Vec<Rollup>,
    pub hour: Option<Rollup>,
}

/// All hours that meet a range.
pub fn hours_of(range: Interval) -> Interval {
    Interval { from: Resolution::Hour.floor(range.from), to: Resolution::Hour.ceil(range.to) }
}

/// Hours that a range has only a part of.
pub fn cut_hours(range: Interval) -> BTreeSet<TimeMs> {
    let ends = [range.from, range.to].map(|end| Resolution::Hour.floor(end));
    ends.into_iter().filter(|hour| !is_within(*hour, range) && *hour < range.to).collect()
}

/// Those of them whose samples are needed to sum the range up.
pub fn exact_hours(range: Interval) -> BTreeSet<TimeMs> {
    if range.length_ms() > EXACT_MS_MAX { BTreeSet::new() } else { cut_hours(range) }
}

fn is_within(hour: TimeMs, range: Interval) -> bool {
    range.from <= hour && hour.plus_ms(Resolution::Hour.ms()) <= range.to
}

fn is_in(at: TimeMs, range: Interval) -> bool {
    range.from <= at && at < range.to
}

/// Rolls an hour up again: from its samples, and from what was kept of it when some of them are
/// gone.
pub fn renew(samples: &[Sample], kept_fives: &[Rollup], kept_hour: Option<Rollup>) -> HourRollups {
    let slot = |rollup: &Rollup| Resolution::FiveMinutes.floor(rollup.first.at);
    let mut fives: BTreeMap<TimeMs, Rollup> =
        kept_fives.iter().map(|kept| (slot(kept), *kept)).collect();
    for fresh in roll_up(samples, Resolution::FiveMinutes) {
        let kept = fives.remove(&slot(&fresh));
        fives.insert(slot(&fresh), Rollup::renewed(kept, fresh));
    }
    let fives: Vec<_> = fives.into_values().collect();
    let hour = match merge_all(fives.iter().copied()) {
        Some(fresh) => Some(Rollup::renewed(kept_hour, fresh)),
        None => kept_hour,
    };
    HourRollups { fives, hour }
}

impl Series {
    fn samples_of(&self, hour: TimeMs) -> Vec<Sample> {
        self.samples
            .iter()
            .filter(|sample| Resolution::Hour.floor(sample.at) == hour)
            .copied()
            .collect()
    }

    fn fives_of(&self, hour: TimeMs) -> &[Rollup] {
        self.fives.get(&hour).map_or(&[], Vec::as_slice)
    }

    fn known_hours(&self) -> BTreeSet<TimeMs> {
        self.unpacked_hours
            .iter()
            .chain(self.hours.keys())
            .chain(self.fives.keys())
            .copied()
            .collect()
    }

    /// What there is of the range, rolled up.
    pub fn usage(&self, range: Interval) -> Option<Rollup> {
        merge_all(self.known_hours().into_iter().filter_map(|hour| self.usage_of(hour, range)))
    }

    fn usage_of(&self, hour: TimeMs, range: Interval) -> Option<Rollup> {
        let kept = self.hours.get(&hour).copied();
        let samples =
            if self.unpacked_hours.contains(&hour) { self.samples_of(hour) } else { Vec::new() };
        if is_within(hour, range) {
            return if samples.is_empty() {
                kept
            } else {
                renew(&samples, self.fives_of(hour), kept).hour
            };
        }
        let renewed = renew(&samples, self.fives_of(hour), None).fives;
        let exact = range.length_ms() <= EXACT_MS_MAX;
        if exact
            && renewed.iter().map(|five| five.samples).sum::<u64>()
                <= u64::try_from(samples.len()).unwrap_or(u64::MAX)
        {
            return merge_all(
                samples.iter().filter(|sample| is_in(sample.at, range)).map(Rollup::of),
            );
        }
        merge_all(
            renewed
                .into_iter()
                .filter(|five| is_in(Resolution::FiveMinutes.floor(five.first.at), range)),
        )
    }

    /// The rollups of this resolution whose intervals begin in the range.
    pub fn points(&self, range: Interval, resolution: Resolution) -> Vec<Rollup> {
        let points = match resolution {
            Resolution::Minute => roll_up(&self.samples, Resolution::Minute),
            _ => self
                .known_hours()
                .into_iter()
                .flat_map(|hour| self.points_of(hour, resolution))
                .collect(),
        };
        points.into_iter().filter(|point| is_in(resolution.floor(point.first.at), range)).collect()
    }

    fn points_of(&self, hour: TimeMs, resolution: Resolution) -> Vec<Rollup> {
        let kept = self.hours.get(&hour).copied();
        let samples =
            if self.unpacked_hours.contains(&hour) { self.samples_of(hour) } else { Vec::new() };
        let renewed = renew(&samples, self.fives_of(hour), kept);
        match resolution {
            Resolution::Hour => renewed.hour.into_iter().collect(),
            finer => coarsen(renewed.fives, finer),
        }
    }
}

/// What was used, of one node or of none.
pub fn summary(rollup: Option<Rollup>, range: Interval) -> UsageSummary {
    let mut sum = UsageSum::default();
    rollup.iter().for_each(|rollup| sum.add_node(rollup, range));
    sum.finish()
}
