//! Keeps the figures of a machine within what the service takes: one that is beyond would have the
//! whole registration, or the whole report, refused.

use std::collections::BTreeSet;

/// Byte counts, counters and times at the service end here.
pub(super) const NUMBER_MAX: u64 = i64::MAX.unsigned_abs();

/// A figure that is reported as less than it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutOfRange {
    pub(crate) figure: &'static str,
    pub(crate) value: u64,
    pub(crate) limit: u64,
}

/// The figures of one run.
#[derive(Debug, Default)]
pub(super) struct Figures {
    known: BTreeSet<&'static str>,
    fresh: Vec<OutOfRange>,
}

impl Figures {
    /// The value, or the limit in its place.
    pub(super) fn within(&mut self, figure: &'static str, value: u64, limit: u64) -> u64 {
        if value > limit && self.known.insert(figure) {
            self.fresh.push(OutOfRange { figure, value, limit });
        }
        value.min(limit)
    }

    /// Those that were out of range for the first time since this was last asked.
    pub(super) fn take_out_of_range(&mut self) -> Vec<OutOfRange> {
        std::mem::take(&mut self.fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_beyond_the_limit_is_the_limit_and_said_once() {
        let mut figures = Figures::default();
        assert_eq!(figures.within("uptime", 7, NUMBER_MAX), 7);
        assert_eq!(figures.take_out_of_range(), []);
        for _ in 0..2 {
            assert_eq!(figures.within("storage_bytes", u64::MAX, NUMBER_MAX), NUMBER_MAX);
        }
        assert_eq!(
            figures.take_out_of_range(),
            [OutOfRange { figure: "storage_bytes", value: u64::MAX, limit: NUMBER_MAX }]
        );
        assert_eq!(figures.take_out_of_range(), []);
    }
}
