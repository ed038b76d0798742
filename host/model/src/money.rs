//! USDT in whole millionths. All arithmetic is checked: an overflow is an error, never a wrong
//! amount.

pub mod ledger;
pub mod merkle;
pub mod payout;
pub mod run;
pub mod settlement;
pub mod split;
pub mod tron;

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;

/// Digits of USDT after the point.
pub const USDT_SCALE: u32 = 6;

/// Why a text is not an amount, or a sum is not representable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number such as `12.5`.
    #[error("not a decimal amount")]
    NotADecimal,
    /// More than six digits after the point.
    #[error("more than {USDT_SCALE} digits after the point")]
    TooPrecise,
    /// Beyond what 64 bits of micro-USDT hold (about 9.2 trillion USDT).
    #[error("amount out of range")]
    OutOfRange,
}

/// An amount or a balance in micro-USDT; negative only for the accounts that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MicroUsdt(pub i64);

impl MicroUsdt {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// # Errors
    /// [`MoneyError::OutOfRange`] on overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_add(other.0).map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// # Errors
    /// [`MoneyError::OutOfRange`] on overflow.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.0.checked_sub(other.0).map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// # Errors
    /// [`MoneyError::OutOfRange`] on overflow.
    pub fn checked_neg(self) -> Result<Self, MoneyError> {
        self.0.checked_neg().map(Self).ok_or(MoneyError::OutOfRange)
    }

    /// # Errors
    /// [`MoneyError::OutOfRange`] if the sum does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// `self × ppm ÷ 1,000,000`, rounded down; for a non-negative amount.
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`] if the product does not fit.
    pub fn checked_mul_ppm_floor(self, ppm: u32) -> Result<Self, MoneyError> {
        let product =
            i128::from(self.0).checked_mul(i128::from(ppm)).ok_or(MoneyError::OutOfRange)?;
        i64::try_from(product.div_euclid(1_000_000)).map(Self).map_err(|_| MoneyError::OutOfRange)
    }

    /// The amount as a decimal with exactly six digits.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, USDT_SCALE)
    }

    /// # Errors
    /// [`MoneyError`] if the decimal has more than six significant digits after the point or is out
    /// of range.
    pub fn from_decimal(value: Decimal) -> Result<Self, MoneyError> {
        let value = value.normalize();
        if value.scale() > USDT_SCALE {
            return Err(MoneyError::TooPrecise);
        }
        let factor = 10_i128.pow(USDT_SCALE - value.scale());
        let micro = value.mantissa().checked_mul(factor).ok_or(MoneyError::OutOfRange)?;
        i64::try_from(micro).map(Self).map_err(|_| MoneyError::OutOfRange)
    }
}

/// Largest exponent that is read, either way: beyond it no amount of 64 bits can be meant.
const EXPONENT_MAX: i32 = 40;

impl MicroUsdt {
    /// Reads a number as JSON writes it, exponent included, as the exact decimal that it is:
    /// `5e-05` is 50 micro-USDT. For answers of other services only; our own API takes plain
    /// decimals.
    ///
    /// # Errors
    /// [`MoneyError`] if it is no JSON number, has more than six digits after the point, or is out
    /// of range.
    pub fn from_json_number(text: &str) -> Result<Self, MoneyError> {
        let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return text.parse() };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let size = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let complete = !whole.is_empty() && !unsigned.ends_with('.') && !size.is_empty();
        if !complete || ![whole, fraction, size].into_iter().all(digits) {
            return Err(MoneyError::NotADecimal);
        }
        let exponent: i32 = exponent.parse().map_err(|_| MoneyError::OutOfRange)?;
        if exponent.abs() > EXPONENT_MAX {
            return Err(MoneyError::OutOfRange);
        }
        // The point is moved in the text: no digit passes through a float.
        let moved = exponent.unsigned_abs() as usize;
        let zeros = "0".repeat(moved);
        let shifted = if exponent < 0 {
            let padded = format!("{zeros}{whole}");
            let (left, right) = padded.split_at(padded.len() - moved);
            format!("{}.{right}{fraction}", if left.is_empty() { "0" } else { left })
        } else {
            let padded = format!("{fraction}{zeros}");
            let (left, right) = padded.split_at(moved);
            format!("{whole}{left}.{}", if right.is_empty() { "0" } else { right })
        };
        format!("{}{shifted}", if unsigned.len() < mantissa.len() { "-" } else { "" }).parse()
    }
}

impl fmt::Display for MicroUsdt {
    /// Always six digits after the point: `12.500000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000)
    }
}

