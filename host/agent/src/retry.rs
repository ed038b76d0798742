//! How long to wait before trying again.

use std::time::Duration;

/// A random part of a time: from nothing to nearly all of it.
pub(crate) fn random_part(of: Duration) -> Duration {
    // Without randomness half is as good a guess as any: only the spread of a fleet suffers.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    of.mul_f64(f64::from(random) / (f64::from(u32::MAX) + 1.0))
}

/// Pauses that double, each between half of its length and all of it.
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
    /// The pause after one more failure; at least what the service asked for.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let full = self.min.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(self.max);
        self.failures = self.failures.saturating_add(1).min(31);
        let half = full / 2;
        (half + random_part(half)).max(asked.unwrap_or_default().min(self.max))
    }
    /// Something succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let second = Duration::from_secs(1);
        let mut back_off = BackOff::new(second, 60 * second);
        for full in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = back_off.next(None);
            assert!(pause >= full * second / 2 && pause <= full * second, "{pause:?} of {full} s");
        }
        back_off.reset();
        assert!(back_off.next(None) <= second);
        assert!(back_off.next(Some(30 * second)) >= 30 * second);
    }
}
