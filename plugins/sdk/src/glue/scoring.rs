//! The bindings of the world `scoring-policy`; the types and the log of the other worlds are its own.

use core::marker::PhantomData;

use super::{batch, context, description, policy_error, types};
use crate::Scoring;

wit_bindgen::generate!({
    path: "../../wit/v1",
    world: "scoring-policy",
    pub_export_macro: true,
    runtime_path: "crate::glue::wit_bindgen::rt",
    generate_all,
});

pub use exports::lucid::policy::scoring::{Explanation, Guest, Scores};

/// A typed policy as a component's export.
pub struct Exported<P>(PhantomData<P>);

impl<P: Scoring> Guest for Exported<P> {
    fn describe() -> types::Description {
        description(&crate::scoring::describe::<P>())
    }

    fn score(ctx: types::Context, nodes: types::Batch) -> Result<Scores, types::PolicyError> {
        let scores = crate::scoring::score::<P>(&context(ctx), &batch(nodes)).map_err(policy_error)?;
        Ok(Scores { multipliers: scores.multipliers, reasons: scores.reasons, reason_table: scores.reason_table })
    }

    fn explain(ctx: types::Context, nodes: types::Batch) -> Result<Explanation, types::PolicyError> {
        let explained = crate::scoring::explain::<P>(&context(ctx), &batch(nodes)).map_err(policy_error)?;
        Ok(Explanation { names: explained.names, contributions: explained.contributions })
    }
}
