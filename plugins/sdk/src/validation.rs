//! Validation policies: verdicts on what nodes claim.

use crate::{
    Context, Facts, Params, PolicyError, Reason, Texts,
    abi::{Batch, ClaimDescription, RawContext, Verdicts},
    reason::{ReasonTable, cut},
};

/// A validation policy. Export it with [`validation!`](crate::validation).
pub trait Validation {
    /// Whole-number facts of a registration; declare them with [`facts!`](crate::facts).
    type Registration: Facts;
    /// Text facts of a registration; declare them with [`texts!`](crate::texts), or `()`.
    type RegistrationTexts: Texts;
    /// Facts of an observation session.
    type Observation: Facts;
    /// Facts of a score claim.
    type ScoreClaim: Facts;
    /// What an operator may set; declare it with [`params!`](crate::params), or `()`.
    type Params: Params;

    /// Refuses params that are each in range but make no sense together. Called once a call.
    ///
    /// # Errors
    /// The policy's own fault, which fails the call.
    fn check(_params: &Self::Params) -> Result<(), PolicyError> {
        Ok(())
    }

    /// Judges a registration.
    ///
    /// # Errors
    /// The policy's own fault, which fails the call; a claim that is merely wrong is a [`Verdict::Reject`].
    fn judge_registration(ctx: &Context<Self::Params>, claim: &Self::Registration, texts: &Self::RegistrationTexts) -> Result<Verdict, PolicyError>;

    /// Judges an observation session.
    ///
    /// # Errors
    /// As for registrations.
    fn judge_observation(ctx: &Context<Self::Params>, claim: &Self::Observation) -> Result<Verdict, PolicyError>;

    /// Judges a score claim.
    ///
    /// # Errors
    /// As for registrations.
    fn judge_score_claim(ctx: &Context<Self::Params>, claim: &Self::ScoreClaim) -> Result<Verdict, PolicyError>;
}

/// The outcome for one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Accept,
    /// Refused; one sentence for the caller, at most 200 bytes. A batch may carry 256 different ones, so name
    /// the limit in it, not the measured value.
    Reject(Reason),
}

impl Verdict {
    /// Refuses with a sentence.
    #[must_use]
    pub fn reject(reason: impl Into<Reason>) -> Self {
        Self::Reject(reason.into())
    }
}

/// What the host is told of the policy.
#[must_use]
pub fn describe<P: Validation>() -> ClaimDescription {
    ClaimDescription {
        registration_facts: P::Registration::NAMES,
        registration_texts: P::RegistrationTexts::NAMES,
        observation_facts: P::Observation::NAMES,
        score_claim_facts: P::ScoreClaim::NAMES,
        params: P::Params::SPECS,
    }
}

/// Judges a registration from its facts and texts in the order of the description.
///
/// # Errors
/// The policy's fault, or the SDK's if the claim is not as described.
pub fn judge_registration<P: Validation>(raw: &RawContext, facts: &[i64], texts: Vec<Option<String>>) -> Result<Verdict, PolicyError> {
    let ctx = Context::from_raw(raw)?;
    P::check(&ctx.params)?;
    let facts = P::Registration::from_values(facts)?;
    let texts = P::RegistrationTexts::from_values(texts)?;
    Ok(match P::judge_registration(&ctx, &facts, &texts)? {
        Verdict::Accept => Verdict::Accept,
        Verdict::Reject(reason) => Verdict::reject(cut(&reason).to_owned()),
    })
}

/// Judges a batch of observation sessions.
///
/// # Errors
/// The policy's fault, or the SDK's if the batch is not as described.
pub fn judge_observations<P: Validation>(raw: &RawContext, batch: &Batch) -> Result<Verdicts, PolicyError> {
    judge_batch::<P, P::Observation>(raw, batch, P::judge_observation)
}

/// Judges a batch of score claims.
///
/// # Errors
/// The policy's fault, or the SDK's if the batch is not as described.
pub fn judge_score_claims<P: Validation>(raw: &RawContext, batch: &Batch) -> Result<Verdicts, PolicyError> {
    judge_batch::<P, P::ScoreClaim>(raw, batch, P::judge_score_claim)
}

fn judge_batch<P: Validation, C: Facts>(
    raw: &RawContext,
    batch: &Batch,
    judge: impl Fn(&Context<P::Params>, &C) -> Result<Verdict, PolicyError>,
) -> Result<Verdicts, PolicyError> {
    let ctx = Context::from_raw(raw)?;
    P::check(&ctx.params)?;
    let columns = C::columns(batch)?;
    let count = batch.count as usize;
    let mut verdicts = Vec::with_capacity(count);
    let mut table = ReasonTable::default();
    for row in 0..count {
        let Some(claim) = C::row(&columns, row) else {
            break;
        };
        verdicts.push(match judge(&ctx, &claim)? {
            Verdict::Accept => 0,
            Verdict::Reject(reason) => table.intern(reason)?,
        });
    }
    Ok(Verdicts { verdicts, reason_table: table.into_strings() })
}

/// Exports a type that implements [`Validation`](crate::Validation) as a component; natively it only checks
/// that it does.
#[macro_export]
macro_rules! validation {
    ($policy:ty) => {
        const _: fn() = || {
            fn implements<P: $crate::Validation>() {}
            implements::<$policy>();
        };

        #[cfg(target_family = "wasm")]
        mod exported {
            use super::*;
            type Component = $crate::glue::validation::Exported<$policy>;
            $crate::glue::validation::export!(Component with_types_in $crate::glue::validation);
        }
    };
}
