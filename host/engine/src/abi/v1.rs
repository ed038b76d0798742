//! `lucid:policy@1`.

use lucid_model::{
    epochs::score::Ppm,
    policies::{Explanation, ParamSpec, PolicyKind, PolicyVerdict, Scores, Weights},
};
use wasmtime::{
    Store,
    component::{
        Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Linker, Lower,
    },
};

use self::bindings::{
    exports::lucid::policy::{payout, scoring, validation},
    lucid::policy::{log::Level, types},
};
use super::{Abi, Circumstances, Description, FactNames, Failure, Rows};
use crate::{
    answer,
    guest::{GuestState, LogLevel},
};

/// Only the types of what is generated are used: functions are looked up one by one, which is
/// cheaper.
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit/v1",
        inline: "
            package lucid:host;
            world policies {
                import lucid:policy/log@1.0.0;
                export lucid:policy/scoring@1.0.0;
                export lucid:policy/validation@1.0.0;
                export lucid:policy/payout@1.0.0;
            }
        ",
        world: "lucid:host/policies",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The interface a policy may import.
pub const LOG: &str = "lucid:policy/log@1.0.0";

type Answer<T> = Result<T, types::PolicyError>;
type RowsCall<'a, T> = ((types::Context<'a>, types::Batch<'a>), (Answer<T>,));
type RegistrationCall<'a> =
    ((types::Context<'a>, validation::Registration<'a>), (Answer<validation::Verdict>,));

/// Offers what a policy may import.
pub fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance(LOG)?.func_wrap(
        "write",
        |store: wasmtime::StoreContextMut<'_, GuestState>, (level, message): (Level, String)| {
            let level = match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
            };
            GuestState::write_log(store, level, &message)
        },
    )
}

/// Where a component's functions are.
pub enum Functions {
    /// A scoring policy's.
    Scoring {
        /// `describe`.
        describe: ComponentExportIndex,
        /// `score`.
        score: ComponentExportIndex,
        /// `explain`.
        explain: ComponentExportIndex,
    },
    /// A validation policy's.
    Validation {
        /// `describe`.
        describe: ComponentExportIndex,
        /// `judge-registration`.
        registration: ComponentExportIndex,
        /// `judge-observations`.
        observations: ComponentExportIndex,
        /// `judge-score-claims`.
        score_claims: ComponentExportIndex,
    },
    /// A payout policy's.
    Payout {
        /// `describe`.
        describe: ComponentExportIndex,
        /// `weigh`.
        weigh: ComponentExportIndex,
    },
}

/// One instance, about to be called.
pub struct Guest<'a> {
    /// Of which functions.
    pub functions: &'a Functions,
    /// Its store.
    pub store: &'a mut Store<GuestState>,
    pub instance: &'a Instance,
}

impl Functions {
    /// Finds a kind's functions.
    ///
    /// # Errors
    /// What the component does not export.
    pub fn find(component: &Component, kind: PolicyKind) -> Result<Self, String> {
        let interface = Abi::V1.interface(kind);
        let instance = component
            .get_export_index(None, interface)
            .ok_or_else(|| format!("the component does not export {interface}"))?;
        let function = |name: &str| {
            component
                .get_export_index(Some(&instance), name)
                .ok_or_else(|| format!("{interface} has no function {name}"))
        };
        let describe = function("describe")?;
        Ok(match kind {
            PolicyKind::Scoring => {
                Self::Scoring { describe, score: function("score")?, explain: function("explain")? }
            }
            PolicyKind::Payout => Self::Payout { describe, weigh: function("weigh")? },
            PolicyKind::Validation => Self::Validation {
                describe,
                registration: function("judge-registration")?,
                observations: function("judge-observations")?,
                score_claims: function("judge-score-claims")?,
            },
        })
    }
}

