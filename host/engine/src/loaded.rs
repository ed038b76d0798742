//! A policy that can be called on this thread.

use std::sync::Arc;

use lucid_model::{
    epochs::facts::{ClaimFact, OBSERVATION_FACTS, REGISTRATION_FACTS, SCORE_CLAIM_FACTS},
    policies::{
        Batch, CallContext, Explanation, ParamError, ParamSpec, ParamValues, PolicyIdentity,
        PolicyVerdict, RegistrationClaim, Scores, Weights, resolve_params,
    },
};
use lucid_ports::CallError;

use crate::{
    abi::{Circumstances, Failure, Guest, Rows},
    description::Reads,
    manifest::Manifest,
    program::{Budget, Fault, Program, Spent},
    wasi::Moment,
};

/// Rows of a call.
pub const ROWS_MAX: u32 = 10_000;
/// Rows of a call of `explain`.
pub const EXPLAINED_ROWS_MAX: u32 = 100;

/// A component with its manifest and resolved params.
#[derive(Clone)]
pub struct LoadedPolicy {
    /// Shared by whoever uses the same component.
    pub(crate) program: Arc<Program>,
    /// What its bundle says.
    pub(crate) manifest: Arc<Manifest>,
    /// What it reads.
    pub(crate) reads: Arc<Reads>,
    specs: Arc<[ParamSpec]>,
    params: Arc<[i64]>,
    identity: PolicyIdentity,
}

impl LoadedPolicy {
    /// A policy with all params at their defaults.
    ///
    /// # Errors
    /// [`ParamError`] as from [`LoadedPolicy::with_params`].
    pub(crate) fn new(
        program: Arc<Program>,
        manifest: Manifest,
        reads: Reads,
        specs: Vec<ParamSpec>,
    ) -> Result<Self, ParamError> {
        let facts = match &reads {
            Reads::Nodes(facts) => facts.clone(),
            Reads::Claims { .. } => Vec::new(),
        };
        let identity = PolicyIdentity {
            kind: manifest.kind,
            policy: manifest.policy.clone(),
            abi: manifest.abi.clone(),
            params: Vec::new(),
            facts,
        };
        let (manifest, reads) = (Arc::new(manifest), Arc::new(reads));
        Self { program, manifest, reads, specs: specs.into(), params: Arc::default(), identity }
            .with_params(&ParamValues::new())
    }

    /// The same policy with other params.
    ///
    /// # Errors
    /// [`ParamError`] for what the policy does not take.
    pub(crate) fn with_params(&self, values: &ParamValues) -> Result<Self, ParamError> {
        let params = resolve_params(&self.specs, values)?;
        let mut policy = self.clone();
        policy.identity.params =
            self.specs.iter().map(|spec| spec.name.clone()).zip(params.iter().copied()).collect();
        policy.params = params.into();
        Ok(policy)
    }

    /// Which it is.
    pub fn identity(&self) -> &PolicyIdentity {
        &self.identity
    }

