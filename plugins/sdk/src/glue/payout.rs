//! The bindings of the world `payout-policy`.

use core::marker::PhantomData;

use super::{batch, context, description, policy_error, types};
use crate::Payout;

wit_bindgen::generate!({
    path: "../../wit/v1",
    world: "payout-policy",
    pub_export_macro: true,
    runtime_path: "crate::glue::wit_bindgen::rt",
    with: {
        "lucid:policy/types@1.0.0": crate::glue::types,
        "lucid:policy/log@1.0.0": crate::glue::log,
    },
});

pub use exports::lucid::policy::payout::{Guest, Weights};

/// A typed policy as a component's export.
pub struct Exported<P>(PhantomData<P>);

impl<P: Payout> Guest for Exported<P> {
    fn describe() -> types::Description {
        description(&crate::payout::describe::<P>())
    }

    fn weigh(ctx: types::Context, nodes: types::Batch) -> Result<Weights, types::PolicyError> {
        let weights = crate::payout::weigh::<P>(&context(ctx), &batch(nodes)).map_err(policy_error)?;
        Ok(Weights {
            weights: weights.weights,
            held_ppm: weights.held_ppm,
            caps: weights.caps,
            reasons: weights.reasons,
            reason_table: weights.reason_table,
        })
    }
}
