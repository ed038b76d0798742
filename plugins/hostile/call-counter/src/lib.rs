//! Counts its calls in a static: with an instance of its own for every call, that is always one.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use core::sync::atomic::{AtomicU32, Ordering};

use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct CallCounter;

static CALLS: AtomicU32 = AtomicU32::new(0);

impl Guest for CallCounter {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let multipliers = vec![calls; nodes.count as usize];
        Ok(Scores { multipliers, reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(CallCounter with_types_in lucid_policy_sdk::glue::scoring);
