use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_model::{
    id::{NodeId, PayoutId},
    payout::PayoutStatus,
};
use lucid_ports::{PayoutFilter, PayoutSort};
use lucid_service::ServiceError;
use lucid_wire::{
    ErrorBody,
    page::{PageParams, Pagination, PayoutList},
    payout::{EarningsBody, PayoutBody},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::nodes::node_id;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(earnings))
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
