//! Samples of an interval, rolled up.
//!
//! Invariant: rolling samples up is the same as merging the rollups of their parts, whatever the
//! parts and whatever order either came in, so that nothing but the samples decides what a long
//! range says. Nothing is divided before it is shown.

use std::collections::BTreeMap;

use super::{NetworkCounters, Sample, mean_floor};
use crate::{epochs::score::Ppm, telemetry::credit::Interval, time::TimeMs};

/// Between two samples of a node that reports as it should.
pub const REPORT_INTERVAL_MS: i64 = 30_000;

/// Samples that are expected of a node in a range.
pub fn samples_expected(range: Interval) -> u64 {
    (range.length_ms() / REPORT_INTERVAL_MS).unsigned_abs()
}

/// The intervals that samples are rolled up into; each is a part of the next, from the epoch of
/// time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// One minute.
    Minute,
    /// Five minutes.
    FiveMinutes,
    /// One hour.
    Hour,
}

impl Resolution {
    /// All, the finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::FiveMinutes, Self::Hour];

    pub const fn ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }
    /// `1m`, `5m` or `1h`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
    /// The start of the interval that an instant is in.
    #[must_use]
    pub fn floor(self, at: TimeMs) -> TimeMs {
        TimeMs(at.0.saturating_sub(at.0.rem_euclid(self.ms())))
    }
    /// The first start of an interval that is not before an instant.
    #[must_use]
    pub fn ceil(self, at: TimeMs) -> TimeMs {
        let floor = self.floor(at);
        if floor == at { at } else { floor.plus_ms(self.ms()) }
    }
    /// The interval that begins at `start`.
    pub fn from(self, start: TimeMs) -> Interval {
        Interval { from: start, to: start.plus_ms(self.ms()) }
    }
}

/// Ratios of several samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// All together, in millionths.
    pub sum: u64,
    /// The least.
    pub min: Ppm,
    /// The greatest.
    pub max: Ppm,
}

impl Spread {
    fn of(ratio: Ppm) -> Self {
        Self { sum: u64::from(ratio.0), min: ratio, max: ratio }
    }
    fn merge(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// What counters stood at: what the next interval's are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// When, by the node's clock.
    pub at: TimeMs,
    /// The network's counters.
    pub network: NetworkCounters,
    /// Seconds since the machine started.
    pub uptime_s: u64,
}

impl Reading {
    /// What the network's counters counted since an earlier reading.
    pub fn network_since(&self, earlier: &Self) -> NetworkCounters {
        self.network.since(earlier.network, self.uptime_s < earlier.uptime_s)
    }
}

/// One or more samples of a node, rolled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollup {
    pub samples: u64,
    pub cpu: Spread,
    pub memory: Spread,
    pub disk: Spread,
    /// What was counted from the first sample to the last, corrected for counters that went round
    /// or began anew.
    pub network: NetworkCounters,
    /// Most observation sessions open at once.
    pub active_sessions_max: u32,
    /// The longest that the machine was seen to have run.
    pub uptime_s_max: u64,
    /// The first sample's counters.
    pub first: Reading,
    /// The last one's.
    pub last: Reading,
}

