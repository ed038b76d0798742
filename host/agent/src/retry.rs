//! How long to wait before trying again.

use std::time::Duration;

use lucid_model::backoff::doubled_ms;

/// The longest time that a service may ask for: longer than any of its limits, and not for ever.
const ASKED_MAX: Duration = Duration::from_secs(15 * 60);
/// What the service spends on an agent's backlog is at most this part of its time.
const BACKLOG_PART: u32 = 10;

/// A random part of a time: from nothing to nearly all of it.
pub(crate) fn random_part(of: Duration) -> Duration {
    // Without randomness half is as good a guess as any: only the spread of a fleet suffers.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    of.mul_f64(f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

/// The pause between two reports of a backlog, the first of which was answered after `answered`: a
/// service that is slow because a whole fleet came back is asked less often.
pub(crate) fn backlog_pause(pause: Duration, longest: Duration, answered: Duration) -> Duration {
    let pause = pause.max(answered.saturating_mul(BACKLOG_PART)).min(longest.max(pause));
    pause / 2 + random_part(pause)
}

/// Pauses that double, of each a random part: those who failed at once do not come back at once.
#[derive(Debug)]
pub(crate) struct BackOff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl BackOff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }
    /// The pause after one more failure; not before what the service asked for.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let ms = |of: Duration| i64::try_from(of.as_millis()).unwrap_or(i64::MAX);
        let full_ms = doubled_ms(ms(self.min), self.failures, ms(self.max));
        let full = Duration::from_millis(full_ms.unsigned_abs());
        self.failures = self.failures.saturating_add(1);
        asked.unwrap_or_default().min(ASKED_MAX) + random_part(full)
    }
    /// Something succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut longest = [Duration::ZERO; 8];
        for _ in 0..200 {
            let mut back_off = BackOff::new(SECOND, 60 * SECOND);
            longest.iter_mut().for_each(|longest| *longest = back_off.next(None).max(*longest));
            back_off.reset();
            assert!(back_off.next(None) < SECOND);
        }
        for (longest, full) in longest.into_iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            assert!(
                longest < full * SECOND && longest > full * SECOND * 3 / 4,
                "{longest:?} of {full} s"
            );
        }
    }

    #[test]
    fn nobody_comes_back_before_the_service_said_so_nor_all_at_that_moment() {
        let pauses: Vec<_> =
            (0..100).map(|_| BackOff::new(SECOND, 60 * SECOND).next(Some(120 * SECOND))).collect();
        assert!(pauses.iter().all(|pause| (120 * SECOND..121 * SECOND).contains(pause)));
        assert!(pauses.iter().max().unwrap().abs_diff(*pauses.iter().min().unwrap()) > SECOND / 2);
        assert!(BackOff::new(SECOND, SECOND).next(Some(100_000 * SECOND)) <= ASKED_MAX + SECOND);
    }

    #[test]
    fn ten_thousand_agents_come_back_over_a_minute() {
        let mut arrivals = [0_u32; 60];
        for _ in 0..10_000 {
            let mut back_off = BackOff::new(SECOND, 60 * SECOND);
            for _ in 0..6 {
                back_off.next(None);
            }
            arrivals[usize::try_from(back_off.next(None).as_secs()).unwrap()] += 1;
        }
        // 167 a second are even; five deviations are 65.
        assert!(arrivals.iter().all(|count| (100..=235).contains(count)), "{arrivals:?}");
    }

    #[test]
    fn a_slow_service_gets_a_backlog_more_slowly() {
        for _ in 0..100 {
            assert!((SECOND * 5 / 2..SECOND * 15 / 2).contains(&backlog_pause(
                5 * SECOND,
                60 * SECOND,
                SECOND / 10
            )));
            assert!((10 * SECOND..30 * SECOND).contains(&backlog_pause(
                5 * SECOND,
                60 * SECOND,
                2 * SECOND
            )));
            // At the default interval: often enough to be seen as present.
            assert!((SECOND * 15 / 2..SECOND * 45 / 2).contains(&backlog_pause(
                5 * SECOND,
                15 * SECOND,
                20 * SECOND
            )));
        }
    }
}
