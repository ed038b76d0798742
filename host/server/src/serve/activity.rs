//! Which requests of a connection are open: from their head to the last byte of their answer.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What one connection is doing.
pub struct Activity {
    open: AtomicUsize,
    quiet_since: Mutex<Instant>,
}

impl Activity {
    /// Of a connection that has just begun.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), quiet_since: Mutex::new(Instant::now()) })
    }

    /// Since when nothing is open; `None` while something is.
    pub fn quiet_since(&self) -> Option<Instant> {
        // The time is written before the count falls to zero.
        (self.open.load(Ordering::Acquire) == 0).then(|| *self.quiet_since.lock())
    }

    /// A request begins; it ends when what is answered is dropped.
    pub fn begin(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenRequest(Arc::clone(self))
    }
}

/// A request that is not answered yet.
pub struct OpenRequest(Arc<Activity>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        *self.0.quiet_since.lock() = Instant::now();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer's body; its request is open as long as this is.
pub struct AnswerBody {
    body: Body,
    _open: OpenRequest,
}

impl AnswerBody {
    /// Ties a body to its request.
    pub fn new(body: Body, open: OpenRequest) -> Self {
        Self { body, _open: open }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
