use serde::{Deserialize, Serialize};

/// `[webhooks]`: what operators have sent to endpoints of theirs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Endpoints there may be; 0 to 1,000.
    pub endpoints_max: usize,
    /// Deliveries that may wait for one endpoint; beyond, the oldest are dropped; 1 to 1,000,000.
    pub undelivered_max: u32,
    /// For one try, in milliseconds; 100 to 60,000.
    pub timeout_ms: u32,
    /// First wait before a delivery is sent again, in milliseconds; it doubles; 10 to 3,600,000.
    pub retry_first_ms: u32,
    /// Longest wait, in seconds; 1 to 86,400.
    pub retry_max_s: u32,
    /// Age at which a delivery is given up, in seconds; 1 to 604,800.
    pub give_up_s: u32,
    /// How long deliveries are kept in the list, in days; at least as long as they are tried; 1 to 366.
    pub kept_days: u32,
    /// Whether `http://` and addresses that are not of the internet (loopback, link-local, private,
    /// metadata) are allowed.
    pub inside: bool,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            endpoints_max: 20,
            undelivered_max: 10_000,
            timeout_ms: 10_000,
            retry_first_ms: 1_000,
            retry_max_s: 3_600,
            give_up_s: 86_400,
            kept_days: 7,
            inside: false,
        }
    }
}

impl Webhooks {
    /// Every limit is a limit.
    pub fn check(&self) -> Result<(), String> {
        let endpoints_max = u32::try_from(self.endpoints_max).unwrap_or(u32::MAX);
        let ranges = [
            ("endpoints_max", endpoints_max, 0..=1_000),
            ("undelivered_max", self.undelivered_max, 1..=1_000_000),
            ("timeout_ms", self.timeout_ms, 100..=60_000),
            ("retry_first_ms", self.retry_first_ms, 10..=3_600_000),
            ("retry_max_s", self.retry_max_s, 1..=86_400),
            ("give_up_s", self.give_up_s, 1..=604_800),
            ("kept_days", self.kept_days, self.give_up_s.div_ceil(86_400)..=366),
        ];
        match ranges.into_iter().find(|(_, number, range)| !range.contains(number)) {
            Some((name, number, range)) => Err(format!(
                "webhooks.{name} is {number}, and has to be from {} to {}",
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
    fn deliveries_are_kept_as_long_as_they_are_tried() {
        assert_eq!(Webhooks::default().check(), Ok(()));
        let short = Webhooks { give_up_s: 172_801, kept_days: 2, ..Webhooks::default() };
        assert_eq!(
            short.check(),
            Err("webhooks.kept_days is 2, and has to be from 3 to 366".into())
        );
        assert!(Webhooks { timeout_ms: 0, ..Webhooks::default() }.check().is_err());
    }
}