    /// The params it takes, with the bundle's defaults.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// One multiplier a row.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn score(&self, context: &CallContext, batch: &Batch) -> Result<Scores, CallError> {
        if batch.count == 0 {
            return Ok(Scores::default());
        }
        self.seen(self.on_batch(context, batch, ROWS_MAX, |rows| self.score_rows(context, rows)))
    }

    /// What multipliers are made of.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn explain(&self, context: &CallContext, batch: &Batch) -> Result<Explanation, CallError> {
        if batch.count == 0 {
            return Ok(Explanation::default());
        }
        let call = |rows: Rows<'_>| {
            self.call(context, rows.count, |guest| guest.explain(self.about(context), rows))
        };
        self.seen(self.on_batch(context, batch, EXPLAINED_ROWS_MAX, call))
    }

    /// One weight a row.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn weigh(&self, context: &CallContext, batch: &Batch) -> Result<Weights, CallError> {
        if batch.count == 0 {
            return Ok(Weights::default());
        }
        self.seen(self.on_batch(context, batch, ROWS_MAX, |rows| self.weigh_rows(context, rows)))
    }

    /// One registration.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn judge_registration(
        &self,
        context: &CallContext,
        claim: &RegistrationClaim,
    ) -> Result<PolicyVerdict, CallError> {
        self.seen(self.registration(context, claim).result)
    }

    /// Observation sessions, rows in catalogue order.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn judge_observations(
        &self,
        context: &CallContext,
        rows: &[Vec<i64>],
    ) -> Result<Vec<PolicyVerdict>, CallError> {
        self.seen(self.observations(context, rows).result)
    }

    /// Score claims, rows in catalogue order.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn judge_score_claims(
        &self,
        context: &CallContext,
        rows: &[Vec<i64>],
    ) -> Result<Vec<PolicyVerdict>, CallError> {
        self.seen(self.score_claims(context, rows).result)
    }

    /// [`LoadedPolicy::score`] with its fuel.
    pub(crate) fn score_rows(&self, context: &CallContext, rows: Rows<'_>) -> Spent<Scores> {
        let multiplier_max = self.program.host().config.multiplier_max;
        self.call(context, rows.count, |guest| {
            guest.score(self.about(context), rows, multiplier_max)
        })
    }

    /// [`LoadedPolicy::weigh`] with its fuel.
    pub(crate) fn weigh_rows(&self, context: &CallContext, rows: Rows<'_>) -> Spent<Weights> {
        self.call(context, rows.count, |guest| guest.weigh(self.about(context), rows))
    }

    /// [`LoadedPolicy::judge_registration`] with its fuel.
    pub(crate) fn registration(
        &self,
        context: &CallContext,
        claim: &RegistrationClaim,
    ) -> Spent<PolicyVerdict> {
        let (mut facts, mut texts) = (Vec::new(), Vec::new());
        if let Reads::Claims { registration, texts: wanted, .. } = &*self.reads {
            facts = registration
                .iter()
                .map(|place| claim_value(&claim.facts, *place, &REGISTRATION_FACTS))
                .collect();
            texts = wanted
                .iter()
                .map(|place| claim.texts.get(*place).and_then(Option::as_deref))
                .collect();
        }
        self.call(context, 1, |guest| guest.judge_registration(self.about(context), &facts, &texts))
    }

    /// [`LoadedPolicy::judge_observations`] with its fuel.
    pub(crate) fn observations(
        &self,
        context: &CallContext,
        rows: &[Vec<i64>],
    ) -> Spent<Vec<PolicyVerdict>> {
        let wanted = if let Reads::Claims { observation, .. } = &*self.reads {
            observation.as_slice()
        } else {
            &[]
        };
        self.on_claims(context, rows, wanted, &OBSERVATION_FACTS, |guest, rows| {
            guest.judge_observations(self.about(context), rows)
        })
    }

    /// [`LoadedPolicy::judge_score_claims`] with its fuel.
    pub(crate) fn score_claims(
        &self,
        context: &CallContext,
        rows: &[Vec<i64>],
    ) -> Spent<Vec<PolicyVerdict>> {
        let wanted = if let Reads::Claims { score_claim, .. } = &*self.reads {
            score_claim.as_slice()
        } else {
            &[]
        };
        self.on_claims(context, rows, wanted, &SCORE_CLAIM_FACTS, |guest, rows| {
            guest.judge_score_claims(self.about(context), rows)
        })
    }

    /// Turns rows into the columns the policy asked for.
    fn on_claims(
        &self,
        context: &CallContext,
        rows: &[Vec<i64>],
        wanted: &[usize],
        catalogue: &[ClaimFact],
        call: impl FnOnce(Guest<'_>, Rows<'_>) -> Result<Vec<PolicyVerdict>, Failure>,
    ) -> Spent<Vec<PolicyVerdict>> {
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if count == 0 {
            return Spent { result: Ok(Vec::new()), fuel: 0 };
        }
        if count > ROWS_MAX {
            return Spent { result: Err(Fault::Host(too_many(count, ROWS_MAX))), fuel: 0 };
        }
        let columns: Vec<Vec<i64>> = wanted
            .iter()
            .map(|place| rows.iter().map(|row| claim_value(row, *place, catalogue)).collect())
            .collect();
        let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
        self.call(context, count, |guest| call(guest, Rows { count, columns: &columns }))
    }

    /// Checks what the caller hands in: a mistake there is the host's and must never be recorded as
    /// the policy's.
    fn on_batch<T>(
        &self,
        context: &CallContext,
        batch: &Batch,
        rows_max: u32,
        call: impl FnOnce(Rows<'_>) -> Spent<T>,
    ) -> Result<T, Fault> {
        let (facts, count) = (self.identity.facts.len(), batch.count);
        if count > rows_max {
            return Err(Fault::Host(too_many(count, rows_max)));
        }
        let whole = |column: &Arc<[i64]>| u32::try_from(column.len()) == Ok(count);
        if batch.columns.len() != facts
            || context.totals.len() != facts
            || !batch.columns.iter().all(whole)
        {
            let (columns, totals) = (batch.columns.len(), context.totals.len());
            return Err(Fault::Host(format!(
                "was given {columns} columns and {totals} totals for {facts} facts, or a column that has not {count} rows"
            )));
        }
        let columns: Vec<&[i64]> = batch.columns.iter().map(AsRef::as_ref).collect();
        call(Rows { count, columns: &columns }).result
    }

    fn call<T>(
        &self,
        context: &CallContext,
        rows: u32,
        call: impl FnOnce(Guest<'_>) -> Result<T, Failure>,
    ) -> Spent<T> {
        let limits = &self.manifest.limits;
        let moment = Moment { unix_s: context.epoch_start_s, seed: context.seed };
        self.program.run(
            Budget { fuel: limits.fuel(rows), memory_bytes_max: limits.memory_bytes_max },
            moment,
            call,
        )
    }

    fn about<'a>(&'a self, context: &'a CallContext) -> Circumstances<'a> {
        Circumstances { context, params: &self.params }
    }

    fn seen<T>(&self, result: Result<T, Fault>) -> Result<T, CallError> {
        result.map_err(|fault| fault.of(&self.identity.policy))
    }
}

fn claim_value(values: &[i64], place: usize, catalogue: &[ClaimFact]) -> i64 {
    let default = || catalogue.get(place).map_or(0, |fact| fact.default);
    values.get(place).copied().unwrap_or_else(default)
}

fn too_many(count: u32, rows_max: u32) -> String {
    format!("was given {count} rows, more than {rows_max}")
}
