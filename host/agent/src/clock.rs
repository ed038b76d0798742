//! The wall clock, which somebody may set, beside the one that nobody can.

use std::time::Duration;

use lucid_model::time::TimeMs;
use tokio::time::Instant;

/// NTP moves a clock by this much without anybody noticing; what goes further was set.
pub(crate) const SLEW_MS_MAX: i64 = 2_000;

/// The wall clock.
pub(crate) fn now() -> TimeMs {
    let since_1970 =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    TimeMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockReading {
    pub(crate) wall: TimeMs,
    /// Stands still while the machine is suspended.
    pub(crate) steady: Instant,
}

impl ClockReading {
    pub(crate) fn now() -> Self {
        Self { wall: now(), steady: Instant::now() }
    }

    /// Whether the wall clock was set since an earlier reading, or the machine was suspended.
    pub(crate) fn was_set_since(self, earlier: Self) -> bool {
        let elapsed_ms = ms(self.steady.saturating_duration_since(earlier.steady));
        self.wall.ms_since(earlier.wall).saturating_sub(elapsed_ms).unsigned_abs()
            > SLEW_MS_MAX.unsigned_abs()
    }
}

/// Whole milliseconds.
pub(crate) fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slew_is_not_a_step_and_a_suspension_is_one() {
        let first = ClockReading { wall: TimeMs(1_000_000), steady: Instant::now() };
        let after = |wall_ms: i64, steady_ms: u64| ClockReading {
            wall: first.wall.plus_ms(wall_ms),
            steady: first.steady + Duration::from_millis(steady_ms),
        };
        for (wall_ms, steady_ms) in
            [(30_000, 30_000), (28_500, 30_000), (31_900, 30_000), (-1_000, 0)]
        {
            assert!(!after(wall_ms, steady_ms).was_set_since(first), "{wall_ms} {steady_ms}");
        }
        for (wall_ms, steady_ms) in
            [(-3_570_000, 30_000), (3_630_000, 30_000), (27_999, 30_000), (i64::MAX, 0)]
        {
            assert!(after(wall_ms, steady_ms).was_set_since(first), "{wall_ms} {steady_ms}");
        }
    }
}
