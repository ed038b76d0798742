//! The service's time, and what waits while the wall clock is in doubt.
//!
//! Every step that closes, settles, plans, expires or deletes asks [`Service::sure_now`] first.

use lucid_model::{
    clock::{ClockFault, ClockMark, Reading},
    shared_clock::SharedClock,
    time::TimeMs,
};
use lucid_ports::{AuditFilter, Checked, Order, PageRequest};

use crate::{Actor, Role, Service, ServiceError};

/// The alert about a wall clock that was moved, or shows a time that cannot be: a replica that
/// raised it is not ready.
pub const CLOCK_DOUBTED: &str = "clock-doubted";
/// The alert about epochs that are not closed, whatever the reason.
pub const EPOCHS_STALLED: &str = "epochs-stalled";
/// Periods without a closed epoch that are a stall.
const STALL_PERIODS: i64 = 2;

/// The clocks of this replica, as somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    /// What the wall clock shows.
    pub wall: TimeMs,
    /// The service's time, and whether the wall clock is trusted.
    pub reading: Reading,
}

/// The epoch that is to be closed next, and since when it is the next by the steady clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    start_s: i64,
    since_ms: i64,
}

impl Service {
    /// The service's time: the wall clock, while it is trusted.
    pub fn now(&self) -> TimeMs {
        self.reading().now
    }

    /// What the clocks say now.
    pub fn clock_status(&self) -> ClockStatus {
        let wall = self.ports.clock.now();
        ClockStatus {
            wall,
            reading: self.clock_watch.lock().read(wall, self.ports.clock.since_boot_ms()),
        }
    }

    fn reading(&self) -> Reading {
        self.clock_status().reading
    }

    /// The time, unless the wall clock is in doubt: nothing is closed, settled, planned, expired or
    /// deleted then.
    pub(crate) fn sure_now(&self) -> Option<TimeMs> {
        let reading = self.reading();
        reading.fault.is_none().then_some(reading.now)
    }

    /// Whether the service's time is the time, so that presence can be dated.
    pub(crate) fn time_is_known(&self) -> bool {
        self.reading().is_exact
    }

    /// What presence is dated by: the clock that replicas share, or the service's own while there
    /// is one replica.
    pub(crate) fn presence_now(&self) -> TimeMs {
        let shared = *self.shared_clock.lock();
        shared.map_or_else(|| self.now(), |shared| shared.read(self.ports.clock.monotonic_ms()))
    }

