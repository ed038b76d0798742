//! Time as whole milliseconds since the Unix epoch, UTC; RFC 3339 only at the edges.

use std::{fmt, str::FromStr};

use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day, as UTC counts them.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeMs(pub i64);

/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST_MS: i64 = 253_402_300_799_999;

/// A text that is not an RFC 3339 instant between the years 1970 and 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct NotATime;

impl TimeMs {
    /// The instant `seconds` after 1970-01-01T00:00:00Z.
    pub fn from_unix_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
    /// Whole seconds since 1970, rounded down.
    pub fn unix_s_floor(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// Later by `ms` (earlier if negative).
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
    /// The first UUID of version 7 of this instant: smaller than every one made since, greater than
    /// those from before.
    pub fn first_uuid(self) -> uuid::Uuid {
        uuid::Builder::from_unix_timestamp_millis(
            u64::try_from(self.0).unwrap_or_default(),
            &[0; 10],
        )
        .into_uuid()
    }
    /// Milliseconds from `earlier` to `self`; negative if `self` is before it.
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for TimeMs {
    /// RFC 3339 in UTC with milliseconds; instants beyond the format's years are written at its
    /// limits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.clamp(0, LAST_MS);
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

impl FromStr for TimeMs {
    type Err = NotATime;
    /// Any RFC 3339 offset is accepted; below a millisecond is cut off.
    fn from_str(text: &str) -> Result<Self, NotATime> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATime)?;
        let ms =
            i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| NotATime)?;
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err(NotATime) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_its_text() {
        for ms in [0, 1, 1_760_000_400_123, LAST_MS] {
            assert_eq!(TimeMs(ms).to_string().parse(), Ok(TimeMs(ms)));
        }
        assert_eq!("2026-01-01T02:00:00+02:00".parse(), Ok(TimeMs(1_767_225_600_000)));
        assert!("2026-01-01".parse::<TimeMs>().is_err());
        assert!("1969-12-31T23:59:59Z".parse::<TimeMs>().is_err());
    }
}
