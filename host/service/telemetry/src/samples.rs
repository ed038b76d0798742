//! Which samples of a report are kept: none of the future, and no more than a node can have
//! measured.

use std::{collections::BTreeMap, fmt};

use lucid_foundation::ServiceError;
use lucid_model::{
    id::NodeId,
    telemetry::metric::{SAMPLE_AHEAD_MS_MAX, Sample},
    time::{DAY_MS, TimeMs},
};
use parking_lot::Mutex;

/// A sample of a report that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedSample {
    /// Its place in the report, from 0.
    pub place: u32,
    pub why: DropReason,
}

/// Why a sample is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its timestamp is ahead of our clock, milliseconds.
    Ahead(i64),
    /// The node's quota of late samples a day is used up.
    LateQuota(u32),
    /// The node's quota of samples a day is used up.
    Quota(u32),
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(ms) => {
                let (ahead_s, most_s) = (ms / 1_000, SAMPLE_AHEAD_MS_MAX / 1_000);
                write!(
                    f,
                    "is {ahead_s} s ahead of the service's clock, at most {most_s} s are accepted: set the node's clock by NTP"
                )
            }
            Self::LateQuota(per_day) => {
                write!(
                    f,
                    "is late, and the node's quota of {per_day} late samples a day is used up: send samples within 90 s of measuring them"
                )
            }
            Self::Quota(per_day) => {
                write!(
                    f,
                    "is one too many: the node's quota of {per_day} samples a day is used up, send one every 30 s"
                )
            }
        }
    }
}

/// How many samples a node may still send, by a bucket that fills up in a day.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    at: TimeMs,
}

/// Samples that a node may send in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleLimits {
    pub per_day: u32,
    /// Those that arrive late.
    pub late_per_day: u32,
}

/// What each node has left; who has all of it is not remembered.
#[derive(Default)]
struct Quota {
    buckets: Mutex<BTreeMap<NodeId, Bucket>>,
}

impl Quota {
    /// Takes one sample of a node; `false` if it has none left.
    fn take(&self, node: NodeId, now: TimeMs, per_day: u32) -> bool {
        let mut buckets = self.buckets.lock();
        let bucket = buckets.entry(node).or_insert(Bucket { left: per_day, at: now });
        *bucket = bucket.filled(now, per_day);
        let is_left = bucket.left > 0;
        bucket.left = bucket.left.saturating_sub(1);
        is_left
    }

    fn forget(&self, now: TimeMs, per_day: u32) {
        self.buckets.lock().retain(|_, bucket| bucket.filled(now, per_day).left < per_day);
    }
}

/// The quotas of all nodes.
#[derive(Default)]
pub(crate) struct SampleQuotas {
    all: Quota,
    late: Quota,
}

impl SampleQuotas {
    /// Forgets who has all of it again; called now and then.
    pub(crate) fn forget(&self, now: TimeMs, limits: SampleLimits) {
        self.all.forget(now, limits.per_day);
        self.late.forget(now, limits.late_per_day);
    }

    fn refused(&self, sample: &Sample, limits: SampleLimits) -> Option<DropReason> {
        let (node, now) = (sample.node, sample.arrived_at);
        if sample.is_late() && !self.late.take(node, now, limits.late_per_day) {
            return Some(DropReason::LateQuota(limits.late_per_day));
        }
        (!self.all.take(node, now, limits.per_day)).then_some(DropReason::Quota(limits.per_day))
    }
}

impl Bucket {
    fn filled(self, now: TimeMs, per_day: u32) -> Self {
        let since_ms = now.ms_since(self.at).clamp(0, DAY_MS);
        let more = since_ms.saturating_mul(i64::from(per_day)) / DAY_MS;
        if more == 0 {
            return self;
        }
        let left = i64::from(self.left).saturating_add(more).min(i64::from(per_day));
        Self { left: u32::try_from(left).unwrap_or(per_day), at: now }
    }
}

