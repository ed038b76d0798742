//! The clock that the replicas of a store share: the coordinator's, carried on between checks by a
//! replica's own monotonic clock. It does not depend on any replica's wall clock.

use crate::time::TimeMs;

/// A check whose answer took longer than twice this says too little about the time.
const WITHIN_MS_MAX: i64 = 250;
/// A check that differs by more from the time carried on tells of a clock that was set.
const STEP_MS: i64 = 500;

/// What the last good check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedClock {
    at: TimeMs,
    monotonic_ms: i64,
    /// The coordinator's clock was set then: instants before are not comparable with those after.
    steady_from: Option<TimeMs>,
}

impl SharedClock {
    /// The clock after a check: it said `at`, give or take `within_ms`, when the monotonic clock
    /// showed `monotonic_ms`.
    pub fn checked(
        last: Option<Self>,
        at: TimeMs,
        within_ms: i64,
        monotonic_ms: i64,
    ) -> Option<Self> {
        if within_ms > WITHIN_MS_MAX {
            return last;
        }
        let was_set = last.is_some_and(|last| at.ms_since(last.read(monotonic_ms)).abs() > STEP_MS);
        let steady_from = if was_set { Some(at) } else { last.and_then(|last| last.steady_from) };
        Some(Self { at, monotonic_ms, steady_from })
    }

    /// What it shows.
    pub fn read(self, monotonic_ms: i64) -> TimeMs {
        self.at.plus_ms(monotonic_ms.saturating_sub(self.monotonic_ms))
    }

    /// Whether an instant that a replica took from it is comparable with what it shows now.
    pub fn compares_with(self, instant: TimeMs) -> bool {
        self.steady_from.is_none_or(|from| instant >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_by_the_monotonic_clock_between_checks() {
        let clock = SharedClock::checked(None, TimeMs(1_000_000), 1, 50).unwrap();
        assert_eq!(clock.read(30_050), TimeMs(1_030_000));
        let next = SharedClock::checked(Some(clock), TimeMs(1_030_100), 2, 30_050).unwrap();
        assert_eq!(next.read(30_050), TimeMs(1_030_100), "a correction is followed");
        assert!(next.compares_with(TimeMs(1_000_000)));
    }

    #[test]
    fn a_clock_that_was_set_is_not_compared_with_what_it_showed_before() {
        let clock = SharedClock::checked(None, TimeMs(1_000_000), 1, 0).unwrap();
        for by_ms in [STEP_MS + 1, -STEP_MS - 1, 60_000, -60_000] {
            let set =
                SharedClock::checked(Some(clock), TimeMs(1_001_000 + by_ms), 1, 1_000).unwrap();
            assert!(!set.compares_with(TimeMs(1_001_000 + by_ms - 1)));
            assert!(set.compares_with(TimeMs(1_001_000 + by_ms)));
        }
    }

    #[test]
    fn a_slow_answer_says_nothing() {
        let clock = SharedClock::checked(None, TimeMs(1_000_000), 1, 0);
        assert_eq!(SharedClock::checked(clock, TimeMs(1_000_300), WITHIN_MS_MAX + 1, 0), clock);
        assert_eq!(SharedClock::checked(None, TimeMs(1_000_300), WITHIN_MS_MAX + 1, 0), None);
    }
}
