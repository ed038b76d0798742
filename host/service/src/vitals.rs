//! Watching tasks and store: alerts, and the freeze of payments that damage calls for.

use lucid_foundation::{STORE, STORE_DAMAGED, TASKS};

use crate::{Service, ServiceError};

impl Service {
    /// Raises and clears the alert about tasks.
    pub fn watch_tasks(&self) {
        let troubles: Vec<_> = self
            .vitals
            .tasks()
            .into_iter()
            .filter_map(|task| task.trouble)
            .map(|trouble| trouble.words)
            .collect();
        if troubles.is_empty() {
            self.notifications.clear_alert(TASKS)
        } else {
            self.notifications.alert(TASKS, troubles.join("; "))
        }
    }

    /// Reads every page of the store. Damage freezes payments.
    ///
    /// # Errors
    /// [`ServiceError::Store`] if it cannot be read: that says nothing about its pages.
    pub async fn check_store(&self) -> Result<(), ServiceError> {
        self.vitals.check_pages().await?;
        self.heed_damage().await
    }

    /// Proves that the store can be written, and says so. Fewer bytes left on its disk than
    /// `free_bytes_min` are too few.
    pub async fn watch_store(&self, free_bytes_min: u64) {
        match self.vitals.probe_store(free_bytes_min).await {
            Ok(()) => self.notifications.clear_alert(STORE),
            Err(words) => self.notifications.alert(STORE, words),
        }
        let heeded = self.heed_damage().await;
        let is_news = self.vitals.freeze_is_unwritten(heeded.is_err());
        if let Err(error) = heeded
            && is_news
        {
            tracing::error!(%error, "the freeze of payments could not be written; nothing is paid all the same");
        }
    }

    /// Freezes payments if something is damaged. What is frozen in memory stays so until the
    /// process ends, and whoever starts on the store finds the damage again.
    async fn heed_damage(&self) -> Result<(), ServiceError> {
        if !self.vitals.store_holds_payments().await? {
            return Ok(());
        }
        let Some(damage) = self.vitals.store_damage() else { return Ok(()) };
        let words = format!("{damage}: restore the last good backup");
        self.notifications.alert(STORE_DAMAGED, words.clone());
        if self.money.payments_switch().await.is_ok_and(|switch| switch.frozen.is_some()) {
            return Ok(());
        }
        self.money.stop_payments(format!("the store is damaged: {words}")).await
    }
}
