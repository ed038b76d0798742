//! The latest block.

use std::sync::Arc;

use axum::{
    extract::{ConnectInfo, OriginalUri, State},
    response::Response,
};
use serde_json::json;

use super::App;
use crate::{
    chain::{block_at, height_at},
    clock::{now_ms, rfc3339},
    connection::Breaker,
    fault::{Answer, Delivery, Route, disguise},
    reply::Reply,
};

/// `GET /api/v1/blocks/latest`
pub(super) async fn latest(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let fault = app.faults.take(Route::Block);
    let height = height_at(now_ms(), app.block_interval_ms);
    // Another's reply is, for a block, the one before.
    let stale = u64::from(fault.answer == Answer::AnothersReply);
    let mut reply = render(height.saturating_sub(stale), app.block_interval_ms);
    disguise(&fault.answer, &mut reply);
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

fn render(height: u64, block_interval_ms: i64) -> Reply {
    let block = block_at(height);
    let produced_at_ms =
        i64::try_from(height).unwrap_or(i64::MAX).saturating_mul(block_interval_ms);
    Reply::ok(json!({
        "block_id": block.block_id,
        "block_hash": block.block_hash,
        "height": block.height,
        "timestamp": rfc3339(produced_at_ms),
    }))
}
