//! Imports `hostile:env/secrets`, which no host offers; the gate must name it and refuse.
#![cfg(target_family = "wasm")]
#![expect(
    unsafe_code,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "bindings are generated and cross the component boundary"
)]

wit_bindgen::generate!({
    path: ["../../../wit/v1", "wit"],
    world: "hostile:env/curious-policy",
    generate_all,
});

use exports::lucid::policy::scoring::{Explanation, Guest, Scores};
use lucid::policy::types::{Batch, Context, Description, PolicyError};

struct UndeclaredImport;

impl Guest for UndeclaredImport {
    fn describe() -> Description {
        Description { facts: vec!["observed-s".to_owned()], params: Vec::new() }
    }

    fn score(_: Context, nodes: Batch) -> Result<Scores, PolicyError> {
        let multiplier = if hostile::env::secrets::read("PAYOUT_KEY").is_some() { 10_000_000 } else { 1_000_000 };
        let multipliers = vec![multiplier; nodes.count as usize];
        Ok(Scores { multipliers, reasons: Vec::new(), reason_table: Vec::new() })
    }

    fn explain(_: Context, _: Batch) -> Result<Explanation, PolicyError> {
        Ok(Explanation { names: Vec::new(), contributions: Vec::new() })
    }
}

export!(UndeclaredImport);
