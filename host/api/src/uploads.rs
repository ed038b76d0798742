//! Bundles are handed in one after the other: each is held in memory as a whole, and in several
//! forms while it is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use lucid_api_types::policies::UPLOAD_PATH;
use tokio::sync::Semaphore;

use crate::api::Shared;

/// Turns at handing a bundle in; others wait, for as long as a request may take.
#[derive(Clone)]
pub struct Uploads(Arc<Semaphore>);

impl Default for Uploads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Waits for a turn before anything of a bundle is read.
pub async fn in_turn(State(api): State<Shared>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || request.uri().path() != UPLOAD_PATH {
        return next.run(request).await;
    }
    // Never closed: without a turn it is served all the same.
    let _turn = api.uploads.0.acquire().await.ok();
    next.run(request).await
}
