//! Consensus votes: one per node and block.

use std::sync::Arc;

use axum::{
    extract::{ConnectInfo, OriginalUri, Path, State, rejection::BytesRejection},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{App, TEXT_BYTES_MAX, is_hex_digest, required};
use crate::{
    chain::block_named,
    clock::now_ms,
    connection::Breaker,
    fault::{Answer, Delivery, Effect, Route, deface, disguise},
    record::{NewVote, Outcome, Vote},
    reply::{Reply, merge},
};

const VERDICTS: [&str; 3] = ["approve", "abstain", "reject"];

#[derive(Debug, Deserialize)]
struct VoteBody {
    node_id: Option<String>,
    // Kept as written: a score that passed through a float could come out as another one.
    score: Option<Box<RawValue>>,
    block_id: Option<String>,
    block_hash: Option<String>,
    vote: Option<String>,
    timestamp: Option<Box<RawValue>>,
    merkle_root: Option<String>,
    signature: Option<String>,
}

/// `POST /api/v1/consensus/vote`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    OriginalUri(uri): OriginalUri,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let fault = app.faults.take(Route::Vote);
    let mut reply = merge(accept(&app, fault.effect, body).await);
    if fault.answer == Answer::AnothersReply && reply.status.is_success() {
        reply = anothers(&app, reply).await;
    } else {
        disguise(&fault.answer, &mut reply);
    }
    let delivery = Delivery { breaker: &breaker, uri: &uri, stopping: &app.stopping };
    delivery.send(&fault.answer, reply).await
}

async fn anothers(app: &App, mut reply: Reply) -> Reply {
    let vote_id = reply.text("vote_id").unwrap_or_default().to_owned();
    match app.reader.vote_of_another(vote_id).await {
        Ok(Some(another)) => Reply::ok(another.acceptance(now_ms())),
        Ok(None) => {
            deface(&mut reply);
            reply
        }
        Err(error) => error.into(),
    }
}

async fn accept(
    app: &App,
    effect: Effect,
    body: Result<Bytes, BytesRejection>,
) -> Result<Reply, Reply> {
    let body = body.map_err(|rejection| {
        Reply::error(rejection.status(), "UNREADABLE_BODY", rejection.body_text())
    })?;
    let new = validate(&body)?;
    let vote = if effect == Effect::None {
        Vote::pretended(new, now_ms())
    } else {
        match app.writer.vote(new, effect).await? {
            Outcome::Recorded(vote) => vote,
            Outcome::Conflict => {
                let message = "this node has cast another vote on this block";
                return Err(Reply::conflict("VOTE_CONFLICT", message));
            }
        }
    };
    Ok(Reply::ok(vote.acceptance(now_ms())))
}

/// `GET /api/v1/consensus/vote/{vote_id}`
pub(super) async fn by_id(State(app): State<Arc<App>>, Path(vote_id): Path<String>) -> Reply {
    match app.reader.vote_by_id(vote_id).await {
        Ok(Some(vote)) => Reply::ok(vote.acceptance(now_ms())),
        Ok(None) => Reply::not_found("NO_SUCH_VOTE", "there is no such vote"),
        Err(error) => error.into(),
    }
}

fn validate(bytes: &Bytes) -> Result<NewVote, Reply> {
    let body: VoteBody = serde_json::from_slice(bytes)
        .map_err(|error| Reply::malformed("INVALID_JSON", error.to_string()))?;
    let node_id = required("node_id", body.node_id)?;
    let block_id = required("block_id", body.block_id)?;
    let block_hash = required("block_hash", body.block_hash)?;
    let vote = required("vote", body.vote)?;
    let merkle_root = required("merkle_root", body.merkle_root)?;
    let signature = required("signature", body.signature)?;
    let score = scalar("score", body.score)?;
    let voted_at = scalar("timestamp", body.timestamp)?;
    if !VERDICTS.contains(&vote.as_str()) {
        return Err(Reply::invalid("INVALID_VOTE", "vote is not approve, abstain or reject"));
    }
    if !is_hex_digest(&block_hash) {
        return Err(Reply::invalid("INVALID_BLOCK_HASH", "block_hash is not 64 hex digits"));
    }
    if block_named(&block_id).is_some_and(|block| block.block_hash != block_hash) {
        return Err(Reply::invalid("BLOCK_HASH_MISMATCH", "block_id has another block_hash"));
    }
    Ok(NewVote { node_id, block_id, block_hash, score, vote, merkle_root, signature, voted_at })
}

/// A number or a text, in its JSON spelling.
fn scalar(field: &'static str, value: Option<Box<RawValue>>) -> Result<String, Reply> {
    let text = required(field, value.map(|value| value.get().to_owned()))?;
    let first = text.bytes().next().unwrap_or_default();
    if text.len() <= TEXT_BYTES_MAX && (first == b'"' || first == b'-' || first.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Reply::invalid("INVALID_FIELD", format!("{field} is neither a number nor a text")))
}
