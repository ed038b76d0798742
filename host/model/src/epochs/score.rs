//! The PoOT score: integers from end to end, rounded once.

use std::{fmt, str::FromStr};

/// One million: a ratio of 1 in parts per million.
pub const PPM: u32 = 1_000_000;

/// The version of this module's arithmetic ("rules"), named by every receipt; a change of a formula
/// is a new number and keeps the old code for replay.
pub const RULES_VERSION: u32 = 1;

/// A ratio or multiplier in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ppm(pub u32);

impl Ppm {
    /// `part ÷ whole` rounded down, at most 1; 0 if `whole` is 0.
    pub fn ratio_floor(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self(0);
        }
        let ratio = u128::from(part) * u128::from(PPM) / u128::from(whole);
        Self(u32::try_from(ratio).map_or(PPM, |r| r.min(PPM)))
    }
}

/// A score as it is shown: hundredths, 0–10000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ScoreCenti(pub u32);

/// The largest score: 100.00.
pub const SCORE_CENTI_MAX: u32 = 10_000;

impl fmt::Display for ScoreCenti {
    /// Always two digits after the point: `87.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// A text that is not a score from 0 to 100.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a score between 0 and 100")]
pub struct NotAScore;

impl FromStr for ScoreCenti {
    type Err = NotAScore;
    /// A plain decimal from 0 to 100, rounded half-even to two digits.
    fn from_str(text: &str) -> Result<Self, NotAScore> {
        use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
        let value: Decimal = text.parse().map_err(|_| NotAScore)?;
        let centi = (value * Decimal::ONE_HUNDRED)
            .round_dp_with_strategy(0, RoundingStrategy::MidpointNearestEven);
        match centi.to_u32() {
            Some(centi) if centi <= SCORE_CENTI_MAX => Ok(Self(centi)),
            _ => Err(NotAScore),
        }
    }
}

/// A score before clamping, in hundredths: what payout policies see, so that saturation hides no
/// difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RawCenti(pub u32);

impl RawCenti {
    /// The score that is shown and voted: at most 100.00.
    pub fn clamp(self) -> ScoreCenti {
        ScoreCenti(self.0.min(SCORE_CENTI_MAX))
    }
}

/// `raw = 100 × credited ÷ period × POOT_SCORE_MULTIPLIER × multiplier`, in u128, rounded once,
/// half-even, to hundredths. Saturates at `u32::MAX` hundredths, far above what any admissible
/// multiplier reaches.
pub fn raw_score_round_half_even(
    credited_s: u32,
    period_s: u32,
    score_multiplier: Ppm,
    policy_multiplier: Ppm,
) -> RawCenti {
    if period_s == 0 {
        return RawCenti(0);
    }
    let numerator = 10_000
        * u128::from(credited_s)
        * u128::from(score_multiplier.0)
        * u128::from(policy_multiplier.0);
    let denominator = u128::from(period_s) * u128::from(PPM) * u128::from(PPM);
    RawCenti(u32::try_from(div_round_half_even(numerator, denominator)).unwrap_or(u32::MAX))
}

fn div_round_half_even(numerator: u128, denominator: u128) -> u128 {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    match (remainder * 2).cmp(&denominator) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + quotient % 2,
    }
}

/// The contract's five factors: each one's contribution, weight × value, in millionths; together at
/// most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Factors {
    /// How much of the period was observed.
    pub observation_time: Ppm,
    /// Quality of the sessions.
    pub session_quality: Ppm,
    /// Share of the active time in which the node was present.
    pub uptime: Ppm,
    /// Head-room of CPU, memory and disk.
    pub resource_efficiency: Ppm,
    /// Traffic as observers saw it.
    pub network_performance: Ppm,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_score_is_rounded_once_and_half_even() {
        let raw = |credited, period, multiplier| {
            raw_score_round_half_even(credited, period, Ppm(1_500_000), Ppm(multiplier)).0
        };
        assert_eq!(raw(3600, 3600, 1_000_000), 15_000);
        assert_eq!(raw(1800, 3600, 1_000_000), 7_500);
        assert_eq!(raw(1, 3600, 1_000_000), 4, "4.1666 hundredths");
        assert_eq!(raw(3, 20_000, 1_000_000), 2, "2.25");
        let one =
            |credited, period| raw_score_round_half_even(credited, period, Ppm(PPM), Ppm(PPM)).0;
        assert_eq!(one(1, 20_000), 0, "0.5 goes to even");
        assert_eq!(one(3, 20_000), 2, "1.5 goes to even");
        assert_eq!(raw(3600, 3600, 1_000_000).min(SCORE_CENTI_MAX), RawCenti(15_000).clamp().0);
    }

    #[test]
    fn a_score_reads_and_writes_two_digits() {
        assert_eq!(ScoreCenti(8750).to_string(), "87.50");
        assert_eq!("87.5".parse(), Ok(ScoreCenti(8750)));
        assert_eq!("87.505".parse(), Ok(ScoreCenti(8750)));
        assert!(
            "100.01".parse::<ScoreCenti>().is_err()
                && "-1".parse::<ScoreCenti>().is_err()
                && "x".parse::<ScoreCenti>().is_err()
        );
    }

    proptest! {
        #[test]
        fn more_credit_never_lowers_a_score(credited in 0_u32..86_400, period in 1_u32..=86_400, multiplier in 0_u32..=10_000_000) {
            let at = |c| raw_score_round_half_even(c, period, Ppm(1_500_000), Ppm(multiplier));
            prop_assert!(at(credited) <= at(credited + 1));
        }
    }
}
