//! Staying: the longer a node was eligible without a break, the more its time counts, up to a limit.
//!
//! `multiplier = 1 + bonus × min(streak, full) ÷ full`, and 1 in an epoch in which the node was away too long: a streak
//! is worth nothing to a node that lives on it.

use lucid_policy_sdk::prelude::*;

facts! {
    /// What this policy reads of a node.
    pub struct Node {
        /// Epochs in a row before this one in which the node was eligible.
        streak: Count = "streak-epochs",
        /// Part of the epoch in which the node reported.
        uptime: Ppm = "uptime-ppm",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// What a full streak adds to the multiplier.
        bonus: Ppm = "bonus", default 250_000, in 0..=1_000_000;
        /// Epochs of a full streak; 720 are 30 days of hours.
        full: Count = "full-streak-epochs", default 720, in 1..=100_000;
        /// Uptime in this epoch below which there is no bonus.
        uptime_min: Ppm = "uptime-min", default 950_000, in 0..=1_000_000;
    }
}

/// Rewards staying.
pub struct UptimeStreak;

impl Scoring for UptimeStreak {
    type Node = Node;
    type Params = Settings;

    fn score(ctx: &Context<Settings, Node>, node: &Node) -> Result<Score, PolicyError> {
        let bonus = bonus(&ctx.params, node);
        let score = Score::new(Ppm::ONE.saturating_add(bonus));
        Ok(if node.uptime < ctx.params.uptime_min { score.because("away too long in this epoch for a streak's bonus") } else { score })
    }

    fn explain(ctx: &Context<Settings, Node>, node: &Node) -> Result<Vec<Contribution>, PolicyError> {
        Ok(vec![("base", Ppm::ONE), ("streak-bonus", bonus(&ctx.params, node))])
    }
}

fn bonus(settings: &Settings, node: &Node) -> Ppm {
    if node.uptime < settings.uptime_min { Ppm::ZERO } else { settings.bonus.mul_ppm_floor(node.streak.share_floor(settings.full)) }
}

lucid_policy_sdk::scoring!(UptimeStreak);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        assert!(golden::scoring::<UptimeStreak>(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap() >= 4);
    }

    #[test]
    fn a_longer_streak_never_scores_less() {
        let streaks: Vec<i64> = (0..=1_500).step_by(7).collect();
        let uptime = vec![1_000_000; streaks.len()];
        let scores = native::Call::new().column("streak-epochs", streaks).column("uptime-ppm", uptime).score::<UptimeStreak>().unwrap();
        assert!(scores.multipliers.is_sorted());
        assert_eq!((scores.multipliers.first(), scores.multipliers.last()), (Some(&1_000_000), Some(&1_250_000)));
    }
}
