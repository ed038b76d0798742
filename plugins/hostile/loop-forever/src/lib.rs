//! Never returns: what fuel and deadlines are for.

use core::hint::black_box;

use lucid_policy_sdk::prelude::*;

/// Spins.
pub struct LoopForever;

impl Scoring for LoopForever {
    type Node = ();
    type Params = ();

    fn score(_: &Context<()>, (): &()) -> Result<Score, PolicyError> {
        // The hint keeps the compiler from seeing that the loop has no end.
        while black_box(true) {}
        Ok(Score::new(Ppm::ONE))
    }
}

lucid_policy_sdk::scoring!(LoopForever);
