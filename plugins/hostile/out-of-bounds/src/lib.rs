//! Returns multipliers no host allows.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct OutOfBounds;

impl Guest for OutOfBounds {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let multipliers = vec![u32::MAX; nodes.count as usize];
        Ok(Scores { multipliers, reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(OutOfBounds with_types_in lucid_policy_sdk::glue::scoring);