/// Splits the samples of a report into those that are kept and those that are not.
pub(crate) fn sort_out(
    samples: Vec<Sample>,
    quotas: &SampleQuotas,
    limits: SampleLimits,
) -> (Vec<Sample>, Vec<DroppedSample>) {
    let (mut kept, mut dropped) = (Vec::with_capacity(samples.len()), Vec::new());
    for (place, sample) in samples.into_iter().enumerate() {
        let ahead_ms = sample.clock_offset_ms();
        let why = if ahead_ms > SAMPLE_AHEAD_MS_MAX {
            Some(DropReason::Ahead(ahead_ms))
        } else {
            quotas.refused(&sample, limits)
        };
        match why {
            Some(why) => {
                dropped.push(DroppedSample { place: u32::try_from(place).unwrap_or(u32::MAX), why })
            }
            None => kept.push(sample),
        }
    }
    (kept, dropped)
}

/// What a report without a signature is refused with: nothing else of it would count.
pub(crate) fn refusal(dropped: DroppedSample, of: usize) -> ServiceError {
    let field = if of == 1 {
        "timestamp".to_owned()
    } else {
        format!("samples[{}].timestamp", dropped.place)
    };
    ServiceError::invalid(field, dropped.why.to_string())
}

#[cfg(test)]
mod tests {
    use lucid_model::{epochs::score::Ppm, telemetry::metric::Usage};
    use uuid::Uuid;

    use super::*;

    const NOW: TimeMs = TimeMs(1_790_000_000_000);
    const LIMITS: SampleLimits = SampleLimits { per_day: 30, late_per_day: 10 };

    fn sample(offset_ms: i64, arrived_at: TimeMs) -> Sample {
        let usage =
            Usage { cpu: Ppm(0), memory: Ppm(0), disk: Ppm(0), network: Default::default() };
        Sample {
            node: NodeId(Uuid::nil()),
            at: arrived_at.plus_ms(offset_ms),
            arrived_at,
            usage,
            active_sessions: 0,
            uptime_s: 0,
        }
    }

    #[test]
    fn a_sample_of_the_future_is_dropped_and_named_by_its_place() {
        let samples = vec![
            sample(SAMPLE_AHEAD_MS_MAX, NOW),
            sample(SAMPLE_AHEAD_MS_MAX + 1, NOW),
            sample(0, NOW),
            sample(250_000_000_000_000, NOW),
        ];
        let (kept, dropped) = sort_out(samples.clone(), &SampleQuotas::default(), LIMITS);
        assert_eq!(kept, [samples[0], samples[2]]);
        assert_eq!(dropped.iter().map(|dropped| dropped.place).collect::<Vec<_>>(), [1, 3]);
        assert!(
            refusal(dropped[0], 4).to_string().contains("samples[1].timestamp"),
            "{}",
            refusal(dropped[0], 4)
        );
    }

    #[test]
    fn samples_have_quotas_that_fill_up_in_a_day() {
        let quotas = SampleQuotas::default();
        let kept = |offset_ms, at, count| {
            sort_out(vec![sample(offset_ms, at); count], &quotas, LIMITS).0.len()
        };
        assert_eq!(kept(-100_000, NOW, 12), 10);
        assert_eq!(kept(-100_000, NOW.plus_ms(DAY_MS / 10 - 1), 1), 0);
        assert_eq!(kept(-100_000, NOW.plus_ms(DAY_MS / 5), 12), 2);
        assert_eq!(
            kept(-80_000, NOW.plus_ms(DAY_MS / 5), 50),
            24,
            "what is not late has what is left of all"
        );
        quotas.forget(NOW.plus_ms(DAY_MS), LIMITS);
        assert_eq!(
            (quotas.late.buckets.lock().len(), quotas.all.buckets.lock().len()),
            (1, 1),
            "not all of it is back yet"
        );
        quotas.forget(NOW.plus_ms(2 * DAY_MS), LIMITS);
        assert_eq!((quotas.late.buckets.lock().len(), quotas.all.buckets.lock().len()), (0, 0));
    }
}
