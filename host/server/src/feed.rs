//! What happened lately, here and on other replicas: for streams that begin now, and for those that go on where they were cut off.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use lucid_model::event::Event;
use lucid_service::EventBus;
use lucid_wire::event::EventBody;
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Events that are kept for streams that come back, and that a slow stream may be behind before it loses the oldest.
const RECENT_MAX: usize = 4_096;

/// An event; it is put into words when the first stream wants it, once for all.
pub struct Told {
    source: Source,
    json: OnceLock<String>,
}

enum Source {
    Here { event: Event, stream: Arc<str>, body: OnceLock<EventBody> },
    Elsewhere(EventBody),
}

impl Told {
    /// Its type, as streams name it.
    pub fn kind(&self) -> String {
        match &self.source {
            Source::Here { event, .. } => event.kind.type_name(),
            Source::Elsewhere(body) => body.kind.clone(),
        }
    }

    /// Its envelope.
    pub fn body(&self) -> &EventBody {
        match &self.source {
            Source::Here { event, stream, body } => body.get_or_init(|| EventBody::new(event, stream)),
            Source::Elsewhere(body) => body,
        }
    }

    /// Its envelope as JSON.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| serde_json::to_string(self.body()).unwrap_or_default())
    }
}

/// What a stream begins with.
pub struct Listening {
    /// What came after the last event that it saw; none if that is not known any more, so that some are lost.
    pub missed: Option<Vec<Arc<Told>>>,
    /// Everything from now on.
    pub next: broadcast::Receiver<Arc<Told>>,
}

/// Keeps recent events, and tells those that come.
pub struct Feed {
    stream: Arc<str>,
    recent: Mutex<VecDeque<Arc<Told>>>,
    told: broadcast::Sender<Arc<Told>>,
}

impl Feed {
    /// For a process whose own events are of `stream`.
    pub fn new(stream: &str) -> Self {
        Self { stream: stream.into(), recent: Mutex::default(), told: broadcast::Sender::new(RECENT_MAX) }
    }

    /// Takes an event of this process.
    pub fn here(&self, event: Event) {
        self.tell(Source::Here { event, stream: Arc::clone(&self.stream), body: OnceLock::new() });
    }

    /// Takes an event of another replica.
    pub fn elsewhere(&self, body: EventBody) {
        self.tell(Source::Elsewhere(body));
    }

    fn tell(&self, source: Source) {
        let told = Arc::new(Told { source, json: OnceLock::new() });
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&told));
        // Told under the lock: who begins to listen gets each event once. No listener is no error.
        let _ = self.told.send(told);
    }

    /// Begins to listen, after the event with that id if one is named.
    pub fn listen(&self, after: Option<&str>) -> Listening {
        let recent = self.recent.lock();
        let missed = match after {
            None => Some(Vec::new()),
            Some(id) => recent.iter().position(|told| told.body().id == id).map(|place| recent.iter().skip(place + 1).cloned().collect()),
        };
        Listening { missed, next: self.told.subscribe() }
    }

    /// Takes what a bus tells, until it is stopped.
    pub async fn follow(&self, bus: &EventBus, stop: CancellationToken) {
        let mut events = bus.subscribe();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Ok(event) => self.here(event),
                // The gap in the numbers says so.
                Err(RecvError::Lagged(lost)) => metrics::counter!("lucid_events_lost_total").increment(lost),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lucid_model::{event::EventKind, time::TimeMs};

    use super::*;

    fn event(seq: u64) -> Event {
        Event { seq, at: TimeMs(0), kind: EventKind::AlertCleared { about: "test" } }
    }

    fn ids(listening: &Listening) -> Option<Vec<u64>> {
        Some(listening.missed.as_ref()?.iter().map(|told| told.body().seq).collect())
    }

    #[test]
    fn who_comes_back_gets_what_was_missed_and_each_event_once() {
        let feed = Feed::new("a");
        (1..=3).for_each(|seq| feed.here(event(seq)));
        assert_eq!(ids(&feed.listen(None)), Some(vec![]));
        let mut listening = feed.listen(Some("a-1"));
        feed.here(event(4));
        assert_eq!(ids(&listening), Some(vec![2, 3]));
        assert_eq!(listening.next.try_recv().unwrap().body().seq, 4);
        assert!(listening.next.try_recv().is_err());
        assert_eq!(ids(&feed.listen(Some("b-1"))), None, "another process's");
    }

    #[test]
    fn what_is_too_old_is_a_gap_that_is_said() {
        let feed = Feed::new("a");
        (1..=RECENT_MAX as u64 + 1).for_each(|seq| feed.here(event(seq)));
        assert_eq!(ids(&feed.listen(Some("a-1"))), None);
        assert_eq!(feed.listen(Some("a-2")).missed.unwrap().len(), RECENT_MAX - 1);
        let mut other = EventBody::new(&event(7), "b");
        other.kind = "epoch.closed".into();
        feed.elsewhere(other);
        assert_eq!(feed.listen(Some("b-7")).missed.unwrap().len(), 0);
    }
}
