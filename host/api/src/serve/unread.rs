//! What a request's body still has when its answer is ready.
//!
//! An HTTP/1 connection whose request was not read to its end cannot take another one: what is left
//! would be read as the next request. A short rest is read, so that a refused request costs no
//! connection. Otherwise the answer says `Connection: close`, and the rest is read beside it for a
//! while: a client that is cut off while it sends often never sees why.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    http::{HeaderValue, Version, header},
};
use futures::StreamExt;
use hyper::{
    Request, Response,
    body::{Frame, Incoming, SizeHint},
};
use parking_lot::Mutex;
use tokio::time::timeout;

/// A rest that is waited for before the answer, and for how long.
const REST_BYTES_MAX: usize = 64 * 1024;
const REST_TIME_MAX: Duration = Duration::from_millis(100);
/// What is read beside an answer that ends the connection, and for how long.
const DROPPED_BYTES_MAX: usize = 8 << 20;
const DROPPED_TIME_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    ended: AtomicBool,
    /// The body, once nobody reads it any more.
    left: Mutex<Option<Body>>,
}

/// Whether a request was read to its end.
pub struct Unread {
    state: Arc<State>,
    /// The client waits to be asked for the body: whether it still sends it is its choice.
    waits: bool,
}

/// A request whose body is watched; HTTP/2 ends a stream without its connection, and needs no
/// watching.
pub fn watched(request: Request<Incoming>) -> (Request<Body>, Option<Unread>) {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return (request.map(Body::new), None);
    }
    let state = Arc::<State>::default();
    let waits = request.headers().contains_key(header::EXPECT);
    let unread = Unread { state: Arc::clone(&state), waits };
    (request.map(|body| Body::new(Watched { body: Body::new(body), state })), Some(unread))
}

impl Unread {
    /// Ends the connection with an answer whose request was not read.
    pub async fn settle(self, response: &mut Response<Body>) {
        if !self.was_read().await {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    async fn was_read(self) -> bool {
        if self.state.ended.load(Ordering::Acquire) {
            return true;
        }
        // Whoever still has it reads it, or does not.
        let Some(body) = self.state.left.lock().take().filter(|_| !self.waits) else {
            return false;
        };
        let is_short = body.size_hint().lower() <= REST_BYTES_MAX as u64;
        let mut rest = body.into_data_stream();
        if is_short
            && timeout(REST_TIME_MAX, is_dropped(&mut rest, REST_BYTES_MAX)).await.unwrap_or(false)
        {
            return true;
        }
        tokio::spawn(timeout(DROPPED_TIME_MAX, async move {
            is_dropped(&mut rest, DROPPED_BYTES_MAX).await
        }));
        false
    }
}

/// Reads a body to its end, as long as it is no longer than that; whether it was.
async fn is_dropped(rest: &mut BodyDataStream, bytes_max: usize) -> bool {
    let mut dropped = 0_usize;
    while let Some(part) = rest.next().await {
        dropped = dropped.saturating_add(part.map_or(usize::MAX, |part| part.len()));
        if dropped > bytes_max {
            return false;
        }
    }
    true
}

struct Watched {
    body: Body,
    state: Arc<State>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.state.ended.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.state.left.lock() = Some(std::mem::take(&mut self.body));
    }
}
