//! Policies as the service knows them: what they are called, what is active, what a call takes and
//! gives.

mod signature;

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use semver::Version;

pub use self::{
    bundle::{
        ARCHIVE_BYTES_MAX, Bundle, COMPONENT_BYTES_MAX, GOLDEN_BYTES_MAX, GOLDEN_FILES_MAX,
        GOLDEN_NAME_BYTES_MAX, MANIFEST_BYTES_MAX,
    },
    life::{
        Activation, PolicyReport, PolicyVersion, ReportCause, ReportedCheck, Standing,
        VersionState, applicable,
    },
    profile::{
        Changed, ChangedParam, ComponentSize, FactRead, Moved, PolicyDifferences, PolicyProfile,
    },
    shadow::{Findings, Shadow, ShadowEnd, ShadowResult},
    signature::{
        BundleSignature, KeyId, NotAKeyId, SIGNATURES_MAX, SignatureError, Signers, TrustList,
        TrustedKey,
    },
};
use crate::{
    canonical::Canonical,
    epochs::{facts::Fact, score::Ppm},
    id::{Digest, NotAnId, PoolScope},
    named_enum::named_enum,
};

mod bundle;
mod life;
mod profile;
mod shadow;

named_enum! {
    /// What a policy decides.
    PolicyKind {
        /// Multipliers of scores.
        Scoring = "scoring",
        /// Verdicts on what nodes claim.
        Validation = "validation",
        /// Weights for sharing a budget.
        Payout = "payout",
    }
}

/// One version of a policy, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRef {
    /// Kebab-case name.
    pub name: String,
    /// Version of the bundle.
    pub version: Version,
    /// SHA-256 of `policy.wasm`.
    pub digest: Digest,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Counts changes of what is active; the store's, monotonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// Where an activation applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everywhere without an activation of its own.
    Default,
    /// In one pool.
    Pool(crate::id::PoolId),
}

impl Scope {
    /// The scope that a calculation over `pool` looks for first.
    pub fn of(pool: PoolScope) -> Self {
        pool.pool().map_or(Self::Default, Self::Pool)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Pool(id) => id.fmt(f),
        }
    }
}

impl FromStr for Scope {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text == "default" { Ok(Self::Default) } else { text.parse().map(Self::Pool) }
    }
}

/// Params an operator set, by name; what is not set has the policy's default.
pub type ParamValues = BTreeMap<String, i64>;

/// A param as the policy declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamSpec {
    /// Kebab-case name.
    pub name: String,
    /// Unit of its values.
    pub unit: String,
    /// Value when none is set.
    pub default: i64,
    /// Smallest value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// For the operator.
    pub doc: String,
}

/// Params that do not fit the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// The policy has no such param.
    #[error("param {name}: the policy has no such param")]
    Unknown { name: String },
    /// The value is outside what the policy allows.
    #[error("param {name}: {value} is not within {min}..={max}")]
    OutOfRange {
        name: String,
        /// The value.
        value: i64,
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
    },
}

/// Fits values to the declared params, in the declared order.
///
/// # Errors
/// [`ParamError`] for a name that is not declared or a value out of range.
pub fn resolve_params(specs: &[ParamSpec], values: &ParamValues) -> Result<Vec<i64>, ParamError> {
    if let Some(name) = values.keys().find(|name| specs.iter().all(|s| s.name != **name)) {
        return Err(ParamError::Unknown { name: name.clone() });
    }
    specs
        .iter()
        .map(|spec| {
            let value = values.get(&spec.name).copied().unwrap_or(spec.default);
            if (spec.min..=spec.max).contains(&value) {
                Ok(value)
            } else {
                Err(ParamError::OutOfRange {
                    name: spec.name.clone(),
                    value,
                    min: spec.min,
                    max: spec.max,
                })
            }
        })
        .collect()
}

/// What is active in one snapshot: which version, with which params, under which ABI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyIdentity {
    /// What it decides.
    pub kind: PolicyKind,
    pub policy: PolicyRef,
    /// The interface it exports.
    pub abi: String,
    /// Params in declared order.
    pub params: Vec<(String, i64)>,
    /// Facts a scoring or payout policy reads, in the order of columns.
    pub facts: Vec<Fact>,
}

impl PolicyIdentity {
    /// Digest of the resolved params.
    pub fn params_digest(&self) -> Digest {
        let start = Canonical::tagged("lucid/v1/params");
        Digest::of(
            &self
                .params
                .iter()
                .fold(start, |bytes, (name, value)| bytes.text(name).i64(*value))
                .finish(),
        )
    }
}

/// What a call is about; the rest of the guest's context (params, totals) the engine adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// Start of the epoch or period, Unix seconds.
    pub epoch_start_s: i64,
    pub period_s: u32,
    /// The same for every chunk of one calculation.
    pub seed: u64,
    /// Column sums over the whole pool.
    pub totals: Vec<i64>,
}

impl CallContext {
    /// The seed of a calculation: the first eight bytes of a hash of what is calculated.
    pub fn seed_of(period_start_s: i64, pool: PoolScope) -> u64 {
        let digest = Digest::of(
            &Canonical::tagged("lucid/v1/seed").i64(period_start_s).fixed(&pool.bytes()).finish(),
        );
        let [a, b, c, d, e, f, g, h, ..] = digest.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Columns of facts: `columns[f][i]` is fact `f` of row `i`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Rows.
    pub count: u32,
    /// Columns in the order of the policy's facts, each `count` long.
    pub columns: Vec<Arc<[i64]>>,
}

/// What a scoring policy answered; one entry a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scores {
    /// Multipliers.
    pub multipliers: Vec<Ppm>,
    /// Reasons, where the policy gave one.
    pub reasons: Vec<Option<String>>,
}

/// Named contributions: `(name, one value a row)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// The columns.
    pub contributions: Vec<(String, Vec<Ppm>)>,
}

/// What a payout policy answered; one entry a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weights {
    /// Weights in any unit.
    pub weights: Vec<u64>,
    /// Part of each share that is held.
    pub held: Vec<Ppm>,
    /// Caps in micro-USDT; 0 = none.
    pub caps: Vec<u64>,
    /// Reasons, where the policy gave one.
    pub reasons: Vec<Option<String>>,
}

/// A registration as a validation policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationClaim {
    /// In the order of [`crate::epochs::facts::REGISTRATION_FACTS`].
    pub facts: Vec<i64>,
    /// In the order of [`crate::epochs::facts::REGISTRATION_TEXTS`].
    pub texts: Vec<Option<String>>,
}

/// Accepted, or the policy's reason against it.
pub type PolicyVerdict = Result<(), String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_outside_the_declaration_are_refused() {
        let specs = [ParamSpec {
            name: "w".into(),
            unit: "ppm".into(),
            default: 5,
            min: 0,
            max: 10,
            doc: String::new(),
        }];
        let values = |name: &str, value| ParamValues::from([(name.to_owned(), value)]);
        assert_eq!(resolve_params(&specs, &ParamValues::new()), Ok(vec![5]));
        assert_eq!(resolve_params(&specs, &values("w", 10)), Ok(vec![10]));
        assert_eq!(
            resolve_params(&specs, &values("w", 11)).unwrap_err().to_string(),
            "param w: 11 is not within 0..=10"
        );
        assert!(resolve_params(&specs, &values("v", 1)).is_err());
    }
}
