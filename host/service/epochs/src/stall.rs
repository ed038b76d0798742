//! Whether epochs are closed in time.

use lucid_foundation::ServiceError;
use lucid_model::{epochs::epoch::EpochRecord, time::TimeMs};

use crate::Epochs;

/// The alert about epochs that are not closed, whatever the reason.
pub const EPOCHS_STALLED: &str = "epochs-stalled";

/// Periods without a closed epoch that are a stall.
const STALL_PERIODS: i64 = 2;

/// The next epoch to close, and since when it is next by the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    start_s: i64,
    since_ms: i64,
}

impl Epochs {
    /// Raises or clears the alert about epochs that are not closed.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn check_stall(&self, last: Option<&EpochRecord>) -> Result<(), ServiceError> {
        let next = self.next_epoch(last).await?;
        self.report_stall(next.map(|epoch| epoch.start_s));
        Ok(())
    }

    /// A stall is measured by the steady clock: a wall clock that is wrong hides none.
    fn report_stall(&self, next_start_s: Option<i64>) {
        let now_ms = self.parts.clock.since_boot_ms();
        let Some(start_s) = next_start_s else {
            *self.awaited_epoch.lock() = None;
            return self.parts.notifications.clear_alert(EPOCHS_STALLED);
        };
        let since_ms = {
            let mut awaited = self.awaited_epoch.lock();
            let still = awaited.filter(|awaited| awaited.start_s == start_s);
            awaited.insert(still.unwrap_or(Awaited { start_s, since_ms: now_ms })).since_ms
        };
        let patience_ms = STALL_PERIODS * i64::from(self.parts.rules.epoch.seconds()) * 1_000
            + self.config.epoch_close_delay_ms.max(self.config.epoch_deadline_ms);
        if now_ms - since_ms <= patience_ms {
            return self.parts.notifications.clear_alert(EPOCHS_STALLED);
        }
        let minutes = patience_ms / 60_000;
        let words = format!(
            "no epoch was closed for {STALL_PERIODS} periods ({minutes} min): the next one begins at {}",
            TimeMs::from_unix_s(start_s)
        );
        self.parts.notifications.alert(EPOCHS_STALLED, words);
    }
}
