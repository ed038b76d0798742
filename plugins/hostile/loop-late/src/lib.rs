//! Behaves in the small batches a careless gate would try, and never returns from a larger one.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct LoopLate;

impl Guest for LoopLate {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        // The hint keeps the compiler from seeing that the loop has no end.
        while nodes.count > 5 && core::hint::black_box(true) {}
        Ok(Scores { multipliers: vec![1_000_000; nodes.count as usize], reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(LoopLate with_types_in lucid_policy_sdk::glue::scoring);
