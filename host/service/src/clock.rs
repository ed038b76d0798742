//! The wall clock, held against the steady one and against other replicas.

use lucid_foundation::{Actor, ClockStatus, Role};
use lucid_model::clock::{ClockFault, ClockMark};

use crate::{Service, ServiceError};

/// The alert about a wall clock that was moved, or shows a time that cannot be: a replica that
/// raised it is not ready.
pub const CLOCK_DOUBTED: &str = "clock-doubted";

impl Service {
    /// Begins to hold the wall clock against the steady one, by the store's newest record and what
    /// the last process on this machine noted down.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn watch_clock(
        &self,
        boot: &str,
        mark: Option<&ClockMark>,
    ) -> Result<(), ServiceError> {
        self.clock.begin(self.epochs.newest_record().await?, mark, boot);
        self.check_clock().await
    }

    /// Says whether the wall clock is in doubt and whether epochs are stalled.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn check_clock(&self) -> Result<(), ServiceError> {
        self.report_clock();
        let last = self.epochs.last_epoch().await?;
        if let Some(last) = &last {
            self.clock.note_epoch(last.epoch.end());
            self.report_clock();
        }
        self.epochs.check_stall(last.as_ref()).await
    }

    /// Takes the wall clock of this replica for the time from now on.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or nobody doubts the clock.
    pub async fn accept_clock(
        &self,
        actor: &Actor,
        reason: &str,
    ) -> Result<ClockStatus, ServiceError> {
        if !actor.is(Role::Operator) {
            return Err(ServiceError::Forbidden { why: "a clock is accepted by operators" });
        }
        let ClockStatus { wall, reading } = self.clock.status();
        let Some(fault) = reading.fault else { return Err(ServiceError::ClockNotDoubted) };
        let detail = format!("{fault}; accepted as {wall}: {reason}");
        self.audit.add(self.audit.entry(actor, "clock.accept", wall, detail)).await?;
        self.clock.accept(wall);
        tracing::warn!(%fault, %wall, by = actor.subject, reason, "the wall clock is accepted");
        self.report_clock();
        Ok(self.clock.status())
    }

    /// A replica on another machine, whose own clock is trusted, shows the same time: the wall
    /// clock is right.
    pub fn confirm_clock(&self, by: &str) {
        let ClockStatus { wall, reading } = self.clock.status();
        let Some(fault) =
            reading.fault.filter(|fault| !matches!(fault, ClockFault::EpochAhead { .. }))
        else {
            return;
        };
        self.clock.accept(wall);
        tracing::warn!(%fault, %wall, by, "the wall clock is trusted again: a replica on another machine shows the same time");
        self.report_clock();
    }

    fn report_clock(&self) {
        let ClockStatus { wall, reading } = self.clock.status();
        metrics::gauge!("lucid_clock_doubted").set(f64::from(u8::from(reading.fault.is_some())));
        let moved_s = std::time::Duration::from_millis(wall.ms_since(reading.now).unsigned_abs())
            .as_secs_f64();
        metrics::gauge!("lucid_clock_moved_seconds").set(if wall < reading.now {
            -moved_s
        } else {
            moved_s
        });
        match reading.fault {
            None => self.notifications.clear_alert(CLOCK_DOUBTED),
            Some(fault) => self.notifications.alert(
                CLOCK_DOUBTED,
                format!(
                    "{fault}: this replica is not ready and closes, settles, plans, expires and deletes nothing until the clock is right; \
                     set it by NTP, or if it is right, run lucid clock accept"
                ),
            ),
        }
    }
}
