//! The gate asks about later epochs with the same facts; this is why.

use lucid_policy_sdk::prelude::*;

/// The epoch the gate starts from, Unix seconds.
const FIRST_EPOCH_S: i64 = 1_760_054_400;

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Epochs from then until it turns.
        fuse: Count = "fuse", default 1, in 1..=1_000_000;
    }
}

/// Ticks.
pub struct TimeBomb;

impl Scoring for TimeBomb {
    type Node = ();
    type Params = Settings;

    fn score(ctx: &Context<Settings>, (): &()) -> Result<Score, PolicyError> {
        let turns_at = FIRST_EPOCH_S.saturating_add(ctx.params.fuse.get().saturating_mul(3_600));
        Ok(Score::new(if ctx.epoch.get() < turns_at { Ppm::ONE } else { Ppm::ZERO }))
    }
}

lucid_policy_sdk::scoring!(TimeBomb);
