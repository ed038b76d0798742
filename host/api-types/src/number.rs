//! Numbers that are written digit by digit: JSON numbers that never were a float.

use std::fmt;

use lucid_model::{
    epochs::score::{Ppm, RawCenti, ScoreCenti},
    money::MicroUsdt,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A JSON number with exactly these digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactNumber(String);

impl ExactNumber {
    /// `part ÷ 10^digits`, without trailing zeros.
    fn shortest(part: impl Into<u64>, digits: u32) -> Self {
        let part = part.into();
        let whole = 10_u64.saturating_pow(digits).max(1);
        let width = usize::try_from(digits).unwrap_or(0);
        let text = format!("{}.{:0width$}", part / whole, part % whole);
        Self(text.trim_end_matches('0').trim_end_matches('.').to_owned())
    }
    /// A ratio as percent: 0–100 with up to four digits after the point.
    pub fn percent(ratio: Ppm) -> Self {
        Self::shortest(ratio.0, 4)
    }
    /// A ratio as percent, rounded down: 0–100 with up to two digits after the point.
    pub fn percent_floor(ratio: Ppm) -> Self {
        Self::shortest(ratio.0 / 100, 2)
    }
    /// A ratio as it is: 0–1 with up to six digits after the point.
    pub fn ratio(ratio: Ppm) -> Self {
        Self::shortest(ratio.0, 6)
    }
    /// Seconds as hours, rounded down: up to two digits after the point.
    pub fn hours_floor(seconds: u64) -> Self {
        Self::shortest(seconds / 36, 2)
    }
    /// A whole number.
    pub fn whole(number: u32) -> Self {
        Self(number.to_string())
    }
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ScoreCenti> for ExactNumber {
    /// Always two digits after the point.
    fn from(score: ScoreCenti) -> Self {
        Self(score.to_string())
    }
}

impl From<MicroUsdt> for ExactNumber {
    /// Always six digits after the point.
    fn from(amount: MicroUsdt) -> Self {
        Self(amount.to_string())
    }
}

impl fmt::Display for ExactNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ExactNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExactNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(D::Error::custom("not a number"))
        }
    }
}

impl PartialSchema for ExactNumber {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .description(Some("A decimal, written exactly."))
            .into()
    }
}

impl ToSchema for ExactNumber {}

/// An unclamped score as text with two digits after the point.
pub fn raw_score(raw: RawCenti) -> String {
    format!("{}.{:02}", raw.0 / 100, raw.0 % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_with_its_own_digits() {
        let json = |number: ExactNumber| serde_json::to_string(&number).unwrap();
        assert_eq!(json(MicroUsdt(123_456_789_012_345_678).into()), "123456789012.345678");
        assert_eq!(json(MicroUsdt(1).into()), "0.000001");
        assert_eq!(json(ScoreCenti(8750).into()), "87.50");
        assert_eq!(json(ExactNumber::percent(Ppm(123_456))), "12.3456");
        assert_eq!(json(ExactNumber::percent(Ppm(1_000_000))), "100");
        assert_eq!(json(ExactNumber::percent(Ppm(0))), "0");
        assert_eq!(json(ExactNumber::ratio(Ppm(500_000))), "0.5");
        assert_eq!(raw_score(RawCenti(15_005)), "150.05");
    }

    #[test]
    fn a_number_is_read_with_its_own_digits() {
        let number: ExactNumber = serde_json::from_str("123456789012.345678").unwrap();
        assert_eq!(number.as_str(), "123456789012.345678");
        assert!(serde_json::from_str::<ExactNumber>("\"1\"").is_err());
    }
}
