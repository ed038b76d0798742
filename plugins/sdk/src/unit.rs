//! Whole numbers that know their unit.
//!
//! Every fact and every param crosses the boundary as an `i64`; these newtypes keep seconds from being
//! added to bytes. All arithmetic saturates or says that it overflowed, and rounding is in the name.

use core::fmt;

/// A whole number in a unit of the catalogue.
pub trait Unit: Copy {
    /// The unit as the catalogue spells it, e.g. `ppm`.
    const NAME: &'static str;
    /// Wraps the number that came over the boundary.
    fn from_raw(raw: i64) -> Self;
    /// The number as it goes over the boundary.
    fn raw(self) -> i64;
}

const MILLION: i64 = 1_000_000;

/// Products of numbers of this many bits fit a `u64`. That is nearly every call, and needs neither `i128`, which is a
/// library call in WebAssembly, nor rounding towards minus infinity. Seen as unsigned, a negative number has 64 bits.
const SMALL_BITS: u32 = 43;
const SMALL_PPM_BITS: u32 = 21;

// What rows call is inlined, and only its common case: a call costs a guest a check of its fuel and of its deadline, and a
// branch too many the accounting of one. One test decides between the common case and the rest.

#[inline(always)]
fn mul_ppm_floor(value: i64, ppm: i64) -> i64 {
    let (small, small_ppm) = (value.cast_unsigned(), ppm.cast_unsigned());
    if (small >> SMALL_BITS) | (small_ppm >> SMALL_PPM_BITS) == 0 {
        (small * small_ppm / MILLION.cast_unsigned()).cast_signed()
    } else {
        mul_div_floor(value, ppm, MILLION)
    }
}

#[inline(always)]
fn ratio_floor(part: i64, whole: i64) -> i64 {
    let small = part.cast_unsigned();
    if whole <= 0 {
        0
    } else if small >> SMALL_BITS == 0 {
        (small * MILLION.cast_unsigned() / whole.cast_unsigned()).cast_signed()
    } else {
        mul_div_floor(part, MILLION, whole)
    }
}

/// `part ÷ whole` for a part that is smaller than the whole.
#[inline(always)]
fn ratio_below_one(part: i64, whole: i64) -> i64 {
    let small = part.cast_unsigned();
    if small >> SMALL_BITS == 0 {
        (small * MILLION.cast_unsigned() / whole.cast_unsigned()).cast_signed()
    } else {
        mul_div_floor(part.max(0), MILLION, whole)
    }
}

#[inline(always)]
const fn saturating_add(a: i64, b: i64) -> i64 {
    if (a | b).cast_unsigned() >> 62 == 0 { a.wrapping_add(b) } else { saturating_add_wide(a, b) }
}

#[inline(always)]
const fn saturating_sub(a: i64, b: i64) -> i64 {
    if (a | b) >= 0 { a.wrapping_sub(b) } else { saturating_sub_wide(a, b) }
}

#[cold]
#[inline(never)]
const fn saturating_add_wide(a: i64, b: i64) -> i64 {
    a.saturating_add(b)
}

#[cold]
#[inline(never)]
const fn saturating_sub_wide(a: i64, b: i64) -> i64 {
    a.saturating_sub(b)
}

