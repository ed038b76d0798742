//! Versions that run beside the active ones.

use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorBody,
    page::{PageParams, Pagination, ShadowList},
    policies::{BeginShadowRequest, ShadowBody, ShadowResultList, results_csv},
    reason::ReasonRequest,
    schema,
};
use lucid_model::id::ShadowId;
use lucid_ports::PageRequest;
use lucid_service::{NewShadow, ServiceError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::routes::policies::{Named, find, is_csv};
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(results))
        .routes(routes!(end))
}

fn shadow_id(text: &str) -> Result<ShadowId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "shadow" }.into())
}

/// Runs a version as a shadow.
///
/// For policy authors and operators; of scoring and payout policies. From the period on that runs
/// now it is asked about every epoch that is closed, or every settlement period that is settled,
/// beside what is active, and decides nothing. At most 8 run at once.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/shadow", operation_id = "beginShadow", tag = "policies", request_body = BeginShadowRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 201, body = ShadowBody, description = "It runs"),
        (status = 409, body = ErrorBody, description = "It runs there already, is retired, or as many run as may")))]
async fn begin(
    State(api): State<Shared>,
    Caller(actor): Caller,
    named: Named,
    json: Json<BeginShadowRequest>,
) -> Result<(StatusCode, Answer<ShadowBody>), ApiError> {
    let (version, asked) = (find(&api, &named).await?.version, json.value);
    let new = NewShadow { params: asked.params, pool: asked.pool, reason: asked.reason };
    let shadow = api.service.review.begin_shadow(&actor, &version, new).await?;
    Ok((StatusCode::CREATED, Answer((&shadow).into())))
}

/// Shadows, running and ended.
///
/// For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/shadows", operation_id = "listShadows", tag = "policies",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by")),
    responses((status = 200, body = ShadowList, description = "A page of shadows")))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<ShadowList>, ApiError> {
    let page: PageRequest<()> = params.page(("created_at", ()), &[])?;
    let found = api.service.review.shadows(page).await?;
    let shadows = found.items.iter().map(Into::into).collect();
    Ok(Answer(ShadowList {
        shadows,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// One shadow.
///
/// For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/shadows/{shadow_id}", operation_id = "getShadow", tag = "policies",
    params(("shadow_id" = schema::Id, Path, description = "The shadow")),
    responses((status = 200, body = ShadowBody, description = "The shadow")))]
async fn one(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Answer<ShadowBody>, ApiError> {
    Ok(Answer((&api.service.review.shadow(shadow_id(&id)?).await?).into()))
}

/// What a shadow said, a period each.
///
/// For callers who see all records. What it would have changed of the whole, and for whom most; of
/// every node `simulate` tells, over the same periods. `format=csv` answers a line a period.
#[utoipa::path(get, path = "/api/v1/policies/shadows/{shadow_id}/results", operation_id = "listShadowResults", tag = "policies",
    params(PageParams, ("sort" = Option<schema::EpochSort>, Query, description = "What to sort by"), ("shadow_id" = schema::Id, Path, description = "The shadow"),
        ("format" = Option<schema::SimulationFormat>, Query, description = "How the page is written")),
    responses((status = 200, description = "A page of results", content((ShadowResultList = "application/json"), (String = "text/csv")))))]
async fn results(
    State(api): State<Shared>,
    _caller: Caller,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let (csv, page) = (is_csv(&params)?, params.page(("epoch", ()), &[])?);
    let (shadow, found) = api.service.review.shadow_results(shadow_id(&id)?, page).await?;
    if csv {
        return Ok((
            [(header::CONTENT_TYPE, "text/csv; charset=utf-8")],
            results_csv(&found.items),
        )
            .into_response());
    }
    let results = found.items.iter().map(Into::into).collect();
    Ok(Answer(ShadowResultList {
        shadow: (&shadow).into(),
        results,
        pagination: Pagination::new(page.page, page.limit, found.total),
    })
    .into_response())
}

/// Ends a shadow.
///
/// For policy authors and operators. What it said stays.
#[utoipa::path(post, path = "/api/v1/policies/shadows/{shadow_id}/end", operation_id = "endShadow", tag = "policies", request_body = ReasonRequest,
    params(("shadow_id" = schema::Id, Path, description = "The shadow")),
    responses((status = 200, body = ShadowBody, description = "The shadow; one that was ended before keeps its first reason")))]
async fn end(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ReasonRequest>,
) -> Result<Answer<ShadowBody>, ApiError> {
    Ok(Answer((&api.service.review.end_shadow(&actor, shadow_id(&id)?, json.value).await?).into()))
}