    /// Follows the clock that replicas share, as the coordinator just showed it.
    pub fn follow_shared_clock(&self, checked: Checked) {
        let (at, monotonic_ms) =
            (self.ports.clock.now().plus_ms(-checked.ahead_ms), self.ports.clock.monotonic_ms());
        let mut shared = self.shared_clock.lock();
        *shared = SharedClock::checked(*shared, at, checked.within_ms, monotonic_ms);
    }

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
        let newest = self.newest_record().await?;
        self.clock_watch.lock().begin(newest, mark, boot, self.ports.clock.since_boot_ms());
        self.check_clock().await
    }

    /// Says whether the wall clock is in doubt and whether epochs are stalled.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn check_clock(&self) -> Result<(), ServiceError> {
        self.say_clock();
        let last = self.store().last_epoch().await?;
        if let Some(last) = &last {
            self.clock_watch.lock().note_epoch(last.epoch.end());
            self.say_clock();
        }
        let next = self.next_epoch(last.as_ref()).await?;
        self.say_stall(next.map(|epoch| epoch.start_s));
        Ok(())
    }

    /// What the next start on this machine has to know; none while the wall clock is in doubt.
    pub fn clock_mark(&self, boot: &str) -> Option<ClockMark> {
        let (wall, steady_ms) = (self.ports.clock.now(), self.ports.clock.since_boot_ms());
        self.clock_watch.lock().mark(boot, wall, steady_ms)
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
        let ClockStatus { wall, reading } = self.clock_status();
        let Some(fault) = reading.fault else { return Err(ServiceError::ClockNotDoubted) };
        let detail = format!("{fault}; accepted as {wall}: {reason}");
        self.store().add_audit(self.audit_entry(actor, "clock.accept", wall, detail)).await?;
        self.clock_watch.lock().accept(wall, self.ports.clock.since_boot_ms());
        tracing::warn!(%fault, %wall, by = actor.subject, reason, "the wall clock is accepted");
        self.say_clock();
        Ok(self.clock_status())
    }

    /// A replica on another machine, whose own clock is trusted, shows the same time: the wall
    /// clock is right.
    pub fn confirm_clock(&self, by: &str) {
        let ClockStatus { wall, reading } = self.clock_status();
        let Some(fault) =
            reading.fault.filter(|fault| !matches!(fault, ClockFault::EpochAhead { .. }))
        else {
            return;
        };
        self.clock_watch.lock().accept(wall, self.ports.clock.since_boot_ms());
        tracing::warn!(%fault, %wall, by, "the wall clock is trusted again: a replica on another machine shows the same time");
        self.say_clock();
    }

    fn say_clock(&self) {
        let ClockStatus { wall, reading } = self.clock_status();
        metrics::gauge!("lucid_clock_doubted").set(f64::from(u8::from(reading.fault.is_some())));
        let moved_s = std::time::Duration::from_millis(wall.ms_since(reading.now).unsigned_abs())
            .as_secs_f64();
        metrics::gauge!("lucid_clock_moved_seconds").set(if wall < reading.now {
            -moved_s
        } else {
            moved_s
        });
        match reading.fault {
            None => self.clear_alert(CLOCK_DOUBTED),
            Some(fault) => self.alert(
                CLOCK_DOUBTED,
                format!(
                    "{fault}: this replica is not ready and closes, settles, plans, expires and deletes nothing until the clock is right; \
                     set it by NTP, or if it is right, run lucid clock accept"
                ),
            ),
        }
    }

    /// A stall is measured by the steady clock: a wall clock that is wrong hides none.
    fn say_stall(&self, next_start_s: Option<i64>) {
        let now_ms = self.ports.clock.since_boot_ms();
        let Some(start_s) = next_start_s else {
            *self.awaited_epoch.lock() = None;
            return self.clear_alert(EPOCHS_STALLED);
        };
        let since_ms = {
            let mut awaited = self.awaited_epoch.lock();
            let still = awaited.filter(|awaited| awaited.start_s == start_s);
            awaited.insert(still.unwrap_or(Awaited { start_s, since_ms: now_ms })).since_ms
        };
        let patience_ms = STALL_PERIODS * i64::from(self.config.epoch.seconds()) * 1_000
            + self.config.epoch_close_delay_ms.max(self.config.epoch_deadline_ms);
        if now_ms - since_ms <= patience_ms {
            return self.clear_alert(EPOCHS_STALLED);
        }
        let minutes = patience_ms / 60_000;
        let words = format!(
            "no epoch was closed for {STALL_PERIODS} periods ({minutes} min): the next one begins at {}",
            TimeMs::from_unix_s(start_s)
        );
        self.alert(EPOCHS_STALLED, words);
    }

    /// The newest instant that the store knows: an epoch's, an audit entry's or a seal's.
    pub(crate) async fn newest_record(&self) -> Result<Option<TimeMs>, ServiceError> {
        let epoch =
            self.store().last_epoch().await?.map(|last| last.closed_at.max(last.epoch.end()));
        let seal = self.store().last_audit_seal().await?.map(|seal| seal.statement.at);
        let newest = PageRequest { page: 1, limit: 1, sort: (), order: Order::Descending };
        let entry = self
            .store()
            .audit(&AuditFilter::default(), newest)
            .await?
            .items
            .pop()
            .map(|chained| chained.entry.at);
        Ok(epoch.max(seal).max(entry))
    }
}
