//! Which requests of a connection are open, from their head to the last of their answer, and who
//! waits for whom.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// An answer is handed over in pieces of this size: what a client has not taken yet stays
/// countable, and is not copied into the connection's buffers as a whole.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// What one connection is doing.
pub struct Activity(Mutex<State>);

struct State {
    open: usize,
    quiet_since: Instant,
    /// Requests whose client has to take the last piece before it gets the next one, and since
    /// when.
    untaken: BTreeMap<u64, Instant>,
    requests: u64,
}

impl Activity {
    /// Of a connection that has just begun.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            open: 0,
            quiet_since: Instant::now(),
            untaken: BTreeMap::new(),
            requests: 0,
        })))
    }

    /// Since when nothing is open; `None` while something is.
    pub fn quiet_since(&self) -> Option<Instant> {
        let state = self.0.lock();
        (state.open == 0).then_some(state.quiet_since)
    }

    /// Whether there ever was one.
    pub fn had_requests(&self) -> bool {
        self.0.lock().requests > 0
    }

    /// Since when a client has not taken what it was offered; of several the longest.
    pub fn untaken_since(&self) -> Option<Instant> {
        self.0.lock().untaken.values().min().copied()
    }

    /// A request begins; it ends when what is answered is dropped.
    pub fn begin(self: &Arc<Self>) -> OpenRequest {
        let mut state = self.0.lock();
        state.open += 1;
        state.requests += 1;
        OpenRequest { activity: Arc::clone(self), number: state.requests }
    }
}

/// A request that is not answered yet.
pub struct OpenRequest {
    activity: Arc<Activity>,
    number: u64,
}

impl OpenRequest {
    /// The client has something to take.
    fn offered(&self) {
        self.activity.0.lock().untaken.insert(self.number, Instant::now());
    }

    /// The client took everything that there is so far.
    fn taken(&self) {
        self.activity.0.lock().untaken.remove(&self.number);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.activity.0.lock();
        state.untaken.remove(&self.number);
        state.open = state.open.saturating_sub(1);
        state.quiet_since = Instant::now();
    }
}

/// An answer's body; its request is open as long as this is.
pub struct AnswerBody {
    body: Body,
    /// What is left of the piece that the body gave last.
    rest: Bytes,
    open: OpenRequest,
}

impl AnswerBody {
    /// Ties a body to its request.
    pub fn new(body: Body, open: OpenRequest) -> Self {
        open.offered();
        Self { body, rest: Bytes::new(), open }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Frame::data(self.rest.split_to(length))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => {
                    this.open.taken();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(end) => return Poll::Ready(end),
            }
        }
        this.open.offered();
        Poll::Ready(Some(Ok(this.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn an_answer_is_given_in_pieces_and_is_whole() {
        let activity = Activity::new();
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut body = AnswerBody::new(Body::from(text.clone()), activity.begin());
        let mut context = Context::from_waker(Waker::noop());
        let mut got = Vec::new();
        assert!(activity.quiet_since().is_none() && activity.untaken_since().is_some());
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((text.len() - got.len()) as u64));
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) else {
                panic!("it has all of it")
            };
            let piece = frame.into_data().unwrap();
            assert!(piece.len() <= PIECE_BYTES_MAX && !piece.is_empty());
            got.extend_from_slice(&piece);
        }
        assert!(got == text);
        drop(body);
        assert!(activity.quiet_since().is_some() && activity.untaken_since().is_none());
    }

    #[test]
    fn a_client_is_not_to_blame_while_there_is_nothing_to_take() {
        let activity = Activity::new();
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut body = AnswerBody::new(silent, activity.begin());
        assert!(
            Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending()
        );
        assert!(activity.quiet_since().is_none() && activity.untaken_since().is_none());
    }
}
