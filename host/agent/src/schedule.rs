//! When samples are taken: whole intervals apart, however long each takes, and at another moment of
//! the interval at each node.

use std::time::Duration;

use lucid_model::id::{Digest, NodeId};

/// The CPU's usage is a mean since the reading before: the first sample needs some time, too.
const FIRST_MIN: Duration = Duration::from_secs(1);

/// The instants of one run, as times since its start.
#[derive(Debug)]
pub(crate) struct Schedule {
    next: Duration,
    interval: Duration,
}

impl Schedule {
    /// The schedule of a node: a fleet that starts at once is spread over the interval.
    pub(crate) fn new(node: NodeId, interval: Duration) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let [a, b, c, d, ..] = Digest::of(node.0.as_bytes()).0;
        let part = f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
        Self { next: interval.mul_f64(part).max(FIRST_MIN.min(interval / 2)), interval }
    }

    /// The first instant.
    pub(crate) fn first(&self) -> Duration {
        self.next
    }

    /// The next instant, which may have passed already; those before it that were missed are left
    /// out.
    pub(crate) fn due(&mut self, elapsed: Duration) -> Duration {
        let late = elapsed.saturating_sub(self.next);
        let due = elapsed.saturating_sub(Duration::from_nanos(
            u64::try_from(late.as_nanos() % self.interval.as_nanos()).unwrap_or(0),
        ));
        let due = if late.is_zero() { self.next } else { due };
        self.next = due.saturating_add(self.interval);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn node(number: u128) -> NodeId {
        NodeId(uuid::Uuid::from_u128(0x0192_f0c1_2b3c_7d4e_8f90_0000_0000_0000 + number))
    }

    /// Times from nothing to nearly `most_ms`, the same at every run.
    fn delays(most_ms: u64) -> impl FnMut() -> Duration {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            Duration::from_millis((state >> 33) % most_ms)
        }
    }

    #[test]
    fn ten_minutes_of_slow_samples_are_thirty_seconds_apart_and_none_is_missing() {
        for number in 0..50 {
            let mut schedule = Schedule::new(node(number), INTERVAL);
            let (mut wake, mut work) = (delays(2_900), delays(27_000));
            let (mut clock, mut taken) = (Duration::ZERO, Vec::new());
            let end = schedule.first() + 20 * INTERVAL;
            while clock < end {
                clock = clock.max(schedule.due(clock)) + wake();
                taken.push(clock);
                clock += work();
            }
            let taken: Vec<_> = taken.into_iter().filter(|at| *at < end).collect();
            assert!(taken.len() >= 20, "{} of 20", taken.len());
            let gaps: Vec<_> = taken.windows(2).map(|two| two[1] - two[0]).collect();
            let mean = (taken[taken.len() - 1] - taken[0])
                .div_f64(f64::from(u32::try_from(gaps.len()).unwrap()));
            // Whoever wakes up to 2.9 s late is off by that at either end, and not more however
            // long it runs.
            assert!(mean.abs_diff(INTERVAL) <= Duration::from_millis(2_900) / 19, "{mean:?}");
            assert!(
                gaps.iter().all(|gap| gap.abs_diff(INTERVAL) <= Duration::from_secs(3)),
                "{gaps:?}"
            );
        }
    }

    #[test]
    fn ordinary_wake_ups_keep_the_mean_within_a_tenth_of_a_second() {
        let mut schedule = Schedule::new(node(7), INTERVAL);
        let (mut wake, mut work) = (delays(500), delays(2_000));
        let (mut clock, mut taken) = (Duration::ZERO, Vec::new());
        for _ in 0..=20 {
            clock = clock.max(schedule.due(clock)) + wake();
            taken.push(clock);
            clock += work();
        }
        let mean = (taken[20] - taken[0]) / 20;
        assert!(mean.abs_diff(INTERVAL) <= Duration::from_millis(100), "{mean:?}");
    }

    #[test]
    fn what_was_missed_is_not_made_up_for_and_moves_nothing() {
        let mut schedule = Schedule::new(node(1), INTERVAL);
        let first = schedule.first();
        assert_eq!(schedule.due(Duration::ZERO), first);
        assert_eq!(schedule.due(first + Duration::from_secs(1)), first + INTERVAL);
        assert_eq!(
            schedule.due(first + Duration::from_secs(100)),
            first + 3 * INTERVAL,
            "at once, in the place of two"
        );
        assert_eq!(schedule.due(first + Duration::from_secs(101)), first + 4 * INTERVAL);
    }

    #[test]
    fn a_fleet_that_starts_at_once_is_spread_over_the_interval() {
        let mut seconds = [0_u32; 30];
        for number in 0..9_000 {
            seconds[usize::try_from(Schedule::new(node(number), INTERVAL).first().as_secs())
                .unwrap()] += 1;
        }
        // The first second's are moved to the next one.
        assert_eq!(seconds[0], 0);
        assert!(seconds[2..].iter().all(|count| (200..400).contains(count)), "{seconds:?}");
    }
}
