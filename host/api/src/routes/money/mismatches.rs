//! Payouts that the payment service contradicts.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
};
use lucid_api_types::{
    ErrorBody,
    money::{mismatch::RemedyRequest, payments::ResolvedBody},
    page::{MismatchList, PageParams, Pagination},
    schema,
};
use lucid_model::id::MismatchId;
use lucid_ports::PageRequest;
use lucid_service::ServiceError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::money::payments::answered;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

/// Lists payouts that the payment service contradicts.
///
/// For callers who see all records. Two look-ups said the same; two treasurers end it.
#[utoipa::path(get, path = "/api/v1/payouts/mismatches", operation_id = "listMismatches", tag = "payouts",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by"), ("open" = Option<bool>, Query, description = "Only those that nobody ended (`true`); without it, all")),
    responses((status = 200, body = MismatchList, description = "A page of mismatches")))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<MismatchList>, ApiError> {
    let page: PageRequest<()> = params.page(("created_at", ()), &[])?;
    let open = params
        .parsed("open", |text| text.parse::<bool>().ok(), "must be true or false")?
        .unwrap_or(false);
    let found = api.service.money.mismatches(open, page).await?;
    let mismatches = found.items.iter().map(Into::into).collect();
    Ok(Answer(MismatchList {
        mismatches,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// Ends a mismatch.
///
/// For treasurers. Where four eyes are required it is a proposal, which another treasurer has to
/// accept.
#[utoipa::path(post, path = "/api/v1/payouts/mismatches/{mismatch_id}/end", operation_id = "endMismatch", tag = "payouts", request_body = RemedyRequest,
    params(("mismatch_id" = schema::Id, Path, description = "The mismatch")),
    responses((status = 200, body = ResolvedBody, description = "It is ended"), (status = 202, body = ResolvedBody, description = "Another treasurer has to accept it"),
        (status = 409, body = ErrorBody, description = "It was ended before, or the treasury has not enough")))]
async fn end(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<RemedyRequest>,
) -> Result<(StatusCode, Answer<ResolvedBody>), ApiError> {
    let id: MismatchId = id.parse().map_err(|_| ServiceError::NotFound { what: "mismatch" })?;
    Ok(answered(
        &api.service
            .money
            .propose_remedy(&actor, id, json.value.remedy, json.value.evidence)
            .await?,
    ))
}
