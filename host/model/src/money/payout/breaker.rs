//! The circuit breaker between the payer and a rail: after failures in a row nothing is tried for a
//! while, then one probe at a time.

use super::pace::RETRY_AFTER_MS_MAX;
use crate::{backoff::doubled_ms, time::TimeMs};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 5;
/// First wait of an open breaker, in milliseconds; doubles with each failed probe.
const OPEN_FIRST_MS: i64 = 1_000;
/// Longest wait between two probes, unless the rail asks for a longer one.
const OPEN_MAX_MS: i64 = 60_000;

/// The outcome of one request to the rail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// It was served.
    Worked,
    /// It was not served now.
    Failed {
        /// The wait that the rail asked for, in milliseconds.
        retry_after_ms: Option<i64>,
    },
    /// The rail refuses us, whatever we send: the least wait, in milliseconds.
    Refused {
        /// At least so long.
        wait_ms: i64,
    },
}

/// The right to try once, which [`Breaker::take`] grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// The breaker was closed.
    Ordinary,
    /// The breaker was open and its wait is over: the only try until its outcome is known.
    Probe,
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

    /// Grants the right to try, if one may try now. Whoever got it reports the outcome, or gives it
    /// back.
    pub fn take(&mut self, now: TimeMs) -> Option<Permit> {
        match self.open_until {
            None => Some(Permit::Ordinary),
            Some(until) if now < until || self.probing => None,
            Some(_) => {
                self.probing = true;
                Some(Permit::Probe)
            }
        }
    }

    /// Takes an unused right back.
    pub fn give_back(&mut self, permit: Permit) {
        self.probing &= permit != Permit::Probe;
    }

    /// Learns the outcome of a try.
    pub fn learn(&mut self, permit: Permit, tried: Tried, now: TimeMs) {
        self.give_back(permit);
        let (at_least, at_once) = match tried {
            Tried::Worked => {
                *self = Self::default();
                return;
            }
            Tried::Failed { retry_after_ms: None } => (0, false),
            Tried::Failed { retry_after_ms: Some(wish) } => {
                (wish.clamp(0, RETRY_AFTER_MS_MAX), true)
            }
            Tried::Refused { wait_ms } => (wait_ms, true),
        };
        // What was under way when the breaker opened is the same failure: only a probe that fails
        // doubles the wait.
        if permit == Permit::Probe || self.open_until.is_none() {
            self.failures = self.failures.saturating_add(1);
            if at_once || self.failures >= FAILURES_MAX {
                self.open(now, at_least);
            }
        } else if at_once {
            self.open_until = self.open_until.max(Some(now.plus_ms(at_least)));
        }
    }

    fn open(&mut self, now: TimeMs, at_least: i64) {
        let doublings = self.failures.saturating_sub(FAILURES_MAX);
        let wait = doubled_ms(OPEN_FIRST_MS, doublings, OPEN_MAX_MS);
        // Tries of many payouts fail at odd moments, which jitter enough: up to a quarter more.
        let jitter = wait.saturating_mul(now.0.rem_euclid(256)) / 1024;
        self.open_until =
            self.open_until.max(Some(now.plus_ms(wait.saturating_add(jitter).max(at_least))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WISH: Tried = Tried::Failed { retry_after_ms: None };

    fn tripped() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.take(TimeMs(0)), Some(Permit::Ordinary));
            breaker.learn(Permit::Ordinary, NO_WISH, TimeMs(0));
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let mut breaker = tripped();
        assert_eq!(breaker.take(TimeMs(999)), None);
        assert_eq!(breaker.take(TimeMs(1_000)), Some(Permit::Probe));
        assert_eq!(breaker.take(TimeMs(1_000)), None, "one at a time");
        breaker.give_back(Permit::Ordinary);
        assert_eq!(breaker.take(TimeMs(1_000)), None, "who tried before it opened ends no probe");
        breaker.learn(Permit::Probe, Tried::Worked, TimeMs(1_100));
        assert_eq!(breaker.take(TimeMs(1_100)), Some(Permit::Ordinary));
        assert!(!breaker.is_tripped());
    }

    #[test]
    fn requests_that_were_under_way_when_it_opened_do_not_make_its_wait_longer() {
        let mut breaker = tripped();
        for _ in 0..20 {
            breaker.learn(Permit::Ordinary, NO_WISH, TimeMs(10));
        }
        assert_eq!(breaker.take(TimeMs(1_000)), Some(Permit::Probe));
        breaker.learn(Permit::Probe, NO_WISH, TimeMs(1_000));
        assert!(
            breaker.open_until(TimeMs(1_000)) >= Some(TimeMs(3_000)),
            "the second wait is twice the first"
        );
    }

    #[test]
    fn a_failure_between_successes_opens_nothing() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            breaker.learn(Permit::Ordinary, NO_WISH, TimeMs(0));
            breaker.learn(Permit::Ordinary, Tried::Worked, TimeMs(0));
        }
        assert!(breaker.take(TimeMs(0)).is_some());
    }

    #[test]
    fn probes_that_fail_come_less_and_less_often() {
        let (mut breaker, mut now, mut probes) = (tripped(), TimeMs(0), 0);
        while now < TimeMs(3_600_000) {
            now = now.plus_ms(100);
            if let Some(permit) = breaker.take(now) {
                probes += 1;
                breaker.learn(permit, NO_WISH, now);
            }
        }
        assert!((50..70).contains(&probes), "{probes} probes an hour");
    }

    #[test]
    fn what_the_rail_asks_for_is_waited_but_not_for_ever() {
        let mut breaker = Breaker::default();
        breaker.learn(Permit::Ordinary, Tried::Failed { retry_after_ms: Some(5_000) }, TimeMs(0));
        assert_eq!(breaker.open_until(TimeMs(0)), Some(TimeMs(5_000)));
        breaker.learn(
            Permit::Ordinary,
            Tried::Failed { retry_after_ms: Some(i64::MAX) },
            TimeMs(0),
        );
        assert_eq!(breaker.open_until(TimeMs(0)), Some(TimeMs(RETRY_AFTER_MS_MAX)));
        assert_eq!(breaker.take(TimeMs(4_999)), None);
    }

    #[test]
    fn a_probe_that_was_not_made_is_given_back() {
        let mut breaker = tripped();
        assert_eq!(breaker.take(TimeMs(2_000)), Some(Permit::Probe));
        breaker.give_back(Permit::Probe);
        assert_eq!(breaker.take(TimeMs(2_000)), Some(Permit::Probe));
    }
}
