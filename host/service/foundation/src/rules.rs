use lucid_model::epochs::{epoch::PeriodLength, score::Ppm};

/// Settings that several features go by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Length of an epoch.
    pub epoch: PeriodLength,
    /// Length of a settlement period.
    pub settlement: PeriodLength,
    /// `POOT_SCORE_MULTIPLIER`.
    pub score_multiplier: Ppm,
    /// Who plans may not approve, who uploads a payout policy may not activate it.
    pub four_eyes: bool,
}
