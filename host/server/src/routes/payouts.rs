use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
};
use lucid_model::{
    id::{NodeId, PayoutId, RunId},
    payout::PayoutStatus,
};
use lucid_ports::{PayoutFilter, PayoutSort};
use lucid_service::ServiceError;
use lucid_wire::{
    ErrorBody,
    page::{PageParams, Pagination, PayoutList},
    payout::{DepositRequest, EarningsBody, PayoutBody, RunBody, TreasuryBody},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::nodes::node_id;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(earnings))
        .routes(routes!(run))
        .routes(routes!(approve))
        .routes(routes!(treasury, deposit))
}

/// The payouts the caller may see.
#[utoipa::path(get, path = "/api/v1/payouts", tag = "payouts",
    params(PageParams, ("node_id" = Option<String>, Query), ("status" = Option<String>, Query, description = "pending, processing, completed, failed, cancelled")),
    responses((status = 200, body = PayoutList), (status = 400, body = ErrorBody)))]
async fn list(State(api): State<Shared>, Caller(actor): Caller, params: Params) -> Result<Answer<PayoutList>, ApiError> {
    let filter = PayoutFilter {
        node: params.parsed("node_id", |text| text.parse::<NodeId>().ok(), "must be a UUID")?,
        status: params.parsed("status", PayoutStatus::from_name, "must be one of pending, processing, completed, failed, cancelled")?,
        owner: None,
        run: None,
    };
    let page = params.page(
        ("created_at", PayoutSort::CreatedAt),
        &[("updated_at", PayoutSort::UpdatedAt), ("amount", PayoutSort::Amount), ("status", PayoutSort::Status)],
    )?;
    let payouts = api.service.payouts(&actor, filter, page).await?;
    let items = payouts.items.iter().map(PayoutBody::from).collect();
    Ok(Answer(PayoutList { payouts: items, pagination: Pagination::new(page.page, page.limit, payouts.total) }))
}

/// One payout.
#[utoipa::path(get, path = "/api/v1/payouts/{id}", tag = "payouts", params(("id" = String, Path)),
    responses((status = 200, body = PayoutBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn get(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<PayoutBody>, ApiError> {
    let id: PayoutId = id.parse().map_err(|_| ServiceError::NotFound { what: "payout" })?;
    Ok(Answer((&api.service.payout(&actor, id).await?).into()))
}

/// A node's balances.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/earnings", tag = "payouts", params(("id" = String, Path)),
    responses((status = 200, body = EarningsBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn earnings(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<EarningsBody>, ApiError> {
    let id = node_id(&id)?;
    let head = api.service.earnings(&actor, id).await?;
    Ok(Answer(EarningsBody::new(id, &head.balances)))
}

fn run_id(text: &str) -> Result<RunId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "run" }.into())
}

/// One run.
#[utoipa::path(get, path = "/api/v1/payouts/runs/{id}", tag = "payouts", params(("id" = String, Path)),
    responses((status = 200, body = RunBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn run(State(api): State<Shared>, _caller: Caller, Path(id): Path<String>) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.run(run_id(&id)?).await?).into()))
}

/// Lets a planned run go.
#[utoipa::path(post, path = "/api/v1/payouts/runs/{id}/approve", tag = "payouts", params(("id" = String, Path)),
    responses((status = 200, body = RunBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn approve(State(api): State<Shared>, Caller(actor): Caller, Path(id): Path<String>) -> Result<Answer<RunBody>, ApiError> {
    Ok(Answer((&api.service.approve_run(&actor, run_id(&id)?).await?).into()))
}

/// What the treasury holds.
#[utoipa::path(get, path = "/api/v1/payouts/treasury", tag = "payouts", responses((status = 200, body = TreasuryBody), (status = 403, body = ErrorBody)))]
async fn treasury(State(api): State<Shared>, _caller: Caller) -> Result<Answer<TreasuryBody>, ApiError> {
    Ok(Answer(TreasuryBody { available_usdt: api.service.treasury().await?.to_string() }))
}

/// Records money that came into the treasury: accruals stop at what is funded.
#[utoipa::path(post, path = "/api/v1/payouts/treasury", tag = "payouts", request_body = DepositRequest,
    responses((status = 201, body = TreasuryBody), (status = 200, body = TreasuryBody, description = "recorded before"), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
async fn deposit(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<DepositRequest>,
) -> Result<(StatusCode, Answer<TreasuryBody>), ApiError> {
    let recorded = api.service.deposit(&actor, &json.value.reference, json.value.amount).await?;
    let status = if recorded { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Answer(TreasuryBody { available_usdt: api.service.treasury().await?.to_string() })))
}
