//! USDT in whole millionths. All arithmetic is checked: an overflow is an error, never a wrong amount.

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
        let product = i128::from(self.0).checked_mul(i128::from(ppm)).ok_or(MoneyError::OutOfRange)?;
        i64::try_from(product.div_euclid(1_000_000)).map(Self).map_err(|_| MoneyError::OutOfRange)
    }

    /// The amount as a decimal with exactly six digits.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.0, USDT_SCALE)
    }

    /// # Errors
    /// [`MoneyError`] if the decimal has more than six significant digits after the point or is out of range.
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
    /// Strict: digits, optionally a point and digits, optionally a leading minus. No exponent, no spaces, no
    /// separators, no plus; trailing zeros beyond six digits are the same amount and accepted.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').map_or((unsigned, None), |(w, f)| (w, Some(f)));
        let digits = |part: &str| !part.is_empty() && part.len() <= 40 && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || fraction.is_some_and(|f| !digits(f)) {
            return Err(MoneyError::NotADecimal);
        }
        let fraction = fraction.unwrap_or("").trim_end_matches('0');
        if fraction.len() > 6 {
            return Err(MoneyError::TooPrecise);
        }
        let micro = format!("{}{whole}{fraction:0<6}", if unsigned.len() < text.len() { "-" } else { "" });
        micro.parse().map(Self).map_err(|_| MoneyError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_plain_decimals_are_amounts() {
        for (text, micro) in [("0", 0), ("10", 10_000_000), ("10.0", 10_000_000), ("0.000001", 1), ("-2.5", -2_500_000), ("1.50000000", 1_500_000)] {
            assert_eq!(text.parse(), Ok(MicroUsdt(micro)), "{text}");
        }
        for text in ["", ".", "1.", ".5", "1e3", "+1", " 1", "1 ", "1,5", "0x1", "١", "NaN", "--1", "1.2.3"] {
            assert_eq!(text.parse::<MicroUsdt>(), Err(MoneyError::NotADecimal), "{text}");
        }
        assert_eq!("0.0000001".parse::<MicroUsdt>(), Err(MoneyError::TooPrecise));
        assert_eq!("9223372036855".parse::<MicroUsdt>(), Err(MoneyError::OutOfRange));
    }

    proptest! {
        #[test]
        fn an_amount_survives_its_text_and_its_decimal(micro in any::<i64>()) {
            let amount = MicroUsdt(micro);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
            prop_assert_eq!(MicroUsdt::from_decimal(amount.to_decimal()), Ok(amount));
        }
    }
}