impl Guest<'_> {
    /// Asks what the policy reads, and tries that all its functions have the interface's types.
    pub fn describe(mut self) -> Result<Description, Failure> {
        match self.functions {
            Functions::Scoring { describe, score, explain } => {
                self.typecheck::<RowsCall<'_, scoring::Scores>>(score)?;
                self.typecheck::<RowsCall<'_, scoring::Explanation>>(explain)?;
                self.describe_nodes(describe)
            }
            Functions::Payout { describe, weigh } => {
                self.typecheck::<RowsCall<'_, payout::Weights>>(weigh)?;
                self.describe_nodes(describe)
            }
            Functions::Validation { describe, registration, observations, score_claims } => {
                self.typecheck::<RegistrationCall<'_>>(registration)?;
                self.typecheck::<RowsCall<'_, validation::Verdicts>>(observations)?;
                self.typecheck::<RowsCall<'_, validation::Verdicts>>(score_claims)?;
                let (found,): (validation::Description,) = self.call(describe, ())?;
                let facts = FactNames::Claims {
                    registration: found.registration_facts,
                    texts: found.registration_texts,
                    observation: found.observation_facts,
                    score_claim: found.score_claim_facts,
                };
                Ok(Description { facts, params: found.params.into_iter().map(spec).collect() })
            }
        }
    }

    fn describe_nodes(&mut self, describe: &ComponentExportIndex) -> Result<Description, Failure> {
        let (found,): (types::Description,) = self.call(describe, ())?;
        Ok(Description {
            facts: FactNames::Nodes(found.facts),
            params: found.params.into_iter().map(spec).collect(),
        })
    }

    /// Calls `score`.
    pub fn score(
        mut self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
        multiplier_max: Ppm,
    ) -> Result<Scores, Failure> {
        let Functions::Scoring { score, .. } = self.functions else {
            return Err(no_such_call("score"));
        };
        let found: scoring::Scores = self.ask(score, about, rows)?;
        answer::one_a_row("multipliers", found.multipliers.len(), rows.count)?;
        answer::at_most("multiplier", &found.multipliers, multiplier_max.0)?;
        let reasons = answer::reasons(&found.reasons, found.reason_table, rows.count)?;
        Ok(Scores { multipliers: found.multipliers.into_iter().map(Ppm).collect(), reasons })
    }

    /// Calls `explain`.
    pub fn explain(
        mut self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Explanation, Failure> {
        let Functions::Scoring { explain, .. } = self.functions else {
            return Err(no_such_call("explain"));
        };
        let found: scoring::Explanation = self.ask(explain, about, rows)?;
        answer::contributions(found.names, found.contributions, rows.count)
    }

    /// Calls `weigh`.
    pub fn weigh(mut self, about: Circumstances<'_>, rows: Rows<'_>) -> Result<Weights, Failure> {
        let Functions::Payout { weigh, .. } = self.functions else {
            return Err(no_such_call("weigh"));
        };
        let found: payout::Weights = self.ask(weigh, about, rows)?;
        answer::one_a_row("weights", found.weights.len(), rows.count)?;
        answer::none_or_one_a_row("held-ppm", found.held_ppm.len(), rows.count)?;
        answer::none_or_one_a_row("caps", found.caps.len(), rows.count)?;
        answer::at_most("held-ppm", &found.held_ppm, lucid_model::epochs::score::PPM)?;
        let reasons = answer::reasons(&found.reasons, found.reason_table, rows.count)?;
        let held = answer::filled(found.held_ppm.into_iter().map(Ppm).collect(), rows.count);
        Ok(Weights {
            weights: found.weights,
            held,
            caps: answer::filled(found.caps, rows.count),
            reasons,
        })
    }

    /// Calls `judge-registration`.
    pub fn judge_registration(
        mut self,
        about: Circumstances<'_>,
        facts: &[i64],
        texts: &[Option<&str>],
    ) -> Result<PolicyVerdict, Failure> {
        let Functions::Validation { registration, .. } = self.functions else {
            return Err(no_such_call("judge-registration"));
        };
        let claim = validation::Registration { facts, texts };
        let (found,): (Answer<validation::Verdict>,) =
            self.call(registration, (context(about), claim))?;
        match found.map_err(refused)? {
            validation::Verdict::Accept => Ok(Ok(())),
            validation::Verdict::Reject(reason) => answer::reason(reason).map(Err),
        }
    }

    /// Calls `judge-observations`.
    pub fn judge_observations(
        mut self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Vec<PolicyVerdict>, Failure> {
        let Functions::Validation { observations, .. } = self.functions else {
            return Err(no_such_call("judge-observations"));
        };
        self.judge(observations, about, rows)
    }

    /// Calls `judge-score-claims`.
    pub fn judge_score_claims(
        mut self,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Vec<PolicyVerdict>, Failure> {
        let Functions::Validation { score_claims, .. } = self.functions else {
            return Err(no_such_call("judge-score-claims"));
        };
        self.judge(score_claims, about, rows)
    }

    fn judge(
        &mut self,
        function: &ComponentExportIndex,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<Vec<PolicyVerdict>, Failure> {
        let found: validation::Verdicts = self.ask(function, about, rows)?;
        answer::one_a_row("verdicts", found.verdicts.len(), rows.count)?;
        let reasons = answer::reasons(&found.verdicts, found.reason_table, rows.count)?;
        Ok(reasons.into_iter().map(|reason| reason.map_or(Ok(()), Err)).collect())
    }

    fn ask<T>(
        &mut self,
        function: &ComponentExportIndex,
        about: Circumstances<'_>,
        rows: Rows<'_>,
    ) -> Result<T, Failure>
    where
        Answer<T>: Lift,
    {
        let batch = types::Batch { count: rows.count, columns: rows.columns };
        let (found,): (Answer<T>,) = self.call(function, (context(about), batch))?;
        found.map_err(refused)
    }

    fn call<P, R>(&mut self, function: &ComponentExportIndex, params: P) -> Result<R, Failure>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let function = self.instance.get_typed_func::<P, R>(&mut *self.store, function)?;
        Ok(function.call(&mut *self.store, params)?)
    }

    fn typecheck<C: CallTypes>(&mut self, function: &ComponentExportIndex) -> Result<(), Failure> {
        self.instance.get_typed_func::<C::Params, C::Results>(&mut *self.store, function)?;
        Ok(())
    }
}

/// A function's types, written as a pair.
trait CallTypes {
    type Params: ComponentNamedList + Lower;
    type Results: ComponentNamedList + Lift;
}

impl<P: ComponentNamedList + Lower, R: ComponentNamedList + Lift> CallTypes for (P, R) {
    type Params = P;
    type Results = R;
}

fn context(about: Circumstances<'_>) -> types::Context<'_> {
    types::Context {
        epoch: about.context.epoch_start_s,
        period_seconds: about.context.period_s,
        seed: about.context.seed,
        params: about.params,
        totals: &about.context.totals,
    }
}

fn spec(param: types::Param) -> ParamSpec {
    ParamSpec {
        name: param.name,
        unit: param.unit,
        default: param.default,
        min: param.min,
        max: param.max,
        doc: param.doc,
    }
}

fn refused(error: types::PolicyError) -> Failure {
    Failure::Refused {
        code: error.code,
        message: answer::kept(error.message, answer::ERROR_BYTES_MAX),
    }
}

fn no_such_call(name: &str) -> Failure {
    Failure::Wrong(format!("this kind of policy has no call {name}"))
}
