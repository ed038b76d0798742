//! Shares as `proportional` does, and holds a part of young nodes' shares back: 75 % in months 1–3, 50 % in months 4–6,
//! 25 % in months 7–9, nothing after.
//!
//! The schedule is that of Storj's held amount (Storj node operator terms, "held amount"). When what was held is given
//! back, or not, is the host's: this policy only says how much.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Unclamped score × credited seconds, summed over the period's epochs.
        score_seconds: CentiSeconds = "score-seconds",
        /// 1 if the node may earn.
        eligible: Count = "eligible",
        /// Since its registration, at the period's end.
        age: Seconds = "age-s",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Length of a month; 2,592,000 s are 30 days.
        month: Seconds = "month", default 2_592_000, in 1..=31_557_600;
        /// Held back in months 1–3.
        first: Ppm = "months-1-to-3", default 750_000, in 0..=1_000_000;
        /// Held back in months 4–6.
        second: Ppm = "months-4-to-6", default 500_000, in 0..=1_000_000;
        /// Held back in months 7–9.
        third: Ppm = "months-7-to-9", default 250_000, in 0..=1_000_000;
    }
}

/// Holds back.
pub struct HeldAmount;

impl Payout for HeldAmount {
    type Node = Node;
    type Params = Settings;

    fn weigh(ctx: &Context<Settings, Node>, node: &Node) -> Result<Weight, PolicyError> {
        if !node.eligible.is_set() {
            return Ok(Weight::new(0).because("not eligible in this period"));
        }
        let weight = Weight::new(u64::try_from(node.score_seconds.get()).unwrap_or(0));
        // Whole months that have passed: 0 in the first.
        let months = node.age.get().checked_div(ctx.params.month.get()).unwrap_or(0);
        Ok(match months {
            ..3 => weight.held(ctx.params.first).because("months 1 to 3: a part is held back"),
            3..6 => weight.held(ctx.params.second).because("months 4 to 6: a part is held back"),
            6..9 => weight.held(ctx.params.third).because("months 7 to 9: a part is held back"),
            _ => weight,
        })
    }
}

lucid_policy_sdk::payout!(HeldAmount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::payout::<HeldAmount>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn the_schedule_is_that_of_nine_months() {
        let ages: Vec<i64> = (0..=9).map(|month| month * 2_592_000).collect();
        let ones = vec![1; ages.len()];
        let weights = native::Call::new().column("score-seconds", ones.clone()).column("eligible", ones).column("age-s", ages).weigh::<HeldAmount>();
        let expected = [750_000, 750_000, 750_000, 500_000, 500_000, 500_000, 250_000, 250_000, 250_000, 0];
        assert_eq!(weights.unwrap().held_ppm, expected);
    }
}
