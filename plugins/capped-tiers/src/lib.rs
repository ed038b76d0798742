//! Shares as `proportional` does, with a most for each node: the higher its mean score over the period, the higher its cap.
//! What a cap cuts off goes to the others.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Unclamped score × credited seconds, summed over the period's epochs.
        score_seconds: CentiSeconds = "score-seconds",
        /// 1 if the node may earn.
        eligible: Count = "eligible",
        /// Mean unclamped score of the period's epochs.
        mean_score: Centi = "raw-score-centi",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Mean score from which a node is of the middle tier.
        middle_from: Centi = "middle-from", default 6_000, in 0..=1_000_000_000;
        /// Mean score from which a node is of the top tier.
        top_from: Centi = "top-from", default 8_500, in 0..=1_000_000_000;
        /// The most a node of the base tier gets in a period.
        base_cap: MicroUsdt = "base-cap", default 5_000_000, in 1..=1_000_000_000_000;
        /// The most a node of the middle tier gets.
        middle_cap: MicroUsdt = "middle-cap", default 25_000_000, in 1..=1_000_000_000_000;
        /// The most a node of the top tier gets.
        top_cap: MicroUsdt = "top-cap", default 100_000_000, in 1..=1_000_000_000_000;
    }
}

/// A higher tier begins lower, or is capped lower, than one below it.
pub const TIERS_CROSSED: u32 = 1;

/// Caps by tier.
pub struct CappedTiers;

impl Payout for CappedTiers {
    type Node = Node;
    type Params = Settings;

    fn check(settings: &Settings) -> Result<(), PolicyError> {
        let ordered =
            settings.middle_from <= settings.top_from && settings.base_cap <= settings.middle_cap && settings.middle_cap <= settings.top_cap;
        if ordered { Ok(()) } else { Err(PolicyError::new(TIERS_CROSSED, "a higher tier begins lower, or is capped lower, than one below it")) }
    }

    fn weigh(ctx: &Context<Settings, Node>, node: &Node) -> Result<Weight, PolicyError> {
        if !node.eligible.is_set() {
            return Ok(Weight::new(0).because("not eligible in this period"));
        }
        let weight = Weight::new(u64::try_from(node.score_seconds.get()).unwrap_or(0));
        Ok(if node.mean_score >= ctx.params.top_from {
            weight.capped(ctx.params.top_cap).because("top tier")
        } else if node.mean_score >= ctx.params.middle_from {
            weight.capped(ctx.params.middle_cap).because("middle tier")
        } else {
            weight.capped(ctx.params.base_cap).because("base tier")
        })
    }
}

lucid_policy_sdk::payout!(CappedTiers);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::payout::<CappedTiers>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn a_better_score_is_never_capped_lower() {
        let scores: Vec<i64> = (0..=12_000).step_by(100).collect();
        let ones = vec![1; scores.len()];
        let call = native::Call::new().column("score-seconds", ones.clone()).column("eligible", ones).column("raw-score-centi", scores);
        assert!(call.weigh::<CappedTiers>().unwrap().caps.is_sorted());
    }

    #[test]
    fn tiers_that_cross_are_refused() {
        let call = native::Call::new().column("score-seconds", [1]).column("eligible", [1]).column("raw-score-centi", [1]);
        let refused = call.param("top-from", 10).weigh::<CappedTiers>().unwrap_err();
        assert!(matches!(refused, native::CallError::Policy(error) if error.code == TIERS_CROSSED));
    }
}
