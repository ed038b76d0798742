//! What tests ask and tell the sandbox itself: what really happened, and how to misbehave.

use std::sync::Arc;

use axum::extract::{
    Query, State,
    rejection::{BytesRejection, QueryRejection},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use crate::{
    clock::now_ms,
    fault::FaultPlan,
    reply::{Reply, merge},
};

const PAGE_ROWS_DEFAULT: i64 = 100;
const PAGE_ROWS_MAX: i64 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    after: i64,
    limit: Option<i64>,
}

type PageQuery = Result<Query<Page>, QueryRejection>;

/// `GET /api/v1/sandbox/transfers`
pub(super) async fn transfers(State(app): State<Arc<App>>, page: PageQuery) -> Reply {
    merge(list_transfers(&app, page).await)
}

/// `GET /api/v1/sandbox/votes`
pub(super) async fn votes(State(app): State<Arc<App>>, page: PageQuery) -> Reply {
    merge(list_votes(&app, page).await)
}

async fn list_transfers(app: &App, page: PageQuery) -> Result<Reply, Reply> {
    let (after, limit) = bounds(page)?;
    let transfers = app.reader.transfers(after, limit).await?;
    let next = next_after(transfers.last().map(|last| last.seq), transfers.len(), limit);
    let now_ms = now_ms();
    let rows: Vec<Value> = transfers.iter().map(|transfer| transfer.testimony(now_ms)).collect();
    Ok(Reply::ok(json!({ "transfers": rows, "next_after": next })))
}

async fn list_votes(app: &App, page: PageQuery) -> Result<Reply, Reply> {
    let (after, limit) = bounds(page)?;
    let votes = app.reader.votes(after, limit).await?;
    let next = next_after(votes.last().map(|last| last.seq), votes.len(), limit);
    let now_ms = now_ms();
    let rows: Vec<Value> = votes.iter().map(|vote| vote.testimony(now_ms)).collect();
    Ok(Reply::ok(json!({ "votes": rows, "next_after": next })))
}

fn bounds(page: PageQuery) -> Result<(i64, i64), Reply> {
    let Query(page) =
        page.map_err(|rejection| Reply::malformed("INVALID_QUERY", rejection.body_text()))?;
    let limit = page.limit.unwrap_or(PAGE_ROWS_DEFAULT);
    if !(1..=PAGE_ROWS_MAX).contains(&limit) {
        let message = format!("limit is not 1 to {PAGE_ROWS_MAX}");
        return Err(Reply::malformed("INVALID_QUERY", message));
    }
    Ok((page.after, limit))
}

/// Where the next page starts; none after a page that is not full.
fn next_after(last: Option<i64>, rows: usize, limit: i64) -> Option<i64> {
    last.filter(|_| i64::try_from(rows).is_ok_and(|rows| rows >= limit))
}

/// `GET /api/v1/sandbox/faults`
pub(super) async fn faults(State(app): State<Arc<App>>) -> Reply {
    merge(allowed(&app).map(|()| plan(&app)))
}

/// `PUT /api/v1/sandbox/faults`
pub(super) async fn set_faults(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    merge(replace(&app, body))
}

/// `DELETE /api/v1/sandbox/faults`
pub(super) async fn clear_faults(State(app): State<Arc<App>>) -> Reply {
    merge(allowed(&app).map(|()| {
        app.faults.set(FaultPlan::default());
        plan(&app)
    }))
}

fn replace(app: &App, body: Result<Bytes, BytesRejection>) -> Result<Reply, Reply> {
    allowed(app)?;
    let body = body.map_err(|rejection| {
        Reply::error(rejection.status(), "UNREADABLE_BODY", rejection.body_text())
    })?;
    let new: FaultPlan = serde_json::from_slice(&body)
        .map_err(|error| Reply::malformed("INVALID_FAULT", error.to_string()))?;
    new.check().map_err(|message| Reply::malformed("INVALID_FAULT", message))?;
    app.faults.set(new);
    Ok(plan(app))
}

fn plan(app: &App) -> Reply {
    Reply::ok(json!({ "faults": app.faults.left() }))
}

fn allowed(app: &App) -> Result<(), Reply> {
    if app.faults_allowed {
        return Ok(());
    }
    Err(Reply::not_found("NO_SUCH_ROUTE", "the sandbox has no such route"))
}
