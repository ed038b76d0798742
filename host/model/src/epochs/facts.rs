//! The catalogue of facts: everything that is known of a node in an epoch or a settlement period,
//! as whole numbers. `wit/README.md` documents it; a test keeps the two equal.

/// Kinds of policy that may name a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Scoring and payout policies.
    Both,
    /// Scoring policies only: known of an epoch, not of a settlement period.
    Scoring,
    /// Payout policies only: known of a settlement period, not of an epoch.
    Payout,
}

/// One fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactInfo {
    /// Kebab-case name.
    pub name: &'static str,
    /// `s`, `ppm`, `bytes`, `count`, `centi`, `ms`.
    pub unit: &'static str,
    /// Who may name it.
    pub used_by: Use,
    /// Smallest value a policy sees.
    pub min: i64,
    /// Largest value a policy sees.
    pub max: i64,
    /// Value when nothing is known.
    pub default: i64,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $unit:literal, $used_by:ident, $min:literal ..= $max:literal, $default:literal;)*) => {
        /// A fact of a node. New ones are added at the end, so that the places of the others stay.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fact { $($(#[$doc])* $variant,)* }

        impl Fact {
            /// Every fact, in the order of frames.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Name, unit, range and default.
            pub fn info(self) -> FactInfo {
                match self {
                    $(Self::$variant => FactInfo { name: $name, unit: $unit, used_by: Use::$used_by, min: $min, max: $max, default: $default },)*
                }
            }
            /// The fact of a name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

facts! {
    /// Credited seconds.
    ObservedS = "observed-s", "s", Both, 0..=86_400, 0;
    /// Witnessed seconds.
    PresenceS = "presence-s", "s", Both, 0..=86_400, 0;
    /// Length of the period.
    PeriodS = "period-s", "s", Both, 1..=86_400, 3_600;
    /// Credited seconds in the eligibility window.
    WindowObservedS = "window-observed-s", "s", Both, 0..=2_678_400, 0;
    /// Presence ÷ active time.
    UptimePpm = "uptime-ppm", "ppm", Both, 0..=1_000_000, 0;
    /// Session quality as observers saw it.
    QualityPpm = "quality-ppm", "ppm", Both, 0..=1_000_000, 500_000;
    /// Mean CPU usage.
    CpuPpm = "cpu-ppm", "ppm", Both, 0..=1_000_000, 500_000;
    /// Mean memory usage.
    MemoryPpm = "memory-ppm", "ppm", Both, 0..=1_000_000, 500_000;
    /// Mean disk usage.
    DiskPpm = "disk-ppm", "ppm", Both, 0..=1_000_000, 500_000;
    /// Traffic as observers saw it.
    NetworkBytes = "network-bytes", "bytes", Both, 0..=1_000_000_000_000_000, 0;
    /// Accepted sessions.
    Sessions = "sessions", "count", Both, 0..=1_000_000, 0;
    /// Seconds since registration.
    AgeS = "age-s", "s", Both, 0..=3_155_760_000, 0;
    /// Score of the epoch before.
    PreviousScoreCenti = "previous-score-centi", "centi", Both, 0..=10_000, 0;
    /// Whether the node may earn and vote.
    Eligible = "eligible", "count", Both, 0..=1, 0;
    /// CPU cores as registered.
    Cores = "cores", "count", Both, 0..=1_024, 0;
    /// Memory as registered.
    MemoryBytes = "memory-bytes", "bytes", Both, 0..=1_000_000_000_000_000, 0;
    /// Storage as registered.
    StorageBytes = "storage-bytes", "bytes", Both, 0..=1_000_000_000_000_000, 0;
    /// Live nodes of the owner.
    NodesSameOwner = "nodes-same-owner", "count", Both, 1..=1_000_000, 1;
    /// Live nodes at the address.
    NodesSameIp = "nodes-same-ip", "count", Both, 1..=1_000_000, 1;
    /// Mean unclamped score of the period's epochs.
    RawScoreCenti = "raw-score-centi", "centi", Payout, 0..=1_000_000_000, 0;
    /// Σ unclamped score × credited seconds.
    ScoreSeconds = "score-seconds", "centi·s", Payout, 0..=9_000_000_000_000, 0;
    /// Epochs the node was scored in.
    EpochsScored = "epochs-scored", "count", Payout, 0..=86_400, 0;
    /// Live nodes in the address's /24, or /64 of IPv6.
    NodesSameSubnet = "nodes-same-subnet", "count", Both, 1..=1_000_000, 1;
    /// Live nodes that are paid to the wallet.
    NodesSameWallet = "nodes-same-wallet", "count", Both, 1..=1_000_000, 1;
    /// Closed epochs in a row, up to the one before, in which the node was eligible.
    StreakEpochs = "streak-epochs", "count", Scoring, 0..=1_000_000, 0;
    /// Samples of the period that arrived.
    Samples = "samples", "count", Scoring, 0..=1_000_000, 0;
    /// Seconds of the period in which the node was active.
    ActiveS = "active-s", "s", Scoring, 0..=86_400, 0;
}

/// How many facts there are.
pub const FACT_COUNT: usize = Fact::ALL.len();

/// All facts of one node; starts with the defaults, clamps what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactRow([i64; FACT_COUNT]);

impl Default for FactRow {
    fn default() -> Self {
        let mut row = [0; FACT_COUNT];
        row.iter_mut().zip(Fact::ALL).for_each(|(slot, fact)| *slot = fact.info().default);
        Self(row)
    }
}

impl FactRow {
    /// Sets a fact, clamped to its range.
    pub fn set(&mut self, fact: Fact, value: i64) {
        let info = fact.info();
        if let Some(slot) = self.0.get_mut(fact as usize) {
            *slot = value.clamp(info.min, info.max);
        }
    }
    /// [`FactRow::set`] of an unsigned value.
    pub fn set_u64(&mut self, fact: Fact, value: u64) {
        self.set(fact, i64::try_from(value).unwrap_or(i64::MAX));
    }
    /// A fact.
    pub fn get(&self, fact: Fact) -> i64 {
        self.0.get(fact as usize).copied().unwrap_or_default()
    }
}

/// The sum of a column, saturating, as policies see it in `totals`.
pub fn total_saturating(column: &[i64]) -> i64 {
    column.iter().fold(0, |sum, value| sum.saturating_add(*value))
}

/// Facts of a registration, an observation or a score claim: name and default, in the order of the
/// values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimFact {
    /// Kebab-case name.
    pub name: &'static str,
    /// Value when it was not sent.
    pub default: i64,
}

const fn claim(name: &'static str, default: i64) -> ClaimFact {
    ClaimFact { name, default }
}

/// Whole-number facts of a registration.
pub const REGISTRATION_FACTS: [ClaimFact; 7] = [
    claim("port", 0),
    claim("hardware-told", 0),
    claim("cores", 0),
    claim("memory-bytes", 0),
    claim("storage-bytes", 0),
    claim("nodes-same-owner", 0),
    claim("nodes-same-ip", 0),
];

/// Texts of a registration.
pub const REGISTRATION_TEXTS: [&str; 4] = ["name", "ip-address", "wallet-address", "public-key"];

/// Facts of an observation session.
pub const OBSERVATION_FACTS: [ClaimFact; 9] = [
    claim("start-ms", 0),
    claim("end-ms", 0),
    claim("now-ms", 0),
    claim("activated-ms", 0),
    claim("quality-ppm", 0),
    claim("cpu-ppm", 0),
    claim("memory-ppm", 0),
    claim("disk-ppm", 0),
    claim("by-observer", 0),
];

/// Facts of a score claim.
pub const SCORE_CLAIM_FACTS: [ClaimFact; 4] = [
    claim("claimed-centi", 0),
    claim("receipt-centi", -1),
    claim("age-ms", 0),
    claim("signature-ok", -1),
];

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../../../wit/README.md");

    fn table(heading: &str) -> Vec<Vec<String>> {
        let section = README.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        let cells = |line: &str| {
            line.trim_matches('|')
                .split('|')
                .map(|c| c.trim().trim_matches('`').to_owned())
                .collect()
        };
        section.lines().filter(|l| l.starts_with("| `")).map(cells).collect()
    }

    #[test]
    fn the_documented_facts_are_the_facts() {
        let documented: Vec<_> =
            table("## Facts of a node").into_iter().map(|c| c[..5].join(" ")).collect();
        let known: Vec<_> = Fact::ALL
            .iter()
            .map(|fact| {
                let info = fact.info();
                let kinds = match info.used_by {
                    Use::Both => "scoring payout",
                    Use::Scoring => "scoring",
                    Use::Payout => "payout",
                };
                format!(
                    "{} {} {kinds} {}–{} {}",
                    info.name, info.unit, info.min, info.max, info.default
                )
            })
            .collect();
        assert_eq!(documented, known);
        for (heading, facts) in [
            ("## Facts of a registration", &REGISTRATION_FACTS[..]),
            ("## Facts of an observation session", &OBSERVATION_FACTS),
            ("## Facts of a score claim", &SCORE_CLAIM_FACTS),
        ] {
            let documented: Vec<_> =
                table(heading).into_iter().map(|c| (c[0].clone(), c[2].clone())).collect();
            let known: Vec<_> =
                facts.iter().map(|f| (f.name.to_owned(), f.default.to_string())).collect();
            assert_eq!(documented, known, "{heading}");
        }
    }

    #[test]
    fn a_fact_outside_its_range_is_clamped() {
        let mut row = FactRow::default();
        row.set(Fact::ObservedS, 1_000_000);
        row.set(Fact::PeriodS, 0);
        assert_eq!(
            (row.get(Fact::ObservedS), row.get(Fact::PeriodS), row.get(Fact::QualityPpm)),
            (86_400, 1, 500_000)
        );
    }
}
