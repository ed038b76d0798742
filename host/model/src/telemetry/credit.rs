//! What counts as observed: the union of a node's sessions, cut with what the service itself
//! witnessed.
//!
//! Invariant: credit never exceeds presence, and presence never exceeds what our own monotonic
//! clock measured.

use crate::time::TimeMs;

/// Two consecutive reports further apart than this witness nothing between them, in milliseconds.
pub const PRESENCE_GAP_MS_MAX: i64 = 90_000;

/// A half-open stretch of time; empty if `to <= from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// First instant.
    pub from: TimeMs,
    /// First instant after it.
    pub to: TimeMs,
}

impl Interval {
    /// Length in milliseconds, 0 if empty.
    pub fn length_ms(self) -> i64 {
        self.to.ms_since(self.from).max(0)
    }
    /// The part inside `other`; empty if they do not meet.
    #[must_use]
    pub fn clip(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// Merges intervals that overlap or touch; sorted, disjoint, none empty.
pub fn union(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.retain(|i| i.length_ms() > 0);
    intervals.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
    for next in intervals {
        match merged.last_mut() {
            Some(last) if next.from <= last.to => last.to = last.to.max(next.to),
            _ => merged.push(next),
        }
    }
    merged
}

/// What two sorted, disjoint lists have in common.
pub fn intersect(left: &[Interval], right: &[Interval]) -> Vec<Interval> {
    let (mut lefts, mut rights) =
        (left.iter().copied().peekable(), right.iter().copied().peekable());
    let mut common = Vec::new();
    while let (Some(l), Some(r)) = (lefts.peek(), rights.peek()) {
        let both = l.clip(*r);
        if both.length_ms() > 0 {
            common.push(both);
        }
        if l.to <= r.to {
            lefts.next()
        } else {
            rights.next()
        };
    }
    common
}

/// Length of a sorted, disjoint list in milliseconds.
pub fn total_ms(intervals: &[Interval]) -> i64 {
    intervals.iter().map(|i| i.length_ms()).sum()
}

/// Credited milliseconds: union of sessions ∩ presence, inside `period`. Presence is witnessed only
/// while the node is active, so that "after activation, while active" is part of it.
pub fn credited_ms(sessions: Vec<Interval>, presence: Vec<Interval>, period: Interval) -> i64 {
    let clip = |list: Vec<Interval>| union(list.into_iter().map(|i| i.clip(period)).collect());
    total_ms(&intersect(&clip(sessions), &clip(presence)))
}

/// What a replica remembers of a node's last report, to witness the time until the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastReport {
    /// Arrival, by the clock that presence is dated by: the one that replicas share, or the wall
    /// clock of the only one.
    pub wall: TimeMs,
    /// Arrival on the service's own monotonic clock, in milliseconds since it started.
    pub monotonic_ms: i64,
    /// Where the presence that is still growing began.
    pub presence_from: TimeMs,
}

impl LastReport {
    /// The state after a first report, or the first after a silence.
    pub fn first(wall: TimeMs, monotonic_ms: i64) -> Self {
        Self { wall, monotonic_ms, presence_from: wall }
    }

    /// The next report after one that another replica took, or an earlier process: `stored` is the
    /// presence that ends with that one, dated by the clock that all share. None if the silence
    /// between them was too long.
    pub fn after(stored: Interval, at: TimeMs, monotonic_ms: i64) -> Option<(Self, Interval)> {
        let is_short = (0..=PRESENCE_GAP_MS_MAX).contains(&at.ms_since(stored.to));
        is_short.then_some((
            Self { wall: at, monotonic_ms, presence_from: stored.from },
            Interval { from: stored.from, to: at },
        ))
    }

