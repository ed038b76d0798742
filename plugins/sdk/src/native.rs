//! Calls a policy from named columns, natively: what an author's tests use.

use core::fmt;
use std::collections::BTreeMap;

use crate::{
    Facts, Params, Payout, PolicyError, Scoring, Texts, Validation, Verdict,
    abi::{Batch, Explanation, RawContext, Scores, Verdicts, Weights},
    payout, scoring, validation,
};

/// A call in the making: columns by name, params that differ from their defaults, and the circumstances.
///
/// Totals are the columns' sums unless they are set, as they are where the batch is the whole pool.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) epoch: i64,
    pub(crate) period_seconds: u32,
    pub(crate) seed: u64,
    params: BTreeMap<String, i64>,
    columns: BTreeMap<String, Vec<i64>>,
    totals: BTreeMap<String, i64>,
    texts: BTreeMap<String, String>,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            epoch: 1_760_000_400,
            period_seconds: 3_600,
            seed: 0,
            params: BTreeMap::new(),
            columns: BTreeMap::new(),
            totals: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }
}

/// Why a native call gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The policy answered with a fault.
    Policy(PolicyError),
    /// The call was not what the policy's description asks for.
    Asked(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(error) => error.fmt(f),
            Self::Asked(what) => f.write_str(what),
        }
    }
}

impl core::error::Error for CallError {}

impl From<PolicyError> for CallError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl Call {
    /// A call in an hour of October 2025, without columns and with every param at its default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when the period starts (Unix seconds) and how long it is.
    #[must_use]
    pub fn period(self, epoch: i64, period_seconds: u32) -> Self {
        Self { epoch, period_seconds, ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets a param.
    #[must_use]
    pub fn param(mut self, name: &str, value: i64) -> Self {
        self.params.insert(name.to_owned(), value);
        self
    }

    /// Sets a fact, a value a row.
    #[must_use]
    pub fn column(mut self, fact: &str, values: impl Into<Vec<i64>>) -> Self {
        self.columns.insert(fact.to_owned(), values.into());
        self
    }

    /// Sets a fact of the one registration.
    #[must_use]
    pub fn fact(self, fact: &str, value: i64) -> Self {
        self.column(fact, [value])
    }

    /// Sets a fact's sum over a pool of which the columns are only a part.
    #[must_use]
    pub fn total(mut self, fact: &str, value: i64) -> Self {
        self.totals.insert(fact.to_owned(), value);
        self
    }

    /// Sets a text of the one registration; a text that is not set was not sent.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.texts.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Scores the rows.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn score<P: Scoring>(&self) -> Result<Scores, CallError> {
        let (context, batch) = self.with_totals::<P::Node, P::Params>()?;
        Ok(scoring::score::<P>(&context, &batch)?)
    }

    /// Explains the rows.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn explain<P: Scoring>(&self) -> Result<Explanation, CallError> {
        let (context, batch) = self.with_totals::<P::Node, P::Params>()?;
        Ok(scoring::explain::<P>(&context, &batch)?)
    }

    /// Weighs the rows.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn weigh<P: Payout>(&self) -> Result<Weights, CallError> {
        let (context, batch) = self.with_totals::<P::Node, P::Params>()?;
        Ok(payout::weigh::<P>(&context, &batch)?)
    }

    /// Judges the one registration.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn judge_registration<P: Validation>(&self) -> Result<Verdict, CallError> {
        let batch = self.batch::<P::Registration>()?;
        let facts: Vec<i64> = batch.columns.iter().filter_map(|column| column.first().copied()).collect();
        if let Some(unknown) = self.texts.keys().find(|name| !P::RegistrationTexts::NAMES.contains(&name.as_str())) {
            return Err(CallError::Asked(format!("the policy does not read the text {unknown}")));
        }
        let texts = P::RegistrationTexts::NAMES.iter().map(|name| self.texts.get(*name).cloned()).collect();
        Ok(validation::judge_registration::<P>(&self.context::<P::Params>()?, &facts, texts)?)
    }

    /// Judges the rows as observation sessions.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn judge_observations<P: Validation>(&self) -> Result<Verdicts, CallError> {
        let batch = self.batch::<P::Observation>()?;
        Ok(validation::judge_observations::<P>(&self.context::<P::Params>()?, &batch)?)
    }

    /// Judges the rows as score claims.
    ///
    /// # Errors
    /// The policy's fault, or what the call lacks.
    pub fn judge_score_claims<P: Validation>(&self) -> Result<Verdicts, CallError> {
        let batch = self.batch::<P::ScoreClaim>()?;
        Ok(validation::judge_score_claims::<P>(&self.context::<P::Params>()?, &batch)?)
    }

    fn batch<F: Facts>(&self) -> Result<Batch, CallError> {
        if let Some(unknown) = self.columns.keys().find(|name| !F::NAMES.contains(&name.as_str())) {
            return Err(CallError::Asked(format!("the policy does not read the fact {unknown}")));
        }
        let rows = self.columns.values().next().map_or(1, Vec::len);
        let mut columns = Vec::with_capacity(F::NAMES.len());
        for name in F::NAMES {
            match self.columns.get(*name) {
                None => {
                    return Err(CallError::Asked(format!("the policy reads the fact {name}, which is not given")));
                }
                Some(column) if column.len() != rows => {
                    return Err(CallError::Asked(format!("{name} has {} rows, not {rows}", column.len())));
                }
                Some(column) => columns.push(column.clone()),
            }
        }
        let count = u32::try_from(rows).map_err(|_| CallError::Asked(format!("{rows} rows are too many")))?;
        Ok(Batch { count, columns })
    }

    fn context<P: Params>(&self) -> Result<RawContext, CallError> {
        if let Some(unknown) = self.params.keys().find(|name| P::SPECS.iter().all(|spec| spec.name != name.as_str())) {
            return Err(CallError::Asked(format!("the policy has no param {unknown}")));
        }
        let mut params = Vec::with_capacity(P::SPECS.len());
        for spec in P::SPECS {
            let value = self.params.get(spec.name).copied().unwrap_or(spec.default);
            if !(spec.min..=spec.max).contains(&value) {
                let (name, min, max) = (spec.name, spec.min, spec.max);
                return Err(CallError::Asked(format!("{name} = {value} is outside {min}..={max}")));
            }
            params.push(value);
        }
        Ok(RawContext { epoch: self.epoch, period_seconds: self.period_seconds, seed: self.seed, params, totals: Vec::new() })
    }

    fn with_totals<F: Facts, P: Params>(&self) -> Result<(RawContext, Batch), CallError> {
        let batch = self.batch::<F>()?;
        let mut context = self.context::<P>()?;
        context.totals = F::NAMES
            .iter()
            .zip(&batch.columns)
            .map(|(name, column)| {
                let sum = || column.iter().fold(0_i64, |sum, value| sum.saturating_add(*value));
                self.totals.get(*name).copied().unwrap_or_else(sum)
            })
            .collect();
        Ok((context, batch))
    }
}
