use serde::{Deserialize, Serialize};

/// `[telemetry]`: how many reports may wait, and how long what nodes measured is kept, in whole
/// days of UTC.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Reports that may wait for the store at once, at least 1; beyond, the answer is 429 and the
    /// report is to be sent again.
    pub reports_waiting_max: usize,
    /// Samples that a node may send in a day to each replica, at least 1; more are dropped. By
    /// default one a second.
    pub samples_per_day: u32,
    /// Samples that arrive more than 90 s late, which a node may send in a day to each replica, at
    /// least 1; more are dropped. By default twice what an agent keeps of a week without the
    /// service.
    pub late_samples_per_day: u32,
    /// Samples; 1 to 366.
    pub raw_days: u32,
    /// Rollups of five minutes; from `raw_days` to 3,660.
    pub rollup_5m_days: u32,
    /// Rollups of an hour; from `rollup_5m_days` to 36,600.
    pub rollup_1h_days: u32,
    /// Alerts about nodes, from when they were over; 1 to 3,660.
    pub alerts_days: u32,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            reports_waiting_max: 4_096,
            samples_per_day: 86_400,
            late_samples_per_day: 40_320,
            raw_days: 7,
            rollup_5m_days: 90,
            rollup_1h_days: 365,
            alerts_days: 90,
        }
    }
}

impl Telemetry {
    /// What is coarser has to outlive what it is made of.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            raw_days,
            rollup_5m_days,
            rollup_1h_days,
            alerts_days,
            reports_waiting_max,
            samples_per_day,
            late_samples_per_day,
        } = *self;
        if reports_waiting_max == 0 {
            return Err("telemetry.reports_waiting_max is 0, and has to be at least 1".into());
        }
        for (name, per_day) in
            [("samples_per_day", samples_per_day), ("late_samples_per_day", late_samples_per_day)]
        {
            if per_day == 0 {
                return Err(format!("telemetry.{name} is 0, and has to be at least 1"));
            }
        }
        let ranges = [
            ("raw_days", raw_days, 1..=366),
            ("rollup_5m_days", rollup_5m_days, raw_days..=3_660),
            ("rollup_1h_days", rollup_1h_days, rollup_5m_days..=36_600),
            ("alerts_days", alerts_days, 1..=3_660),
        ];
        match ranges.into_iter().find(|(_, days, range)| !range.contains(days)) {
            Some((name, days, range)) => Err(format!(
                "telemetry.{name} is {days}, and has to be from {} to {}",
                range.start(),
                range.end()
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_coarser_outlives_what_it_is_made_of() {
        assert_eq!(Telemetry::default().check(), Ok(()));
        let short = Telemetry { rollup_5m_days: 6, ..Telemetry::default() };
        assert_eq!(
            short.check(),
            Err("telemetry.rollup_5m_days is 6, and has to be from 7 to 3660".into())
        );
        assert!(Telemetry { reports_waiting_max: 0, ..Telemetry::default() }.check().is_err());
        assert!(Telemetry { raw_days: 0, ..Telemetry::default() }.check().is_err());
        assert!(Telemetry { rollup_1h_days: 89, ..Telemetry::default() }.check().is_err());
        assert!(Telemetry { alerts_days: 0, ..Telemetry::default() }.check().is_err());
    }
}
