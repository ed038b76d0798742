//! The HTTP surface: which path goes where, and what every answer carries.

mod block;
mod blockchain_core;
mod oracle;
mod payout;
mod shape;
mod vote;

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, StatusCode},
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::shape::Shape;
use crate::{
    fault::Faults,
    record::{Reader, Writer},
    reply::Reply,
};

const MARK_HEADER: &str = "x-lucid-sandbox";
const BODY_BYTES_MAX: usize = 64 * 1024;
const TEXT_BYTES_MAX: usize = 255;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
    pub(crate) faults: Faults,
    pub(crate) faults_allowed: bool,
    pub(crate) block_interval_ms: i64,
    pub(crate) stopping: CancellationToken,
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let faults = get(oracle::faults).put(oracle::set_faults).delete(oracle::clear_faults);
    Router::new()
        .route("/health", get(health))
        .route("/api/v1/payouts", post(payout::create).get(payout::by_reference))
        .route("/api/v1/payouts/{id}", get(payout::by_id))
        .route(
            "/api/v1/payouts/initiate",
            post(payout::create_shaped).layer(Extension(Shape::Initiate)),
        )
        .route(
            "/api/v1/tron/payouts/create",
            post(payout::create_shaped).layer(Extension(Shape::TronCreate)),
        )
        .route("/api/v1/tron/payouts/{id}", get(payout::tron_by_id))
        .route("/api/v1/blocks/latest", get(block::latest))
        .route("/api/v1/consensus/vote", post(vote::create))
        .route("/api/v1/consensus/vote/{vote_id}", get(vote::by_id))
        .nest("/blockchain-core", blockchain_core::router())
        .route("/api/v1/sandbox/transfers", get(oracle::transfers))
        .route("/api/v1/sandbox/votes", get(oracle::votes))
        .route("/api/v1/sandbox/faults", faults)
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::map_response(mark))
        .with_state(app)
}

async fn mark(mut response: Response) -> Response {
    response.headers_mut().insert(MARK_HEADER, HeaderValue::from_static("1"));
    response
}

async fn health(State(app): State<Arc<App>>) -> Response {
    if app.writer.is_running() {
        return Reply::ok(json!({ "status": "ok" })).into_response();
    }
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Reply::error(status, "WRITER_STOPPED", "the record takes no more writes").into_response()
}

async fn no_such_route() -> Reply {
    Reply::not_found("NO_SUCH_ROUTE", "the sandbox has no such route")
}

async fn no_such_method() -> Reply {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Reply::error(status, "NO_SUCH_METHOD", "this route does not take this method")
}

/// A field that has to be there, and of a sensible length.
fn required(field: &'static str, value: Option<String>) -> Result<String, Reply> {
    optional(field, value)?
        .ok_or_else(|| Reply::malformed("MISSING_FIELD", format!("{field} is missing")))
}

/// A field that may be absent, and has a sensible length if it is there.
fn optional(field: &'static str, value: Option<String>) -> Result<Option<String>, Reply> {
    match value {
        Some(text) if text.is_empty() || text.len() > TEXT_BYTES_MAX => {
            let message = format!("{field} has {} bytes, not 1 to {TEXT_BYTES_MAX}", text.len());
            Err(Reply::invalid("INVALID_LENGTH", message))
        }
        value => Ok(value),
    }
}

fn is_hex_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