    /// The next report: the state after it, and the presence it witnesses, if the silence was short
    /// enough. A wall clock that was set forward does not lengthen the interval; one that was set
    /// back ends it.
    pub fn next(self, wall: TimeMs, monotonic_ms: i64) -> (Self, Option<Interval>) {
        let (by_wall, by_clock) =
            (wall.ms_since(self.wall), monotonic_ms.saturating_sub(self.monotonic_ms));
        // Half a second: how far two clocks may drift apart between reports without a correction.
        const DRIFT_MS: i64 = 500;
        if !(0..=PRESENCE_GAP_MS_MAX).contains(&by_clock) || by_wall < 0 {
            return (Self::first(wall, monotonic_ms), None);
        }
        if by_wall <= by_clock + DRIFT_MS {
            let state = Self { wall, monotonic_ms, ..self };
            (state, Some(Interval { from: self.presence_from, to: wall }))
        } else {
            let from = wall.plus_ms(-by_clock);
            (Self { wall, monotonic_ms, presence_from: from }, Some(Interval { from, to: wall }))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: i64, to: i64) -> Interval {
        Interval { from: TimeMs(from), to: TimeMs(to) }
    }

    #[test]
    fn overlapping_sessions_count_once() {
        assert_eq!(
            credited_ms(vec![span(0, 60), span(30, 90)], vec![span(0, 100)], span(0, 100)),
            90
        );
    }

    #[test]
    fn a_stretched_session_earns_no_more_than_presence() {
        assert_eq!(
            credited_ms(vec![span(0, 1_000_000)], vec![span(10, 40), span(60, 70)], span(0, 100)),
            40
        );
    }

    #[test]
    fn nothing_outside_the_period_counts() {
        assert_eq!(credited_ms(vec![span(0, 1000)], vec![span(0, 1000)], span(500, 600)), 100);
    }

    #[test]
    fn presence_goes_on_from_what_another_replica_stored_unless_the_silence_was_too_long() {
        let stored = span(1_000, 31_000);
        let (last, presence) = LastReport::after(stored, TimeMs(61_000), 7).unwrap();
        assert_eq!(
            (presence, last.presence_from, last.monotonic_ms),
            (span(1_000, 61_000), TimeMs(1_000), 7)
        );
        assert!(LastReport::after(stored, TimeMs(31_000 + PRESENCE_GAP_MS_MAX), 7).is_some());
        assert_eq!(LastReport::after(stored, TimeMs(31_001 + PRESENCE_GAP_MS_MAX), 7), None);
        assert_eq!(LastReport::after(stored, TimeMs(30_999), 7), None, "a clock that was set back");
    }

    #[test]
    fn two_minutes_of_silence_witness_nothing() {
        let (state, seen) = LastReport::first(TimeMs(0), 0).next(TimeMs(120_000), 120_000);
        assert_eq!((state.presence_from, seen), (TimeMs(120_000), None));
    }

    #[test]
    fn a_clock_set_forward_lengthens_nothing() {
        let (state, seen) = LastReport::first(TimeMs(0), 0).next(TimeMs(80_000), 30_000);
        assert_eq!(seen, Some(span(50_000, 80_000)));
        assert_eq!(state.next(TimeMs(110_000), 60_000).1, Some(span(50_000, 110_000)));
    }

    #[test]
    fn a_clock_set_back_witnesses_nothing() {
        assert_eq!(LastReport::first(TimeMs(100_000), 0).next(TimeMs(90_000), 30_000).1, None);
    }

    proptest! {
        #[test]
        fn credit_never_exceeds_presence_or_sessions(
            sessions in prop::collection::vec((0_i64..500, 0_i64..500), 0..12),
            presence in prop::collection::vec((0_i64..500, 0_i64..500), 0..12),
        ) {
            let spans = |list: Vec<(i64, i64)>| list.into_iter().map(|(a, b)| span(a, b)).collect::<Vec<_>>();
            let (sessions, presence) = (spans(sessions), spans(presence));
            let inside = |list: &[Interval], t: i64| list.iter().any(|i| i.from.0 <= t && t < i.to.0);
            let by_counting = (100..400).filter(|t| inside(&sessions, *t) && inside(&presence, *t)).count();
            prop_assert_eq!(credited_ms(sessions, presence, span(100, 400)), by_counting as i64);
        }

        #[test]
        fn presence_never_exceeds_the_monotonic_clock(steps in prop::collection::vec((-50_000_i64..150_000, 0_i64..120_000), 1..40)) {
            let (mut wall, mut clock) = (TimeMs(1_000_000_000), 0);
            let mut state = LastReport::first(wall, clock);
            let mut seen = Vec::new();
            for (by_wall, by_clock) in steps.iter().copied() {
                wall = wall.plus_ms(by_wall);
                clock += by_clock;
                let (next, interval) = state.next(wall, clock);
                state = next;
                seen.extend(interval);
            }
            let drift = 500 * i64::try_from(steps.len()).unwrap();
            prop_assert!(total_ms(&union(seen)) <= clock + drift);
        }
    }
}
