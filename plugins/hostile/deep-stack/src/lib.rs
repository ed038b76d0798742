//! Calls itself without end.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use core::sync::atomic::{AtomicU32, Ordering};

use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct DeepStack;

/// Never changes, which the compiler cannot know.
static BOTTOM: AtomicU32 = AtomicU32::new(0);

/// What follows the call keeps it from becoming a loop, and it takes nothing from the guest's own stack in memory.
fn dive(depth: u32) -> u32 {
    if depth == BOTTOM.load(Ordering::Relaxed) { depth } else { dive(depth | 1).rotate_left(depth) ^ BOTTOM.load(Ordering::Relaxed) }
}

impl Guest for DeepStack {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let multipliers = vec![dive(nodes.count); nodes.count as usize];
        Ok(Scores { multipliers, reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(DeepStack with_types_in lucid_policy_sdk::glue::scoring);
