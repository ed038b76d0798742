//! Shares the budget in proportion to score × observed time, among eligible nodes. No caps, no holds.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Unclamped score × credited seconds, summed over the period's epochs, so that a full score shared by
        /// many nodes still tells them apart.
        score_seconds: CentiSeconds = "score-seconds",
        /// 1 if the node may earn.
        eligible: Count = "eligible",
    }
}

/// The default payout policy.
pub struct Proportional;

impl Payout for Proportional {
    type Node = Node;
    type Params = ();

    fn weigh(_: &Context<(), Node>, node: &Node) -> Result<Weight, PolicyError> {
        if !node.eligible.is_set() {
            return Ok(Weight::new(0).because("not eligible in this period"));
        }
        // A negative weight could only be a fault of the host's; it must not become money.
        Ok(Weight::new(u64::try_from(node.score_seconds.get()).unwrap_or(0)))
    }
}

lucid_policy_sdk::payout!(Proportional);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
        assert!(golden::payout::<Proportional>(folder).unwrap() >= 4);
    }

    #[test]
    fn twice_the_score_seconds_is_twice_the_weight() {
        let call = native::Call::new().column("score-seconds", [36_000_000, 72_000_000]).column("eligible", [1, 1]);
        assert_eq!(call.weigh::<Proportional>().unwrap().weights, [36_000_000, 72_000_000]);
    }

    #[test]
    fn an_ineligible_node_is_told_why_it_gets_nothing() {
        let call = native::Call::new().column("score-seconds", [36_000_000, 36_000_000]).column("eligible", [1, 0]);
        let weights = call.weigh::<Proportional>().unwrap();
        assert_eq!(weights.weights, [36_000_000, 0]);
        assert_eq!(weights.reasons, [0, 1]);
        assert_eq!(weights.reason_table, ["not eligible in this period"]);
    }
}
