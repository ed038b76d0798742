//! The WIT bindings, and a typed policy as what they ask for. Only in WebAssembly.
//!
//! `glue::scoring::Guest` and its neighbours are the bare interface, for whoever wants the columns themselves.

// The generated code answers to the interface, not to this project's lints.
#![expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "bindings are generated and cross the component boundary")]

/// Re-exported for the `export!` macros.
pub use wit_bindgen;

use crate::{PolicyError, abi};

pub mod payout;
pub mod scoring;
pub mod validation;

pub use scoring::lucid::policy::{log, types};

fn context(wit: types::Context) -> abi::RawContext {
    abi::RawContext { epoch: wit.epoch, period_seconds: wit.period_seconds, seed: wit.seed, params: wit.params, totals: wit.totals }
}

fn batch(wit: types::Batch) -> abi::Batch {
    abi::Batch { count: wit.count, columns: wit.columns }
}

fn policy_error(error: PolicyError) -> types::PolicyError {
    types::PolicyError { code: error.code, message: error.message }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn params(specs: &[abi::ParamSpec]) -> Vec<types::Param> {
    specs
        .iter()
        .map(|spec| types::Param {
            name: spec.name.to_owned(),
            unit: spec.unit.to_owned(),
            default: spec.default,
            min: spec.min,
            max: spec.max,
            doc: spec.doc.to_owned(),
        })
        .collect()
}

fn description(description: &abi::Description) -> types::Description {
    types::Description { facts: names(description.facts), params: params(description.params) }
}
