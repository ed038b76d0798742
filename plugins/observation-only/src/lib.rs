//! Observation time alone: every multiplier is one, so the score is 100 × observed ÷ period.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Credited seconds.
        observed: Seconds = "observed-s",
        /// Length of the epoch.
        period: Seconds = "period-s",
    }
}

/// The simplest scoring policy.
pub struct ObservationOnly;

impl Scoring for ObservationOnly {
    type Node = Node;
    type Params = ();

    fn score(_: &Context<(), Node>, _: &Node) -> Result<Score, PolicyError> {
        Ok(Score::new(Ppm::ONE))
    }

    fn explain(_: &Context<(), Node>, node: &Node) -> Result<Vec<Contribution>, PolicyError> {
        Ok(vec![(factor::OBSERVATION_TIME, node.observed.share_floor(node.period))])
    }
}

lucid_policy_sdk::scoring!(ObservationOnly);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
        assert!(golden::scoring::<ObservationOnly>(folder).unwrap() >= 4);
    }

    #[test]
    fn the_only_contribution_is_the_observed_part() {
        let call = native::Call::new().column("observed-s", [2_340, 0]).column("period-s", [3_600, 3_600]);
        let explained = call.explain::<ObservationOnly>().unwrap();
        assert_eq!(explained.names, ["observation-time-weight"]);
        assert_eq!(explained.contributions, [[650_000, 0]]);
    }
}
