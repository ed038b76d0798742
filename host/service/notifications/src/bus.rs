use std::sync::atomic::{AtomicU64, Ordering};

use lucid_model::{
    notifications::event::{Event, EventKind},
    time::TimeMs,
};
use tokio::sync::broadcast;

/// Tells everybody who listens what happened.
pub struct EventBus {
    sender: broadcast::Sender<Event>,
    last_seq: AtomicU64,
}

impl EventBus {
    /// With room for so many events that a slow listener may be behind before it loses the oldest.
    pub fn new(events_buffered_max: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(events_buffered_max.max(1)),
            last_seq: AtomicU64::new(0),
        }
    }

    /// Tells it to everybody who listens now.
    pub fn publish(&self, at: TimeMs, kind: EventKind) {
        let seq = self.last_seq.fetch_add(1, Ordering::Relaxed) + 1;
        // No listener is no error.
        let _ = self.sender.send(Event { seq, at, kind });
    }

    /// Everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}
