use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use lucid_api_types::{
    ErrorBody,
    fleet::enrolment::{CreateEnrolmentRequest, EnrolmentBody},
    page::{EnrolmentList, PageParams, Pagination},
    schema,
};
use lucid_model::id::EnrolmentId;
use lucid_service::ServiceError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
    idempotency::KeptInstead,
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, revoke))
}

fn enrolment_id(text: &str) -> Result<EnrolmentId, ApiError> {
    text.parse().map_err(|_| ServiceError::NotFound { what: "enrolment token" }.into())
}

/// Enrolment tokens, newest first.
///
/// A caller without rights over the fleet sees its own only. The tokens themselves are not kept.
#[utoipa::path(get, path = "/api/v1/enrolment-tokens", operation_id = "listEnrolmentTokens", tag = "nodes",
    params(PageParams, ("sort" = Option<schema::CreatedSort>, Query, description = "What to sort by")),
    responses((status = 200, body = EnrolmentList, description = "A page of tokens")))]
async fn list(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<EnrolmentList>, ApiError> {
    let page = params.page(("created_at", ()), &[])?;
    let found = api.service.fleet.enrolments(&actor, page).await?;
    let now = api.service.clock.now();
    let enrolment_tokens = found.items.iter().map(|e| EnrolmentBody::new(e, now)).collect();
    Ok(Answer(EnrolmentList {
        enrolment_tokens,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// Makes an enrolment token.
///
/// Whoever has it registers nodes for its owner: as many as it says, until it expires or is taken
/// back. It goes into the header `x-lucid-enrolment-token` of a registration, in place of a bearer
/// token. It is shown once, in this answer; a repeat under the same `Idempotency-Key` leaves it
/// out.
#[utoipa::path(post, path = "/api/v1/enrolment-tokens", operation_id = "createEnrolmentToken", tag = "nodes", request_body = CreateEnrolmentRequest,
    responses((status = 201, body = EnrolmentBody, description = "The token", headers(("Location" = String, description = "Path of what is known of the token"))),
        (status = 404, body = ErrorBody, description = "No such pool")))]
async fn create(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<CreateEnrolmentRequest>,
) -> Result<Response, ApiError> {
    let given = api.service.fleet.create_enrolment(&actor, json.value).await?;
    let known = EnrolmentBody::new(&given.enrolment, api.service.clock.now());
    let kept = serde_json::to_vec(&known).map_err(|error| ApiError::internal(&error))?;
    let location = format!("/api/v1/enrolment-tokens/{}", known.enrolment_id);
    let shown = EnrolmentBody { token: given.token, ..known };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    let mut response = (StatusCode::CREATED, headers, Answer(shown)).into_response();
    response.extensions_mut().insert(KeptInstead(Bytes::from(kept)));
    Ok(response)
}

/// What is known of an enrolment token.
///
/// Never the token itself: only its digest is kept.
#[utoipa::path(get, path = "/api/v1/enrolment-tokens/{id}", operation_id = "getEnrolmentToken", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The token's id")),
    responses((status = 200, body = EnrolmentBody, description = "What is known of it")))]
async fn get(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<Answer<EnrolmentBody>, ApiError> {
    let found = api.service.fleet.enrolment(&actor, enrolment_id(&id)?).await?;
    Ok(Answer(EnrolmentBody::new(&found, api.service.clock.now())))
}

/// Takes an enrolment token back.
///
/// Nodes that were registered with it stay. Doing it again changes nothing.
#[utoipa::path(delete, path = "/api/v1/enrolment-tokens/{id}", operation_id = "revokeEnrolmentToken", tag = "nodes",
    params(("id" = schema::Id, Path, description = "The token's id")),
    responses((status = 204, description = "It is not good any more")))]
async fn revoke(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.service.fleet.revoke_enrolment(&actor, enrolment_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
