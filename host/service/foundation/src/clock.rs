//! The service's time: the wall clock while it is trusted, and the clock that replicas share.
//!
//! Every step that closes, settles, plans, expires or deletes asks [`ServiceClock::sure_now`]
//! first.

use std::sync::Arc;

use lucid_model::{
    clock::{ClockMark, ClockWatch, Reading},
    shared_clock::SharedClock,
    time::TimeMs,
};
use lucid_ports::{Checked, Clock};
use parking_lot::Mutex;

/// The clocks of this replica, as somebody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    /// What the wall clock shows.
    pub wall: TimeMs,
    /// The service's time, and whether the wall clock is trusted.
    pub reading: Reading,
}

/// The clocks that the service goes by.
pub struct ServiceClock {
    clock: Arc<dyn Clock>,
    /// The wall clock, held against the steady one.
    watch: Mutex<ClockWatch>,
    /// The clock that replicas share; none while there is one replica.
    shared: Mutex<Option<SharedClock>>,
}

impl ServiceClock {
    /// The wall clock is trusted until [`ServiceClock::begin`] says otherwise.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, watch: Mutex::default(), shared: Mutex::default() }
    }

    /// The service's time: the wall clock, while it is trusted.
    pub fn now(&self) -> TimeMs {
        self.status().reading.now
    }

    /// What the clocks say now.
    pub fn status(&self) -> ClockStatus {
        let wall = self.clock.now();
        ClockStatus { wall, reading: self.watch.lock().read(wall, self.clock.since_boot_ms()) }
    }

    /// The time, unless the wall clock is in doubt: nothing is closed, settled, planned, expired or
    /// deleted then.
    pub fn sure_now(&self) -> Option<TimeMs> {
        let reading = self.status().reading;
        reading.fault.is_none().then_some(reading.now)
    }

    /// Whether the service's time is the time, so that presence can be dated.
    pub fn time_is_known(&self) -> bool {
        self.status().reading.is_exact
    }

    /// Milliseconds on the monotonic clock: for what passes, not for when it was.
    pub fn monotonic_ms(&self) -> i64 {
        self.clock.monotonic_ms()
    }

    /// Milliseconds since the machine started, also those it slept for.
    pub fn since_boot_ms(&self) -> i64 {
        self.clock.since_boot_ms()
    }

    /// What presence is dated by: the clock that replicas share, or the service's own while there
    /// is one replica.
    pub fn presence_now(&self) -> TimeMs {
        self.shared().map_or_else(|| self.now(), |shared| shared.read(self.monotonic_ms()))
    }

    /// The clock that replicas share; none while there is one replica.
    pub fn shared(&self) -> Option<SharedClock> {
        *self.shared.lock()
    }

    /// Follows the clock that replicas share, as the coordinator just showed it.
    pub fn follow_shared(&self, checked: Checked) {
        let (at, monotonic_ms) =
            (self.clock.now().plus_ms(-checked.ahead_ms), self.clock.monotonic_ms());
        let mut shared = self.shared.lock();
        *shared = SharedClock::checked(*shared, at, checked.within_ms, monotonic_ms);
    }

    /// Begins to hold the wall clock against the steady one, by the store's newest record and what
    /// the last process on this machine noted down.
    pub fn begin(&self, newest: Option<TimeMs>, mark: Option<&ClockMark>, boot: &str) {
        self.watch.lock().begin(newest, mark, boot, self.clock.since_boot_ms());
    }

    /// An epoch that ended then was closed.
    pub fn note_epoch(&self, end: TimeMs) {
        self.watch.lock().note_epoch(end);
    }

    /// What the next start on this machine has to know; none while the wall clock is in doubt.
    pub fn mark(&self, boot: &str) -> Option<ClockMark> {
        let (wall, steady_ms) = (self.clock.now(), self.clock.since_boot_ms());
        self.watch.lock().mark(boot, wall, steady_ms)
    }

    /// Takes what the wall clock shows for the time from now on.
    pub fn accept(&self, wall: TimeMs) {
        self.watch.lock().accept(wall, self.clock.since_boot_ms());
    }
}
