//! The network's own blockchain service, in its shape, under `/blockchain-core`: it wants a bearer
//! token and an API key, a block has `hash`, a vote approves or rejects, cannot be asked about, and
//! shares its id with the votes of the same second.

use std::sync::Arc;

use axum::{
    Router,
    extract::{ConnectInfo, OriginalUri, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, is_hex_digest};
use crate::{
    chain::{block_at, height_at},
    clock::{now_ms, rfc3339},
    connection::Breaker,
    fault::{Answer, Delivery, Effect, Route, deface, disguise},
    record::{NewVote, Outcome, Vote},
    reply::{Reply, merge},
};

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/blocks/latest", get(latest))
        .route("/api/v1/blocks/", get(list))
        .route("/api/v1/consensus/vote", post(vote))
        .layer(middleware::from_fn(admitted))
}

fn detail(status: StatusCode, detail: impl Into<Value>) -> Reply {
    Reply::new(status, json!({ "detail": detail.into() }))
}

/// Any token and any key: whose they are is not the sandbox's business.
async fn admitted(headers: HeaderMap, request: Request, next: Next) -> Response {
    let has = |name: &str, prefix: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.strip_prefix(prefix)).is_some_and(|rest| !rest.is_empty())
    };
    if !has(AUTHORIZATION.as_str(), "Bearer ") {
        return detail(StatusCode::UNAUTHORIZED, "Not authenticated").into_response();
    }
    if !has("api-key", "") {
        return detail(StatusCode::UNAUTHORIZED, "Invalid authentication credentials")
            .into_response();
    }
    next.run(request).await
}

/// `GET /api/v1/blocks/latest`: taken for a block with the id `latest`, as in that service.
async fn latest() -> Reply {
    let error = json!({ "error": "Block not found: latest", "error_code": "BLOCK_001", "additional_info": { "block_id": "latest" } });
    detail(StatusCode::NOT_FOUND, error)
}

/// `GET /api/v1/blocks/`: the newest one.
async fn list(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
) -> Response {
    let fault = app.faults.take(Route::Block);
    let height = height_at(now_ms(), app.block_interval_ms);
    let stale = u64::from(fault.answer == Answer::AnothersReply);
    let block = block_at(height.saturating_sub(stale));
    let produced_at_ms =
        i64::try_from(block.height).unwrap_or(i64::MAX).saturating_mul(app.block_interval_ms);
    let listed = json!({
        "block_id": block.block_id, "height": block.height, "hash": block.block_hash, "timestamp": rfc3339(produced_at_ms),
        "transaction_count": 0, "block_size_bytes": 1024, "validator": "sandbox",
    });
    let reply = Reply::ok(
        json!({ "blocks": [listed], "pagination": { "page": 1, "limit": 1, "total": 1, "pages": 1 } }),
    );
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

#[derive(Debug, Deserialize)]
struct VoteBody {
    node_id: String,
    block_hash: String,
    vote: String,
    signature: String,
    timestamp: Value,
    #[serde(default)]
    block_id: String,
    #[serde(default)]
    score: Value,
    #[serde(default)]
    merkle_root: String,
}

/// `POST /api/v1/consensus/vote`
async fn vote(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let fault = app.faults.take(Route::Vote);
    let mut reply = merge(accept(&app, fault.effect, body).await);
    if fault.answer == Answer::AnothersReply {
        deface(&mut reply);
    }
    disguise(&fault.answer, &mut reply);
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

async fn accept(
    app: &App,
    effect: Effect,
    body: Result<Bytes, BytesRejection>,
) -> Result<Reply, Reply> {
    let body = body.map_err(|rejection| detail(rejection.status(), rejection.body_text()))?;
    let new = validate(&body)?;
    let vote = if effect == Effect::None {
        Vote::pretended(new, now_ms())
    } else {
        match app.writer.vote(new, effect).await? {
            Outcome::Recorded(vote) => vote,
            Outcome::Conflict => {
                let error =
                    json!({ "error": "Consensus vote invalid", "error_code": "CONSENSUS_001" });
                return Err(detail(StatusCode::BAD_REQUEST, error));
            }
        }
    };
    let now_ms = now_ms();
    let status = if now_ms < vote.accepted_at_ms { "pending" } else { "accepted" };
    let height = height_at(now_ms, app.block_interval_ms);
    let vote_id = format!("vote_{}", now_ms / 1_000);
    Ok(Reply::ok(
        json!({ "vote_id": vote_id, "status": status, "submitted_at": rfc3339(now_ms), "block_height": height }),
    ))
}

fn validate(bytes: &Bytes) -> Result<NewVote, Reply> {
    let refused = |field: &str, message: String| {
        let problem = json!([{ "type": "value_error", "loc": ["body", field], "msg": message }]);
        detail(StatusCode::UNPROCESSABLE_ENTITY, problem)
    };
    let body: VoteBody =
        serde_json::from_slice(bytes).map_err(|error| refused("vote", error.to_string()))?;
    if !["approve", "reject"].contains(&body.vote.as_str()) {
        return Err(refused("vote", "must be approve or reject".to_owned()));
    }
    if !is_hex_digest(&body.block_hash) {
        return Err(refused(
            "block_hash",
            "String should match pattern '^[a-fA-F0-9]{64}$'".to_owned(),
        ));
    }
    Ok(NewVote {
        node_id: body.node_id,
        block_id: body.block_id,
        block_hash: body.block_hash,
        score: body.score.to_string(),
        vote: body.vote,
        merkle_root: body.merkle_root,
        signature: body.signature,
        voted_at: body.timestamp.to_string(),
    })
}
