//! Floods the host's log.
//!
//! The typed interface of the SDK cannot express this, hence the bare one.
#![cfg(target_family = "wasm")]

use lucid_policy_sdk::glue::log;
use lucid_policy_sdk::glue::{
    scoring::{Explanation, Guest, Scores},
    types::{Batch, Context, Description, PolicyError},
};

struct LogFlood;

impl Guest for LogFlood {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let line = "x".repeat(1_000);
        for _ in 0..1_000_000 {
            log::write(log::Level::Warn, &line);
        }
        let multipliers = vec![1_000_000; nodes.count as usize];
        Ok(Scores { multipliers, reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

lucid_policy_sdk::glue::scoring::export!(LogFlood with_types_in lucid_policy_sdk::glue::scoring);
