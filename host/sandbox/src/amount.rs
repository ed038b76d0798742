//! Exact amounts: a decimal string in, micro-USDT inside, a decimal string out; never a float.

const MICRO_PER_USDT: i64 = 1_000_000;
const FRACTION_DIGITS_MAX: usize = 6;

/// An amount in micro-USDT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MicroUsdt(i64);

impl MicroUsdt {
    /// Reads `12`, `12.5` or `12.500000`; refuses signs, exponents, blanks, leading zeros, more
    /// than six fraction digits, zero, and what an `i64` cannot hold.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = match text.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let padded_whole = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || padded_whole || !digits(whole) || !digits(fraction) {
            return None;
        }
        if fraction.len() > FRACTION_DIGITS_MAX {
            return None;
        }
        let whole: i64 = whole.parse().ok()?;
        let fraction: i64 = format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().ok()?;
        let micro = whole.checked_mul(MICRO_PER_USDT)?.checked_add(fraction)?;
        (micro > 0).then_some(Self(micro))
    }

    pub(crate) fn from_micro(micro: i64) -> Self {
        Self(micro)
    }

    pub(crate) fn micro(self) -> i64 {
        self.0
    }

    /// The smallest amount that is not this one, for answers that lie about it.
    pub(crate) fn neighbour(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(self.0 - 1))
    }
}

impl std::fmt::Display for MicroUsdt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0 / MICRO_PER_USDT, self.0 % MICRO_PER_USDT);
        write!(formatter, "{whole}.{fraction:06}")
    }
}

#[cfg(test)]
mod tests {
    use super::MicroUsdt;

    #[test]
    fn amounts_are_read_to_the_last_digit() {
        for (text, micro) in [
            ("1", 1_000_000),
            ("0.000001", 1),
            ("0.1", 100_000),
            ("12.345678", 12_345_678),
            ("9007199254.740993", 9_007_199_254_740_993),
            ("9223372036854.775807", i64::MAX),
        ] {
            assert_eq!(MicroUsdt::parse(text).map(MicroUsdt::micro), Some(micro), "{text}");
        }
    }

    #[test]
    fn amounts_that_are_not_exact_positive_decimals_are_refused() {
        for text in [
            "",
            "0",
            "0.000000",
            "-1",
            "+1",
            "1e3",
            "1.",
            ".5",
            "01",
            " 1",
            "1 ",
            "1,5",
            "0.0000001",
            "9223372036854.775808",
            "99999999999999999999",
            "1.2.3",
            "NaN",
            "١",
        ] {
            assert_eq!(MicroUsdt::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_with_six_digits() {
        assert_eq!(MicroUsdt::from_micro(12_500_000).to_string(), "12.500000");
        assert_eq!(MicroUsdt::from_micro(1).to_string(), "0.000001");
    }
}
