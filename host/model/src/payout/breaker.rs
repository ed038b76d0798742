//! The circuit breaker between the payer and a rail: after failures in a row nothing is tried for a while, then one probe at a time.

use super::pace::RETRY_AFTER_MS_MAX;
use crate::time::TimeMs;

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;
/// First wait of an open breaker, in milliseconds; doubles with each failed probe.
const OPEN_FIRST_MS: i64 = 1_000;
/// Longest wait between two probes, unless the rail asks for a longer one.
const OPEN_MAX_MS: i64 = 60_000;

/// What a try told of the rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It works.
    Worked,
    /// It does not work now.
    Failed {
        /// The wait that it asked for, in milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// It refuses us, whatever we send: the least wait, in milliseconds.
    Refused {
        /// At least so long.
        wait_ms: i64,
    },
}

/// One for sends and one for look-ups; closed at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    open_until: Option<TimeMs>,
    probing: bool,
}

impl Breaker {
    /// Until when nothing is tried; none if the breaker is closed, or a probe is due.
    pub fn open_until(&self, now: TimeMs) -> Option<TimeMs> {
        self.open_until.filter(|until| now < *until)
    }

    /// Whether the last tries failed and no probe worked yet.
    pub fn is_tripped(&self) -> bool {
        self.open_until.is_some()
    }

    /// Takes the right to try; `false`: not now. Whoever got it says what came of it, or gives it back.
    pub fn take(&mut self, now: TimeMs) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until || self.probing => false,
            Some(_) => {
                self.probing = true;
                true
            }
        }
    }

    /// Gives the right to try back unused.
    pub fn give_back(&mut self) {
        self.probing = false;
    }

    /// Learns what came of a try.
    pub fn learn(&mut self, tried: Tried, now: TimeMs) {
        self.probing = false;
        let (at_least, at_once) = match tried {
            Tried::Worked => {
                *self = Self::default();
                return;
            }
            Tried::Failed { retry_after_ms } => (retry_after_ms.unwrap_or(0).clamp(0, RETRY_AFTER_MS_MAX), retry_after_ms.is_some()),
            Tried::Refused { wait_ms } => (wait_ms, true),
        };
        self.failures = self.failures.saturating_add(1);
        if at_once || self.failures >= FAILURES_MAX {
            let doublings = self.failures.saturating_sub(FAILURES_MAX).min(20);
            let wait = OPEN_FIRST_MS.saturating_mul(1 << doublings).min(OPEN_MAX_MS);
            // Tries of many payouts fail at odd moments, which jitter enough: up to a quarter more.
            let jitter = wait.saturating_mul(now.0.rem_euclid(256)) / 1024;
            let until = now.plus_ms(wait.saturating_add(jitter).max(at_least));
            self.open_until = self.open_until.max(Some(until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WISH: Tried = Tried::Failed { retry_after_ms: None };

    fn tripped() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert!(breaker.take(TimeMs(0)));
            breaker.learn(NO_WISH, TimeMs(0));
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let mut breaker = tripped();
        assert!(!breaker.take(TimeMs(999)));
        assert!(breaker.take(TimeMs(1_000)), "a probe");
        assert!(!breaker.take(TimeMs(1_000)), "one at a time");
        breaker.learn(Tried::Worked, TimeMs(1_100));
        assert!(breaker.take(TimeMs(1_100)) && breaker.take(TimeMs(1_100)) && !breaker.is_tripped());
    }

    #[test]
    fn a_failure_between_successes_opens_nothing() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.learn(NO_WISH, TimeMs(0));
            breaker.learn(Tried::Worked, TimeMs(0));
        }
        assert!(breaker.take(TimeMs(0)));
    }

    #[test]
    fn probes_that_fail_come_less_and_less_often() {
        let (mut breaker, mut now, mut probes) = (tripped(), TimeMs(0), 0);
        while now < TimeMs(3_600_000) {
            now = now.plus_ms(100);
            if breaker.take(now) {
                probes += 1;
                breaker.learn(NO_WISH, now);
            }
        }
        assert!((50..70).contains(&probes), "{probes} probes an hour");
    }

    #[test]
    fn what_the_rail_asks_for_is_waited_but_not_for_ever() {
        let mut breaker = Breaker::default();
        breaker.learn(Tried::Failed { retry_after_ms: Some(5_000) }, TimeMs(0));
        assert_eq!(breaker.open_until(TimeMs(0)), Some(TimeMs(5_000)));
        breaker.learn(Tried::Failed { retry_after_ms: Some(i64::MAX) }, TimeMs(0));
        assert_eq!(breaker.open_until(TimeMs(0)), Some(TimeMs(RETRY_AFTER_MS_MAX)));
        assert!(!breaker.take(TimeMs(4_999)));
    }

    #[test]
    fn a_probe_that_was_not_made_is_given_back() {
        let mut breaker = tripped();
        assert!(breaker.take(TimeMs(2_000)));
        breaker.give_back();
        assert!(breaker.take(TimeMs(2_000)));
    }
}
