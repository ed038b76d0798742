use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
};
use lucid_api_types::{
    ErrorBody,
    money::payout::{DepositRequest, EarningsBody, PayoutBody, TreasuryBody},
    page::{PageParams, Pagination, PayoutList},
    schema,
};
use lucid_model::{
    id::{NodeId, PayoutId, RunId},
    money::payout::{PayoutState, PayoutStatus},
};
use lucid_ports::{PageRequest, PayoutFilter, PayoutSort};
use lucid_service::ServiceError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::fleet::nodes::node_id;
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
        .routes(routes!(treasury, deposit))
}

/// The filter `status`.
pub fn status(params: &Params) -> Result<Option<PayoutStatus>, ApiError> {
    params.word("status", PayoutStatus::ALL, PayoutStatus::name)
}

/// Which page of payouts.
pub fn page(params: &Params) -> Result<PageRequest<PayoutSort>, ApiError> {
    params.page(
        ("created_at", PayoutSort::CreatedAt),
        &[
            ("updated_at", PayoutSort::UpdatedAt),
            ("amount", PayoutSort::Amount),
            ("status", PayoutSort::Status),
        ],
    )
}

/// The payouts the caller may see.
///
/// A caller without rights over the fleet sees those of its own nodes.
#[utoipa::path(get, path = "/api/v1/payouts", operation_id = "listPayouts", tag = "payouts",
    params(PageParams, ("sort" = Option<schema::PayoutSort>, Query, description = "What to sort by"), ("node_id" = Option<schema::Id>, Query, description = "Payouts to this node"), ("status" = Option<schema::PayoutStatus>, Query, description = "Payouts with this status"), ("state" = Option<schema::PayoutState>, Query, description = "Payouts that are exactly here"), ("run_id" = Option<schema::Id>, Query, description = "Payouts of this run")),
    responses((status = 200, body = PayoutList, description = "A page of payouts"), (status = 404, body = ErrorBody, description = "No such node")))]
async fn list(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<PayoutList>, ApiError> {
    let filter = PayoutFilter {
        state: params.word("state", PayoutState::ALL, PayoutState::name)?,
        node: params.parsed("node_id", |text| text.parse::<NodeId>().ok(), "must be a UUID")?,
        status: status(&params)?,
        run: params.parsed("run_id", |text| text.parse::<RunId>().ok(), "must be a UUID")?,
        ..PayoutFilter::default()
    };
    let page = page(&params)?;
    let payouts = api.service.money.payouts(&actor, filter, page).await?;
    let items = payouts.items.iter().map(PayoutBody::from).collect();
    Ok(Answer(PayoutList {
        payouts: items,
        pagination: Pagination::new(page.page, page.limit, payouts.total),
    }))
}

/// One payout.
///
/// `status` is what the network's services know, `state` is exactly where it is.
#[utoipa::path(get, path = "/api/v1/payouts/{id}", operation_id = "getPayout", tag = "payouts",
    params(("id" = schema::Id, Path, description = "The payout")),
    responses((status = 200, body = PayoutBody, description = "The payout")))]
async fn get(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<PayoutBody>, ApiError> {
    let id: PayoutId = id.parse().map_err(|_| ServiceError::NotFound { what: "payout" })?;
    Ok(Answer((&api.service.money.payout(&actor, id).await?).into()))
}

/// A node's balances.
///
/// What it earned and was not paid yet.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/earnings", operation_id = "getNodeEarnings", tag = "payouts",
    params(("id" = schema::NodeName, Path, description = "The node")),
    responses((status = 200, body = EarningsBody, description = "The balances")))]
async fn earnings(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<EarningsBody>, ApiError> {
    let id = node_id(&api, &id).await?;
    let earned = api.service.money.earnings(&actor, id).await?;
    Ok(Answer(EarningsBody::new(id, &earned.balances, earned.estimated, earned.paid)))
}

/// What the treasury holds.
///
/// USDT not yet promised to anybody. For callers who see all records.
#[utoipa::path(get, path = "/api/v1/payouts/treasury", operation_id = "getTreasury", tag = "payouts",
    responses((status = 200, body = TreasuryBody, description = "What it holds")))]
async fn treasury(
    State(api): State<Shared>,
    _caller: Caller,
) -> Result<Answer<TreasuryBody>, ApiError> {
    Ok(Answer(TreasuryBody { available_usdt: api.service.money.treasury().await?.to_string() }))
}

/// Records money that came into the treasury.
///
/// For treasurers. Accruals stop at what is funded. The same reference twice is one deposit.
#[utoipa::path(post, path = "/api/v1/payouts/treasury", operation_id = "recordDeposit", tag = "payouts", request_body = DepositRequest,
    responses((status = 201, body = TreasuryBody, description = "Recorded; what the treasury holds now"),
        (status = 200, body = TreasuryBody, description = "It was recorded before; what the treasury holds now")))]
async fn deposit(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<DepositRequest>,
) -> Result<(StatusCode, Answer<TreasuryBody>), ApiError> {
    let recorded =
        api.service.money.deposit(&actor, &json.value.reference, json.value.amount).await?;
    let status = if recorded { StatusCode::CREATED } else { StatusCode::OK };
    Ok((
        status,
        Answer(TreasuryBody { available_usdt: api.service.money.treasury().await?.to_string() }),
    ))
}