impl Rollup {
    /// One sample.
    pub fn of(sample: &Sample) -> Self {
        let reading =
            Reading { at: sample.at, network: sample.usage.network, uptime_s: sample.uptime_s };
        Self {
            samples: 1,
            cpu: Spread::of(sample.usage.cpu),
            memory: Spread::of(sample.usage.memory),
            disk: Spread::of(sample.usage.disk),
            network: NetworkCounters::default(),
            active_sessions_max: sample.active_sessions,
            uptime_s_max: sample.uptime_s,
            first: reading,
            last: reading,
        }
    }
    /// Takes in what comes after all that is in it.
    fn go_on(&mut self, later: &Self) {
        self.samples = self.samples.saturating_add(later.samples);
        self.cpu.merge(&later.cpu);
        self.memory.merge(&later.memory);
        self.disk.merge(&later.disk);
        self.network = self.network.plus(later.first.network_since(&self.last)).plus(later.network);
        self.active_sessions_max = self.active_sessions_max.max(later.active_sessions_max);
        self.uptime_s_max = self.uptime_s_max.max(later.uptime_s_max);
        self.last = later.last;
    }
    /// Mean of a spread, rounded down.
    pub fn mean_floor(&self, spread: &Spread) -> Ppm {
        mean_floor(spread.sum, self.samples)
    }
    /// What to keep of an interval that was rolled up before, and now again from the samples that
    /// are still there. Samples are only ever added until their time is over, so that who has more
    /// of them knows more; what is of another part of the interval is put to it.
    #[must_use]
    pub fn renewed(kept: Option<Self>, fresh: Self) -> Self {
        let Some(kept) = kept else { return fresh };
        let apart = kept.last.at < fresh.first.at || fresh.last.at < kept.first.at;
        if apart {
            return merge_all([kept, fresh]).unwrap_or(fresh);
        }
        if kept.samples > fresh.samples { kept } else { fresh }
    }
}

/// Rolls samples of one node up, in whatever order they are: one rollup an interval that has any,
/// in the order of time. Of two samples of one instant the one that arrived first counts.
pub fn roll_up<'s>(
    samples: impl IntoIterator<Item = &'s Sample>,
    resolution: Resolution,
) -> Vec<Rollup> {
    let mut by_time: BTreeMap<TimeMs, &Sample> = BTreeMap::new();
    for sample in samples {
        let counts = by_time.entry(sample.at).or_insert(sample);
        if sample.arrived_at < counts.arrived_at {
            *counts = sample;
        }
    }
    coarsen(by_time.into_values().map(Rollup::of), resolution)
}

/// Merges rollups of one node, of intervals that do not overlap and in whatever order they are,
/// into those of a coarser resolution, in the order of time.
pub fn coarsen(finer: impl IntoIterator<Item = Rollup>, resolution: Resolution) -> Vec<Rollup> {
    let mut merged: Vec<Rollup> = Vec::new();
    for next in in_order(finer) {
        match merged.last_mut() {
            Some(last) if resolution.floor(last.first.at) == resolution.floor(next.first.at) => {
                last.go_on(&next)
            }
            _ => merged.push(next),
        }
    }
    merged
}

/// Merges rollups of one node, of intervals that do not overlap and in whatever order they are;
/// none of none.
pub fn merge_all(parts: impl IntoIterator<Item = Rollup>) -> Option<Rollup> {
    in_order(parts).into_iter().reduce(|mut all, next| {
        all.go_on(&next);
        all
    })
}