impl FromStr for MicroUsdt {
    type Err = MoneyError;
    /// Strict: digits, optionally a point and digits, optionally a leading minus. No exponent, no
    /// spaces, no separators, no plus; trailing zeros beyond six digits are the same amount and
    /// accepted.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) =
            unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
        let digits = |part: &str| {
            !part.is_empty() && part.len() <= 40 && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole) || fraction.is_some_and(|f| !digits(f)) {
            return Err(MoneyError::NotADecimal);
        }
        let fraction = fraction.unwrap_or("").trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(MoneyError::TooPrecise);
        }
        let micro =
            format!("{}{whole}{fraction:0<6}", if unsigned.len() < text.len() { "-" } else { "" });
        micro.parse().map(Self).map_err(|_| MoneyError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_decimals_are_amounts() {
        for (text, micro) in [
            ("0", 0),
            ("10", 10_000_000),
            ("10.0", 10_000_000),
            ("0.000001", 1),
            ("-2.5", -2_500_000),
            ("1.50000000", 1_500_000),
        ] {
            assert_eq!(text.parse(), Ok(MicroUsdt(micro)), "{text}");
        }
        for text in
            ["", ".", "1.", ".5", "1e3", "+1", " 1", "1 ", "1,5", "0x1", "١", "NaN", "--1", "1.2.3"]
        {
            assert_eq!(text.parse::<MicroUsdt>(), Err(MoneyError::NotADecimal), "{text}");
        }
        assert_eq!("0.0000001".parse::<MicroUsdt>(), Err(MoneyError::TooPrecise));
        assert_eq!("9223372036855".parse::<MicroUsdt>(), Err(MoneyError::OutOfRange));
    }

    #[test]
    fn a_json_number_with_an_exponent_is_the_exact_decimal() {
        for (text, micro) in [
            ("5e-05", 50),
            ("5E-5", 50),
            ("1e-06", 1),
            ("1.25e1", 12_500_000),
            ("1.25E+1", 12_500_000),
            ("12.5", 12_500_000),
            ("0.000125e2", 12_500),
            ("125000e-7", 12_500),
            ("1e12", 1_000_000_000_000_000_000),
            ("-2.5e0", -2_500_000),
            ("0e9", 0),
            ("9007199254740993e-06", 9_007_199_254_740_993),
        ] {
            assert_eq!(MicroUsdt::from_json_number(text), Ok(MicroUsdt(micro)), "{text}");
        }
        for text in [
            "", "e5", "1e", "1e+", "1e+-5", "1e++5", "1e--5", "1e5.0", "1.e5", ".5e1", "+1e1",
            "1e1e1", "1 e1", "1e 1", "0x1e1", "NaN", "--1e1",
        ] {
            assert_eq!(MicroUsdt::from_json_number(text), Err(MoneyError::NotADecimal), "{text}");
        }
        assert_eq!(MicroUsdt::from_json_number("1e-07"), Err(MoneyError::TooPrecise));
        assert_eq!(MicroUsdt::from_json_number("5.00000001e-05"), Err(MoneyError::TooPrecise));
        assert_eq!(MicroUsdt::from_json_number("1e13"), Err(MoneyError::OutOfRange));
        assert_eq!(MicroUsdt::from_json_number("1e999999999"), Err(MoneyError::OutOfRange));
    }

    proptest! {
        #[test]
        fn a_json_number_is_read_as_the_decimal_it_is(micro in any::<i32>(), exponent in -6_i32..6) {
            let text = format!("{micro}e{exponent}");
            let exact = Decimal::from_scientific(&text).unwrap();
            prop_assert_eq!(MicroUsdt::from_json_number(&text), MicroUsdt::from_decimal(exact), "{}", text);
        }

        #[test]
        fn an_amount_survives_its_text_and_its_decimal(micro in any::<i64>()) {
            let amount = MicroUsdt(micro);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            prop_assert_eq!(MicroUsdt::from_decimal(amount.to_decimal()), Ok(amount));
        }
    }
}
