//! How long the treasury lasts.

use lucid_foundation::ServiceError;
use lucid_model::money::MicroUsdt;

use crate::Money;

const DAY_S: f64 = 86_400.0;

impl Money {
    /// Measures the budget, and how many days the treasury lasts at it. Nothing without a budget:
    /// there is nothing to last for.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn measure_runway(&self) -> Result<(), ServiceError> {
        let Some(budget) = self.config.budget.filter(|budget| *budget > MicroUsdt::ZERO) else {
            return Ok(());
        };
        let periods = usdt(self.treasury().await?) / usdt(budget);
        metrics::gauge!("lucid_budget_usdt").set(usdt(budget));
        metrics::gauge!("lucid_treasury_runway_days")
            .set(periods * f64::from(self.parts.rules.settlement.seconds()) / DAY_S);
        Ok(())
    }
}

/// For measurements alone: amounts are floats nowhere else.
pub fn usdt(amount: MicroUsdt) -> f64 {
    amount.to_string().parse().unwrap_or(f64::NAN)
}
