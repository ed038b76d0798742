//! The interface's records as plain Rust types: what stands between the WIT bindings and a typed policy.
//!
//! They exist natively too, so that a policy's tests need no WebAssembly.

/// What a scoring or payout policy reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Names of facts, in the order of a batch's columns.
    pub facts: &'static [&'static str],
    /// The params, in the order of the context's.
    pub params: &'static [ParamSpec],
}

/// What a validation policy reads of each kind of claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDescription {
    /// Whole-number facts of a registration.
    pub registration_facts: &'static [&'static str],
    /// Text facts of a registration.
    pub registration_texts: &'static [&'static str],
    /// Facts of an observation session.
    pub observation_facts: &'static [&'static str],
    /// Facts of a score claim.
    pub score_claim_facts: &'static [&'static str],
    /// The params, in the order of the context's.
    pub params: &'static [ParamSpec],
}

/// A number an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParamSpec {
    /// Kebab-case name.
    pub name: &'static str,
    /// Unit as in the catalogue.
    pub unit: &'static str,
    /// Value used when the operator sets none.
    pub default: i64,
    /// Smallest value the host accepts.
    pub min: i64,
    /// Largest value the host accepts.
    pub max: i64,
    /// One sentence for the operator.
    pub doc: &'static str,
}

/// One calculation's circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawContext {
    /// Start of the period, Unix seconds, UTC.
    pub epoch: i64,
    /// Its length in seconds.
    pub period_seconds: u32,
    /// The same for every chunk of one calculation.
    pub seed: u64,
    /// The params in the order of the description.
    pub params: Vec<i64>,
    /// Each column's sum over the pool.
    pub totals: Vec<i64>,
}

/// Facts of `count` rows, a column a fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Number of rows.
    pub count: u32,
    /// As many columns as facts were asked for, in that order.
    pub columns: Vec<Vec<i64>>,
}

/// Multipliers by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    /// In millionths, one a row.
    pub multipliers: Vec<u32>,
    /// Empty, or one a row: 0 = nothing to say, k = `reason_table[k-1]`.
    pub reasons: Vec<u32>,
    /// The sentences.
    pub reason_table: Vec<String>,
}

/// Named columns of contributions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Names of the contributions.
    pub names: Vec<String>,
    /// `contributions[n][i]`: contribution `n` of row `i`, in millionths.
    pub contributions: Vec<Vec<u32>>,
}

/// Weights by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// One a row; a row's share is its part of the sum.
    pub weights: Vec<u64>,
    /// Empty, or one a row: the part of the share that is held, in millionths.
    pub held_ppm: Vec<u32>,
    /// Empty, or one a row: the most the row may get, in micro-USDT; 0 = no cap.
    pub caps: Vec<u64>,
    /// Empty, or one a row: 0 = nothing to say, k = `reason_table[k-1]`.
    pub reasons: Vec<u32>,
    /// The sentences.
    pub reason_table: Vec<String>,
}

/// Outcomes by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// One a row: 0 = accept, k = rejected for `reason_table[k-1]`.
    pub verdicts: Vec<u32>,
    /// The sentences.
    pub reason_table: Vec<String>,
}
