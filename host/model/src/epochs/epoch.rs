//! Scoring epochs and settlement periods: half-open stretches of UTC that divide the day.

use std::fmt;

use crate::{
    canonical::Canonical, consensus::BlockRef, epochs::score::Ppm, id::Digest, policies::Revision,
    telemetry::credit::Interval, time::TimeMs,
};

/// Seconds of a day.
pub const DAY_S: u32 = 86_400;

/// A length that does not divide the day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{seconds} s does not divide a day of {DAY_S} s")]
pub struct NotADivisorOfTheDay {
    /// The refused length.
    pub seconds: u32,
}

/// The length of epochs or of settlement periods, in seconds; divides 86,400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeriodLength(u32);

impl PeriodLength {
    /// # Errors
    /// [`NotADivisorOfTheDay`] unless `seconds` divides 86,400.
    pub fn new(seconds: u32) -> Result<Self, NotADivisorOfTheDay> {
        if seconds > 0 && DAY_S.is_multiple_of(seconds) {
            Ok(Self(seconds))
        } else {
            Err(NotADivisorOfTheDay { seconds })
        }
    }
    pub fn seconds(self) -> u32 {
        self.0
    }
    /// The period that contains `at`.
    pub fn period_at(self, at: TimeMs) -> Period {
        let length = i64::from(self.0);
        Period { start_s: at.unix_s_floor().div_euclid(length) * length, length: self }
    }
}

/// An epoch or a settlement period: `[start, start + length)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    /// Start in Unix seconds; also the period's id.
    pub start_s: i64,
    /// How long it is.
    pub length: PeriodLength,
}

impl Period {
    /// First instant.
    pub fn start(self) -> TimeMs {
        TimeMs::from_unix_s(self.start_s)
    }
    /// First instant after it.
    pub fn end(self) -> TimeMs {
        TimeMs::from_unix_s(self.end_s())
    }
    /// First second after it.
    pub fn end_s(self) -> i64 {
        self.start_s.saturating_add(i64::from(self.length.0))
    }
    /// The one after.
    pub fn next(self) -> Self {
        Self { start_s: self.end_s(), ..self }
    }
    /// As an interval.
    pub fn interval(self) -> Interval {
        Interval { from: self.start(), to: self.end() }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start_s.fmt(f)
    }
}

/// What is kept of a closed epoch: one link of the chain of epochs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    pub epoch: Period,
    /// When it was closed.
    pub closed_at: TimeMs,
    /// The activations it was scored with.
    pub policy_revision: Revision,
    /// Version of the host's arithmetic.
    pub rules: u32,
    /// Nodes scored.
    pub nodes: u32,
    /// Of them eligible.
    pub eligible: u32,
    /// Nodes held back because their policy failed for them.
    pub held: u32,
    /// RFC 9162 root over the chunks' roots.
    pub root: Digest,
    /// Link of the epoch before; all zero for the first.
    pub previous_link: Digest,
    /// The block the votes refer to, pinned once; none until the chain could be asked.
    pub block: Option<BlockRef>,
    /// Share of the reports expected of the nodes that had arrived when the frame was made; none of
    /// epochs closed before it was counted. Not part of the link: it is said beside the result and
    /// changes none.
    pub completeness: Option<Ppm>,
}

impl EpochRecord {
    /// The hash that the next epoch names. The block is not part of it: it may be pinned later.
    pub fn link(&self) -> Digest {
        Digest::of(
            &Canonical::tagged("lucid/v1/epoch")
                .i64(self.epoch.start_s)
                .u32(self.epoch.length.seconds())
                .u64(self.policy_revision.0)
                .u32(self.rules)
                .u32(self.nodes)
                .u32(self.eligible)
                .u32(self.held)
                .fixed(&self.root.0)
                .fixed(&self.previous_link.0)
                .finish(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_contains_its_start_and_not_its_end() {
        let hour = PeriodLength::new(3600).unwrap();
        let period = hour.period_at(TimeMs(1_760_000_400_000));
        assert_eq!((period.start_s, period.end_s()), (1_760_000_400, 1_760_004_000));
        assert_eq!(hour.period_at(TimeMs(1_760_003_999_999)), period);
        assert_eq!(hour.period_at(TimeMs(1_760_004_000_000)), period.next());
        assert!(PeriodLength::new(7).is_err() && PeriodLength::new(0).is_err());
    }
}
