//! Points to the seventh sentence of a table of one.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct BadReason;

impl Guest for BadReason {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let count = nodes.count as usize;
        Ok(Scores { multipliers: vec![1_000_000; count], reasons: vec![7; count], reason_table: vec!["the only one".to_owned()] })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(BadReason with_types_in lucid_policy_sdk::glue::scoring);