fn in_order(parts: impl IntoIterator<Item = Rollup>) -> Vec<Rollup> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by_key(|part| part.first.at);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{id::NodeId, telemetry::metric::Usage};

    fn sample(at: i64, bytes_sent: u64, uptime_s: u64) -> Sample {
        let network = NetworkCounters {
            bytes_sent,
            bytes_received: bytes_sent / 3,
            packets_sent: bytes_sent ^ 0xff,
            packets_received: 0,
        };
        let ratio =
            |salt: u64| Ppm(u32::try_from(bytes_sent.wrapping_mul(salt) % 1_000_001).unwrap());
        Sample {
            node: NodeId(Uuid::from_u128(1)),
            at: TimeMs(at),
            arrived_at: TimeMs(at + 10),
            usage: Usage { cpu: ratio(7), memory: ratio(11), disk: ratio(13), network },
            active_sessions: u32::try_from(uptime_s % 9).unwrap(),
            uptime_s,
        }
    }

    #[test]
    fn a_counter_that_falls_is_counted_from_zero_or_round() {
        let of = |readings: &[(u64, u64)]| {
            let samples: Vec<_> = (0_i64..)
                .zip(readings)
                .map(|(i, (sent, uptime_s))| sample(30_000 * i, *sent, *uptime_s))
                .collect();
            roll_up(&samples, Resolution::Hour)[0].network.bytes_sent
        };
        assert_eq!(
            of(&[(100, 5), (150, 35), (30, 65), (40, 95)]),
            90,
            "nothing is lost after a restart"
        );
        let near = u64::from(u32::MAX) - 9;
        assert_eq!(of(&[(near, 5), (10, 35)]), 20, "it went round");
        assert_eq!(of(&[(near, 65), (10, 35)]), 10, "the machine restarted, its uptime fell too");
        assert_eq!(of(&[(u64::MAX, 5), (0, 35), (4, 65)]), 5);
    }

    #[test]
    fn an_interval_begins_where_its_resolution_says() {
        let at = TimeMs(7_380_001);
        assert_eq!(Resolution::ALL.map(|r| r.floor(at).0), [7_380_000, 7_200_000, 7_200_000]);
        assert_eq!(Resolution::ALL.map(|r| r.ceil(at).0), [7_440_000, 7_500_000, 10_800_000]);
        assert_eq!(Resolution::Hour.ceil(TimeMs(7_200_000)).0, 7_200_000);
        assert_eq!(Resolution::FiveMinutes.floor(TimeMs(-1)).0, -300_000);
        assert_eq!(samples_expected(Resolution::Hour.from(TimeMs(0))), 120);
    }

    #[test]
    fn what_is_rolled_up_again_never_knows_less() {
        let samples: Vec<_> =
            (0..10).map(|i| sample(30_000 * i, 100 * i.unsigned_abs(), 60)).collect();
        let of = |range: std::ops::Range<usize>| {
            merge_all(samples[range].iter().map(Rollup::of)).unwrap()
        };
        assert_eq!(Rollup::renewed(None, of(0..3)), of(0..3));
        assert_eq!(Rollup::renewed(Some(of(0..3)), of(0..4)), of(0..4), "a late sample");
        assert_eq!(
            Rollup::renewed(Some(of(0..9)), of(3..9)),
            of(0..9),
            "part of the samples is gone"
        );
        assert_eq!(
            Rollup::renewed(Some(of(0..5)), of(5..10)),
            of(0..10),
            "what was before is gone, and more came"
        );
        assert_eq!(Rollup::renewed(Some(of(5..10)), of(0..5)), of(0..10));
    }

    proptest! {
        #[test]
        fn merging_finer_rollups_is_rolling_up_the_samples(
            readings in prop::collection::btree_map(0_i64..7_200_000, (any::<u64>(), 0_u64..10_000), 1..200),
            narrow in any::<bool>(),
            repeated in prop::collection::vec(0_usize..200, 0..20),
            order in prop::collection::vec(any::<u32>(), 220),
        ) {
            let counter = |sent: u64| if narrow { sent % (1 << 32) } else { sent };
            let once: Vec<_> = readings.iter().map(|(at, (sent, uptime_s))| sample(*at, counter(*sent), *uptime_s)).collect();
            // What is sent again arrives later, whatever it says.
            let again = |place: usize| Sample { active_sessions: 99, arrived_at: TimeMs(i64::MAX), ..once[place % once.len()] };
            let mut shuffled: Vec<_> = once.iter().copied().chain(repeated.into_iter().map(again)).enumerate().collect();
            shuffled.sort_by_key(|(place, _)| order[*place % order.len()]);
            let shuffled: Vec<_> = shuffled.into_iter().map(|(_, sample)| sample).collect();
            let mut parts: Vec<Rollup> = roll_up(&shuffled, Resolution::Minute);
            prop_assert_eq!(&parts, &roll_up(&once, Resolution::Minute));
            for resolution in [Resolution::FiveMinutes, Resolution::Hour] {
                let mut scattered: Vec<_> = parts.into_iter().enumerate().collect();
                scattered.sort_by_key(|(place, _)| order[*place % order.len()]);
                parts = coarsen(scattered.into_iter().map(|(_, part)| part), resolution);
                prop_assert_eq!(&parts, &roll_up(&once, resolution));
            }
            let whole = merge_all(parts);
            prop_assert_eq!(whole, merge_all(once.iter().map(Rollup::of)));
            prop_assert_eq!(whole.map(|w| w.samples), u64::try_from(once.len()).ok());
        }
    }
}
