//! Traps, as any bug that panics would.

use lucid_policy_sdk::prelude::*;

/// Aborts.
pub struct Trap;

impl Scoring for Trap {
    type Node = ();
    type Params = ();

    fn score(_: &Context<()>, (): &()) -> Result<Score, PolicyError> {
        std::process::abort()
    }
}

lucid_policy_sdk::scoring!(Trap);
