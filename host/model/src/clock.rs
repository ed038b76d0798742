//! Whether the wall clock can be trusted: it is held against a clock that nobody sets.
//!
//! A *line* says what the wall clock has to show at any instant of the steady clock. While both
//! agree, the wall clock is the time, and the line follows it. Where they do not, the line goes on
//! as the service's time, so that nothing falls due early, until both agree again or a person
//! accepts the wall clock (decision 45).

use std::{fmt, time::Duration};

use crate::time::TimeMs;

/// NTP may correct this much within [`FOLLOWED_EVERY_MS`]; more is a wall clock that somebody
/// moved. Far below the time that a close waits for reports.
pub const STEP_MAX_MS: i64 = 10_000;
/// The line follows the wall clock this often, so that small corrections never add up to a fault.
pub const FOLLOWED_EVERY_MS: i64 = 60_000;
/// After a reboot nothing but the records says what time it is: a service may have been off for a
/// year.
pub const AWAY_MS_MAX: i64 = 366 * 86_400_000;
/// 2024-01-01: no clock that shows an earlier time is right, whatever the store knows.
pub const EARLIEST: TimeMs = TimeMs(1_704_067_200_000);

/// What a service that trusted its clock noted down, for its next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockMark {
    /// Which start of the machine this was in.
    pub boot: String,
    /// Milliseconds since that start.
    pub since_boot_ms: i64,
    /// The time.
    pub wall: TimeMs,
    /// A person accepted that records up to this instant are from a clock that was wrong.
    pub records_accepted: Option<TimeMs>,
}

/// Why the wall clock is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockFault {
    /// It was moved by this many milliseconds while the machine ran.
    Moved {
        /// Below zero: back.
        by_ms: i64,
    },
    /// It shows a time before the newest record, or before this software existed.
    Behind {
        /// The least that it may show.
        least: TimeMs,
    },
    /// It shows a time long after the newest record.
    Ahead {
        /// The newest record.
        last: TimeMs,
    },
    /// It is trusted, and an epoch that is already closed ends later.
    EpochAhead {
        /// When that epoch ends.
        end: TimeMs,
    },
}

impl ClockFault {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Moved { .. } => "moved",
            Self::Behind { .. } => "behind",
            Self::Ahead { .. } => "ahead",
            Self::EpochAhead { .. } => "epoch_ahead",
        }
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { by_ms } => {
                let (by, way) = (
                    Duration::from_secs((by_ms.unsigned_abs() + 500) / 1_000),
                    if *by_ms < 0 { "back" } else { "forward" },
                );
                write!(
                    f,
                    "the wall clock was moved {way} by {} s while the machine ran; at most {} s are NTP's",
                    by.as_secs(),
                    STEP_MAX_MS / 1_000
                )
            }
            Self::Behind { least } => {
                write!(f, "the wall clock shows a time before {least}, the least that it can be")
            }
            Self::Ahead { last } => {
                write!(
                    f,
                    "the wall clock shows a time more than {} days after the newest record, of {last}",
                    AWAY_MS_MAX / 86_400_000
                )
            }
            Self::EpochAhead { end } => write!(
                f,
                "the newest closed epoch ends in the future, at {end}: no epoch can be closed before"
            ),
        }
    }
}

/// What the clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The service's time.
    pub now: TimeMs,
    /// Why the wall clock is not trusted, if it is not.
    pub fault: Option<ClockFault>,
    /// Whether `now` is the time, and not only the least that it can be.
    pub is_exact: bool,
}

/// What the wall clock has to show.
#[derive(Debug, Clone, Copy)]
struct Line {
    wall: TimeMs,
    steady_ms: i64,
    /// How far ahead of it the wall clock may be.
    ahead_ms_max: i64,
}

/// Holds the wall clock against the steady one. Until [`ClockWatch::begin`] it believes the wall
/// clock.
#[derive(Debug, Default)]
pub struct ClockWatch {
    line: Option<Line>,
    /// The newest record, as of the start.
    newest_record: Option<TimeMs>,
    /// When the newest closed epoch ends.
    epoch_end: Option<TimeMs>,
    records_accepted: Option<TimeMs>,
}

