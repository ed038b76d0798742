//! Made-up rows, the same on every machine.

use lucid_model::{
    epochs::facts::{
        Fact, OBSERVATION_FACTS, REGISTRATION_FACTS, REGISTRATION_TEXTS, SCORE_CLAIM_FACTS,
    },
    policies::{PolicyKind, RegistrationClaim},
    time::HOUR_MS,
};

use crate::loaded::LoadedPolicy;

/// Start of the first period that is tried, Unix seconds.
pub const EPOCH_S: i64 = 1_760_054_400;
const HOUR_S: u32 = 3_600;
const DAY_S: u32 = 86_400;

/// A function that takes rows or, one after another, registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `score`.
    Score,
    /// `weigh`.
    Weigh,
    /// `judge-registration`.
    Registration,
    /// `judge-observations`.
    Observations,
    /// `judge-score-claims`.
    ScoreClaims,
}

impl Call {
    /// A kind's calls.
    pub fn of(kind: PolicyKind) -> &'static [Self] {
        match kind {
            PolicyKind::Scoring => &[Self::Score],
            PolicyKind::Payout => &[Self::Weigh],
            PolicyKind::Validation => &[Self::Registration, Self::Observations, Self::ScoreClaims],
        }
    }

    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Weigh => "weigh",
            Self::Registration => "judge-registration",
            Self::Observations => "judge-observations",
            Self::ScoreClaims => "judge-score-claims",
        }
    }

    /// Length of the period it is tried with.
    pub fn period_s(self) -> u32 {
        if self == Self::Weigh { DAY_S } else { HOUR_S }
    }

    /// Rows in the order the call takes them: columns of a batch, or the catalogue's claims.
    pub fn rows(self, policy: &LoadedPolicy, count: usize) -> Vec<Vec<i64>> {
        let mut random = Random(0x6c75_6369_6421);
        let mut row = || match self {
            Self::Score | Self::Weigh => policy
                .identity()
                .facts
                .iter()
                .map(|fact| self.node_fact(*fact, &mut random))
                .collect(),
            Self::Registration => REGISTRATION_FACTS
                .iter()
                .map(|fact| claim_fact(fact.name, fact.default, &mut random))
                .collect(),
            Self::Observations => OBSERVATION_FACTS
                .iter()
                .map(|fact| claim_fact(fact.name, fact.default, &mut random))
                .collect(),
            Self::ScoreClaims => SCORE_CLAIM_FACTS
                .iter()
                .map(|fact| claim_fact(fact.name, fact.default, &mut random))
                .collect(),
        };
        (0..count).map(|_| row()).collect()
    }

    /// Within the catalogue's range and such as a period can bring forth: nothing lasts longer than
    /// the period.
    fn node_fact(self, fact: Fact, random: &mut Random) -> i64 {
        let info = fact.info();
        let period = i64::from(self.period_s());
        match fact {
            Fact::PeriodS => period,
            Fact::ObservedS | Fact::PresenceS => random.between(info.min, period, info.default),
            _ => random.between(info.min, info.max, info.default),
        }
    }
}

fn claim_fact(name: &str, default: i64, random: &mut Random) -> i64 {
    let now_ms = EPOCH_S.saturating_mul(1_000);
    match name {
        "now-ms" => now_ms,
        "start-ms" | "end-ms" | "activated-ms" => {
            random.between(now_ms.saturating_sub(HOUR_MS), now_ms, default)
        }
        "hardware-told" | "by-observer" => random.between(0, 1, default),
        "signature-ok" => random.between(-1, 1, default),
        "age-ms" => random.between(-HOUR_MS, HOUR_MS.saturating_mul(48), default),
        "port" => random.between(0, 65_535, default),
        "cores" => random.between(0, 1_024, default),
        "claimed-centi" | "receipt-centi" => random.between(-1, 10_000, default),
        "memory-bytes" | "storage-bytes" => random.between(0, 1_000_000_000_000_000, default),
        _ => random.between(0, 1_000_000, default),
    }
}

/// A registration with the row's facts and texts that follow from them.
pub fn registration(row: &[i64]) -> RegistrationClaim {
    let variants: [[Option<&str>; REGISTRATION_TEXTS.len()]; 3] = [
        [None; REGISTRATION_TEXTS.len()],
        [Some("node"), Some("192.0.2.1"), Some("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"), Some("00")],
        [Some("\u{1f980}"), Some("::"), Some(""), Some("not hex")],
    ];
    let place = row.first().map_or(0, |port| port.unsigned_abs() % 3);
    let texts = usize::try_from(place)
        .ok()
        .and_then(|place| variants.get(place))
        .into_iter()
        .flatten()
        .map(|text| text.map(str::to_owned))
        .collect();
    RegistrationClaim { facts: row.to_vec(), texts }
}

/// SplitMix64: good enough to vary rows, and a few lines.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The ends and the default often, since that is where policies go wrong; else anything
    /// between, small as often as large.
    fn between(&mut self, min: i64, max: i64, default: i64) -> i64 {
        let width = max.abs_diff(min);
        match self.next() % 8 {
            0 => min,
            1 => max,
            2 => default.clamp(min, max),
            _ => {
                let magnitude =
                    width >> (self.next() % u64::from((u64::BITS - width.leading_zeros()).max(1)));
                let offset = self.next() % magnitude.saturating_add(1);
                min.saturating_add_unsigned(offset)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_values_stay_in_range_and_reach_its_ends() {
        let mut random = Random(1);
        let values: Vec<_> = (0..1_000).map(|_| random.between(-3, 1_000_000, 7)).collect();
        assert!(values.iter().all(|v| (-3..=1_000_000).contains(v)));
        assert!(values.contains(&-3) && values.contains(&1_000_000) && values.contains(&7));
        assert!(
            values.iter().filter(|v| **v < 1_000).count() > 300,
            "small values are as likely as large ones"
        );
        assert_eq!(random.between(5, 5, 5), 5);
    }
}