/// `a × b ÷ divisor` for a positive divisor, rounded down, saturating.
#[cold]
#[inline(never)]
fn mul_div_floor(a: i64, b: i64, divisor: i64) -> i64 {
    let wide = (i128::from(a) * i128::from(b)).div_euclid(i128::from(divisor));
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// Wraps a whole number in this unit.
            #[must_use]
            #[inline(always)]
            pub const fn new(value: i64) -> Self {
                Self(value)
            }

            /// The whole number in this unit.
            #[must_use]
            #[inline(always)]
            pub const fn get(self) -> i64 {
                self.0
            }

            /// Sum, held at the largest or smallest number that fits.
            #[must_use]
            #[inline(always)]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(saturating_add(self.0, other.0))
            }

            /// Difference, held at the largest or smallest number that fits.
            #[must_use]
            #[inline(always)]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(saturating_sub(self.0, other.0))
            }

            /// Sum, or `None` if it does not fit.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// Difference, or `None` if it does not fit.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(difference) => Some(Self(difference)),
                    None => None,
                }
            }

            /// `self × factor`, rounded down, saturating.
            #[must_use]
            #[inline(always)]
            pub fn mul_ppm_floor(self, factor: Ppm) -> Self {
                Self(mul_ppm_floor(self.0, factor.0))
            }

            /// `self ÷ whole` in millionths, rounded down, saturating; zero if `whole` is not positive.
            #[must_use]
            #[inline(always)]
            pub fn ratio_floor(self, whole: Self) -> Ppm {
                Ppm(ratio_floor(self.0, whole.0))
            }

            /// Like `ratio_floor`, held between 0 and 1 (1 000 000 ppm).
            #[must_use]
            #[inline(always)]
            pub fn share_floor(self, whole: Self) -> Ppm {
                // A whole is what most rows have, and needs no division.
                if whole.0 <= 0 {
                    Ppm::ZERO
                } else if self.0 >= whole.0 {
                    Ppm::ONE
                } else {
                    Ppm(ratio_below_one(self.0, whole.0))
                }
            }
        }

        impl Unit for $name {
            const NAME: &'static str = $unit;
            #[inline(always)]
            fn from_raw(raw: i64) -> Self {
                Self(raw)
            }
            #[inline(always)]
            fn raw(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

unit!(
    /// Millionths: 1 000 000 ppm is one whole.
    ///
    /// ```
    /// use lucid_policy_sdk::{Ppm, Seconds};
    /// let uptime = Seconds::new(2_340).share_floor(Seconds::new(3_600));
    /// assert_eq!(uptime, Ppm::new(650_000));
    /// assert_eq!(Ppm::new(400_000).mul_ppm_floor(uptime), Ppm::new(260_000));
    /// ```
    Ppm, "ppm"
);
unit!(
    /// Hundredths of a score point: 10 000 centi is a score of 100.
    Centi, "centi"
);
unit!(
    /// Millionths of a USDT.
    MicroUsdt, "micro-usdt"
);
unit!(
    /// Seconds.
    Seconds, "s"
);
unit!(
    /// Milliseconds; as an instant, Unix milliseconds.
    Millis, "ms"
);
unit!(
    /// Bytes; a GB is 10⁹ of them.
    Bytes, "bytes"
);
unit!(
    /// A number of things, or a flag that is 0 or 1.
    Count, "count"
);
unit!(
    /// Hundredths of a score point times seconds: what `score-seconds` is counted in.
    CentiSeconds, "centi·s"
);

impl Ppm {
    /// One whole.
    pub const ONE: Self = Self(MILLION);
}

impl Seconds {
    /// The same span in milliseconds, saturating.
    #[must_use]
    pub const fn to_millis(self) -> Millis {
        Millis(self.0.saturating_mul(1_000))
    }
}

impl Count {
    /// Whether a flag is set: anything but 0.
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_wide_products_round_down_alike() {
        let factor = Ppm::new(333_333);
        assert_eq!(Bytes::new(10).mul_ppm_floor(factor), Bytes::new(3));
        assert_eq!(Bytes::new(-10).mul_ppm_floor(factor), Bytes::new(-4));
        // Just above the bound up to which an i64 is enough.
        let wide = 1 << 43;
        assert_eq!(Bytes::new(wide).mul_ppm_floor(factor).get(), 2_932_028_075_371);
        assert_eq!(Bytes::new(wide - 1).mul_ppm_floor(factor).get(), 2_932_028_075_371);
    }

    #[test]
    fn a_product_that_does_not_fit_saturates() {
        assert_eq!(Bytes::new(i64::MAX).mul_ppm_floor(Ppm::new(2_000_000)).get(), i64::MAX);
        assert_eq!(Bytes::new(i64::MIN).mul_ppm_floor(Ppm::new(2_000_000)).get(), i64::MIN);
    }

    /// Around every bound at which another way of computing takes over.
    const EDGES: [i64; 27] = [
        i64::MIN,
        i64::MIN + 1,
        -(1 << 62),
        -(1 << 43),
        -1_000_001,
        -1_000_000,
        -3,
        -1,
        0,
        1,
        2,
        3_600,
        999_999,
        1_000_000,
        1_000_001,
        1 << 20,
        (1 << 21) - 1,
        1 << 21,
        (1 << 43) - 1,
        1 << 43,
        (1 << 43) + 1,
        (1 << 61) - 1,
        1 << 61,
        (1 << 62) - 1,
        1 << 62,
        i64::MAX - 1,
        i64::MAX,
    ];

    #[test]
    fn every_way_of_computing_gives_the_same() {
        let held = |wide: i128| i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX });
        let million = i128::from(MILLION);
        for (a, b) in EDGES.iter().flat_map(|a| EDGES.iter().map(move |b| (*a, *b))) {
            let (left, right) = (Bytes::new(a), Bytes::new(b));
            let product = held((i128::from(a) * i128::from(b)).div_euclid(million));
            let ratio = if b > 0 { held((i128::from(a) * million).div_euclid(i128::from(b))) } else { 0 };
            assert_eq!(left.mul_ppm_floor(Ppm::new(b)).get(), product, "{a} × {b}");
            assert_eq!(left.ratio_floor(right).get(), ratio, "{a} ÷ {b}");
            assert_eq!(left.share_floor(right).get(), ratio.clamp(0, MILLION), "{a} of {b}");
            assert_eq!(left.saturating_add(right).get(), a.saturating_add(b), "{a} + {b}");
            assert_eq!(left.saturating_sub(right).get(), a.saturating_sub(b), "{a} − {b}");
        }
    }

    #[test]
    fn a_ratio_to_nothing_is_nothing() {
        assert_eq!(Seconds::new(5).ratio_floor(Seconds::ZERO), Ppm::ZERO);
        assert_eq!(Seconds::new(5).ratio_floor(Seconds::new(-1)), Ppm::ZERO);
    }

    #[test]
    fn a_share_never_leaves_zero_to_one() {
        assert_eq!(Seconds::new(5).share_floor(Seconds::new(4)), Ppm::ONE);
        assert_eq!(Seconds::new(-5).share_floor(Seconds::new(4)), Ppm::ZERO);
        assert_eq!(Bytes::new(i64::MAX).share_floor(Bytes::new(i64::MAX)), Ppm::ONE);
    }
}
