//! The bindings of the world `validation-policy`.

use core::marker::PhantomData;

use super::{batch, context, names, params, policy_error, types};
use crate::{Validation, abi};

wit_bindgen::generate!({
    path: "../../wit/v1",
    world: "validation-policy",
    pub_export_macro: true,
    runtime_path: "crate::glue::wit_bindgen::rt",
    with: {
        "lucid:policy/types@1.0.0": crate::glue::types,
        "lucid:policy/log@1.0.0": crate::glue::log,
    },
});

pub use exports::lucid::policy::validation::{Description, Guest, Registration, Verdict, Verdicts};

/// A typed policy as a component's export.
pub struct Exported<P>(PhantomData<P>);

impl<P: Validation> Guest for Exported<P> {
    fn describe() -> Description {
        let described = crate::validation::describe::<P>();
        Description {
            registration_facts: names(described.registration_facts),
            registration_texts: names(described.registration_texts),
            observation_facts: names(described.observation_facts),
            score_claim_facts: names(described.score_claim_facts),
            params: params(described.params),
        }
    }

    fn judge_registration(ctx: types::Context, claim: Registration) -> Result<Verdict, types::PolicyError> {
        match crate::validation::judge_registration::<P>(&context(ctx), &claim.facts, claim.texts) {
            Ok(crate::Verdict::Accept) => Ok(Verdict::Accept),
            Ok(crate::Verdict::Reject(reason)) => Ok(Verdict::Reject(reason.into_owned())),
            Err(error) => Err(policy_error(error)),
        }
    }

    fn judge_observations(ctx: types::Context, claims: types::Batch) -> Result<Verdicts, types::PolicyError> {
        verdicts(crate::validation::judge_observations::<P>(&context(ctx), &batch(claims)))
    }

    fn judge_score_claims(ctx: types::Context, claims: types::Batch) -> Result<Verdicts, types::PolicyError> {
        verdicts(crate::validation::judge_score_claims::<P>(&context(ctx), &batch(claims)))
    }
}

fn verdicts(outcome: Result<abi::Verdicts, crate::PolicyError>) -> Result<Verdicts, types::PolicyError> {
    let outcome = outcome.map_err(policy_error)?;
    Ok(Verdicts { verdicts: outcome.verdicts, reason_table: outcome.reason_table })
}
