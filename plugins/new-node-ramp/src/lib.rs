//! New nodes start low and grow: registering again and again is worth less than staying.
//!
//! `multiplier = start + (1 − start) × min(age, ramp) ÷ ramp`.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Since its registration, at the epoch's end.
        age: Seconds = "age-s",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Multiplier of a node that was just registered.
        start: Ppm = "start", default 250_000, in 0..=1_000_000;
        /// Age from which the multiplier is one; 2,592,000 s are 30 days.
        ramp: Seconds = "ramp", default 2_592_000, in 1..=315_576_000;
    }
}

/// Grows with age.
pub struct NewNodeRamp;

impl Scoring for NewNodeRamp {
    type Node = Node;
    type Params = Settings;

    fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
        let score = Score::new(ctx.params.start.saturating_add(grown(&ctx.params, node)));
        Ok(if node.age < ctx.params.ramp { score.because("new: counts in full when it is older") } else { score })
    }

    fn explain(ctx: &Context<Settings, Node>, node: &Node) -> Result<Vec<Contribution>, PolicyError> {
        Ok(vec![("start", ctx.params.start), ("grown", grown(&ctx.params, node))])
    }
}

fn grown(settings: &Settings, node: &Node) -> Ppm {
    Ppm::ONE.saturating_sub(settings.start).mul_ppm_floor(node.age.share_floor(settings.ramp))
}

lucid_policy_sdk::scoring!(NewNodeRamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::scoring::<NewNodeRamp>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn it_grows_from_the_start_to_one() {
        let ages: Vec<i64> = (0..=40).map(|day| day * 86_400).collect();
        let scores = native::Call::new().column("age-s", ages).score::<NewNodeRamp>().unwrap();
        assert!(scores.multipliers.is_sorted());
        assert_eq!((scores.multipliers.first(), scores.multipliers.last()), (Some(&250_000), Some(&1_000_000)));
    }
}
