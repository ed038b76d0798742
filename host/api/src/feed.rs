//! What happened lately, here and on other replicas: for streams that begin now, and for those that
//! go on where they were cut off.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use lucid_api_types::notifications::event::EventBody;
use lucid_model::{id::NodeId, notifications::event::Event};
use parking_lot::Mutex;
use tokio::sync::{
    Notify,
    broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
};
use tokio_util::sync::CancellationToken;

/// Events that are kept for streams that come back.
const RECENT_MAX: usize = 4_096;
/// Between two slices: what happens meanwhile is told together, so that a thousand streams wake
/// forty times a second and not with each report.
const SLICE_INTERVAL: Duration = Duration::from_millis(25);
/// Slices that a slow stream may be behind before it loses the oldest.
const SLICES_BEHIND_MAX: usize = 256;

/// Events that are told together, in their order.
pub type Slice = Arc<[Arc<FeedItem>]>;

/// An event; it is put into words when the first stream wants it, once for all.
pub struct FeedItem {
    source: Source,
    kind: String,
    node: Option<NodeId>,
    json: OnceLock<String>,
}

enum Source {
    Here { event: Event, stream: Arc<str>, body: OnceLock<EventBody> },
    Elsewhere(EventBody),
}

impl FeedItem {
    fn new(source: Source) -> Self {
        let (kind, node) = match &source {
            Source::Here { event, .. } => (event.kind.type_name(), event.kind.node()),
            Source::Elsewhere(body) => (body.kind.clone(), body.node()),
        };
        Self { source, kind, node, json: OnceLock::new() }
    }

    /// Its type, as streams name it.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The node it is about.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Its envelope.
    pub fn body(&self) -> &EventBody {
        match &self.source {
            Source::Here { event, stream, body } => {
                body.get_or_init(|| EventBody::new(event, stream))
            }
            Source::Elsewhere(body) => body,
        }
    }

    /// Whether it has this id; it need not be in words for that.
    fn has_id(&self, id: &str) -> bool {
        match &self.source {
            Source::Here { event, stream, .. } => {
                EventBody::parse_id(id) == Some((stream.as_ref(), event.seq))
            }
            Source::Elsewhere(body) => body.id == id,
        }
    }

    /// Its envelope as JSON.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| serde_json::to_string(self.body()).unwrap_or_default())
    }
}

/// What a stream begins with.
pub struct Listening {
    /// What came after the last event that it saw; none if that is not known any more, so that some
    /// are lost.
    pub missed: Option<Slice>,
    /// Everything from now on.
    pub next: broadcast::Receiver<Slice>,
}

/// Keeps recent events, and tells those that come.
pub struct Feed {
    stream: Arc<str>,
    events: Mutex<Events>,
    /// Something came that is not told yet.
    came: Notify,
    told: broadcast::Sender<Slice>,
}

#[derive(Default)]
struct Events {
    /// FeedItem.
    recent: VecDeque<Arc<FeedItem>>,
    /// To be told with the next slice.
    coming: Vec<Arc<FeedItem>>,
}

impl Feed {
    /// For a process whose own events are of `stream`.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.into(),
            events: Mutex::default(),
            came: Notify::new(),
            told: broadcast::Sender::new(SLICES_BEHIND_MAX),
        }
    }

    /// Takes an event of this process.
    fn here(&self, event: Event) {
        self.take(Source::Here { event, stream: Arc::clone(&self.stream), body: OnceLock::new() });
    }

    /// Takes an event of another replica.
    pub fn elsewhere(&self, body: EventBody) {
        self.take(Source::Elsewhere(body));
        self.came.notify_one();
    }

    fn take(&self, source: Source) {
        self.events.lock().coming.push(Arc::new(FeedItem::new(source)));
    }

    /// Tells what came since the last slice.
    fn tell(&self) {
        let mut events = self.events.lock();
        let slice: Slice = std::mem::take(&mut events.coming).into();
        if slice.is_empty() {
            return;
        }
        events.recent.extend(slice.iter().cloned());
        let too_many = events.recent.len().saturating_sub(RECENT_MAX);
        events.recent.drain(..too_many);
        // FeedItem under the lock: who begins to listen gets each event once. No listener is no error.
        let _ = self.told.send(slice);
    }

    /// Begins to listen, after the event with that id if one is named.
    pub fn listen(&self, after: Option<&str>) -> Listening {
        let recent = &self.events.lock().recent;
        let missed = match after {
            None => Some(Slice::default()),
            Some(id) => recent
                .iter()
                .position(|told| told.has_id(id))
                .map(|place| recent.iter().skip(place + 1).cloned().collect()),
        };
        Listening { missed, next: self.told.subscribe() }
    }

    /// Takes what a bus tells, until it is stopped.
    pub async fn follow(&self, mut events: broadcast::Receiver<Event>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.came.notified() => {}
                event = events.recv() => match event {
                    Ok(event) => self.here(event),
                    Err(RecvError::Lagged(lost)) => count_lost(lost),
                    Err(RecvError::Closed) => return,
                },
            }
            loop {
                match events.try_recv() {
                    Ok(event) => self.here(event),
                    Err(TryRecvError::Lagged(lost)) => count_lost(lost),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            self.tell();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SLICE_INTERVAL) => {}
            }
        }
    }
}

/// The gap in the numbers says so too.
fn count_lost(events: u64) {
    metrics::counter!("lucid_events_lost_total").increment(events);
}

#[cfg(test)]
mod tests {
    use lucid_model::{notifications::event::EventKind, time::TimeMs};

    use super::*;

    fn event(seq: u64) -> Event {
        Event {
            seq,
            at: TimeMs(0),
            kind: EventKind::AlertCleared { about: "test", subject: String::new() },
        }
    }

    fn ids(listening: &Listening) -> Option<Vec<u64>> {
        Some(listening.missed.as_ref()?.iter().map(|told| told.body().seq).collect())
    }

    #[test]
    fn who_comes_back_gets_what_was_missed_and_each_event_once() {
        let feed = Feed::new("a");
        (1..=3).for_each(|seq| feed.here(event(seq)));
        feed.tell();
        assert_eq!(ids(&feed.listen(None)), Some(vec![]));
        feed.here(event(4));
        let mut listening = feed.listen(Some("a-1"));
        feed.here(event(5));
        feed.tell();
        assert_eq!(ids(&listening), Some(vec![2, 3]));
        let next: Vec<_> =
            listening.next.try_recv().unwrap().iter().map(|told| told.body().seq).collect();
        assert_eq!(next, [4, 5]);
        assert!(listening.next.try_recv().is_err());
        assert_eq!(ids(&feed.listen(Some("b-1"))), None, "another process's");
    }

    #[test]
    fn what_is_too_old_is_a_gap_that_is_said() {
        let feed = Feed::new("a");
        (1..=RECENT_MAX as u64 + 1).for_each(|seq| feed.here(event(seq)));
        feed.tell();
        assert_eq!(ids(&feed.listen(Some("a-1"))), None);
        assert_eq!(feed.listen(Some("a-2")).missed.unwrap().len(), RECENT_MAX - 1);
        let mut other = EventBody::new(&event(7), "b");
        other.kind = "epoch.closed".into();
        feed.elsewhere(other);
        feed.tell();
        assert_eq!(feed.listen(Some("b-7")).missed.unwrap().len(), 0);
    }
}