impl ClockWatch {
    /// Begins to watch, by what is known of the time before this process: the newest record in the
    /// store, and the mark of the last process on this machine. A mark of the same boot says
    /// exactly what time it is.
    pub fn begin(
        &mut self,
        newest_record: Option<TimeMs>,
        mark: Option<&ClockMark>,
        boot: &str,
        steady_ms: i64,
    ) {
        self.records_accepted = mark.and_then(|mark| mark.records_accepted);
        self.newest_record =
            newest_record.filter(|at| self.records_accepted.is_none_or(|accepted| *at > accepted));
        let exact = mark.filter(|mark| mark.boot == boot && mark.since_boot_ms <= steady_ms);
        let known = self.newest_record.max(mark.map(|mark| mark.wall)).filter(|at| *at > EARLIEST);
        self.line = Some(match (exact, known) {
            (Some(mark), _) => Line {
                wall: mark.wall.plus_ms(steady_ms - mark.since_boot_ms),
                steady_ms,
                ahead_ms_max: STEP_MAX_MS,
            },
            (None, Some(last)) => Line { wall: last, steady_ms, ahead_ms_max: AWAY_MS_MAX },
            (None, None) => Line { wall: EARLIEST, steady_ms, ahead_ms_max: i64::MAX },
        });
    }

    /// Notes when the newest closed epoch ends.
    pub fn note_epoch(&mut self, end: TimeMs) {
        self.epoch_end = Some(end);
    }

    /// What the clocks say now.
    pub fn read(&mut self, wall: TimeMs, steady_ms: i64) -> Reading {
        let Some(line) = self.line else {
            return Reading { now: wall, fault: None, is_exact: true };
        };
        let expected = line.at(steady_ms);
        let (ahead_ms, is_exact) = (wall.ms_since(expected), line.ahead_ms_max == STEP_MAX_MS);
        if (-STEP_MAX_MS..=line.ahead_ms_max).contains(&ahead_ms) {
            if !is_exact || steady_ms - line.steady_ms >= FOLLOWED_EVERY_MS {
                self.line = Some(Line::of(wall, steady_ms));
            }
            return Reading { now: wall, fault: self.epoch_ahead(wall), is_exact: true };
        }
        let fault = match (is_exact, ahead_ms < 0) {
            (true, _) => ClockFault::Moved { by_ms: ahead_ms },
            (false, true) => ClockFault::Behind { least: line.wall },
            (false, false) => ClockFault::Ahead { last: line.wall },
        };
        Reading { now: expected, fault: Some(fault), is_exact }
    }

    /// A person, or a clock that is independent of this one, says that the wall clock is right.
    pub fn accept(&mut self, wall: TimeMs, steady_ms: i64) {
        self.line = Some(Line::of(wall, steady_ms));
        self.records_accepted = self
            .records_accepted
            .max(self.newest_record)
            .max(self.epoch_end.filter(|end| *end > wall));
    }

    /// What the next start has to know, while the wall clock is trusted.
    pub fn mark(&mut self, boot: &str, wall: TimeMs, steady_ms: i64) -> Option<ClockMark> {
        let reading = self.read(wall, steady_ms);
        let is_trusted = !matches!(
            reading.fault,
            Some(ClockFault::Moved { .. } | ClockFault::Behind { .. } | ClockFault::Ahead { .. })
        );
        let mark = || ClockMark {
            boot: boot.to_owned(),
            since_boot_ms: steady_ms,
            wall,
            records_accepted: self.records_accepted,
        };
        (self.line.is_some() && is_trusted).then(mark)
    }

    fn epoch_ahead(&self, now: TimeMs) -> Option<ClockFault> {
        let end = self.epoch_end.filter(|end| end.ms_since(now) > STEP_MAX_MS)?;
        let is_accepted = self.records_accepted.is_some_and(|accepted| end <= accepted);
        (!is_accepted).then_some(ClockFault::EpochAhead { end })
    }
}

impl Line {
    fn of(wall: TimeMs, steady_ms: i64) -> Self {
        Self { wall, steady_ms, ahead_ms_max: STEP_MAX_MS }
    }

    fn at(self, steady_ms: i64) -> TimeMs {
        self.wall.plus_ms(steady_ms.saturating_sub(self.steady_ms).max(0))
    }
}

#[cfg(test)]
mod tests;
