use axum::{
    Json as Answer,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use lucid_model::policy::{PolicyKind, Scope};
use lucid_service::ActivationRequest;
use lucid_wire::{
    ErrorBody, FieldError,
    policy::{ActivatePolicyRequest, ActivationBody, ActivePolicies, GateReportBody, PolicyVersionList, UploadPolicyRequest},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, upload)).routes(routes!(active)).routes(routes!(activate)).routes(routes!(roll_back))
}

fn kind(word: &str) -> Result<PolicyKind, ApiError> {
    PolicyKind::from_name(word).ok_or_else(|| FieldError::new("kind", "must be one of scoring, validation, payout").into())
}

/// All versions, newest first.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", responses((status = 200, body = PolicyVersionList)))]
async fn list(State(api): State<Shared>, _caller: Caller) -> Result<Answer<PolicyVersionList>, ApiError> {
    Ok(Answer(PolicyVersionList { policies: api.service.policy_versions().await?.iter().map(Into::into).collect() }))
}

/// Hands a bundle in: it is checked, and kept if it passes.
#[utoipa::path(post, path = "/api/v1/policies", tag = "policies", request_body = UploadPolicyRequest,
    responses((status = 201, body = GateReportBody), (status = 400, body = GateReportBody, description = "the gate refused it; the report says why"), (status = 403, body = ErrorBody)))]
async fn upload(State(api): State<Shared>, Caller(actor): Caller, json: Json<UploadPolicyRequest>) -> Result<Response, ApiError> {
    let staged = api.service.stage(&actor, json.value, "upload").await?;
    let report = staged.report;
    let status = if staged.version.is_some() { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
    Ok((status, Answer(GateReportBody::new(report.policy.as_ref(), report.kind, &report.abi, &report.checks))).into_response())
}

/// What is active, and the revision that this process runs.
#[utoipa::path(get, path = "/api/v1/policies/active", tag = "policies", responses((status = 200, body = ActivePolicies)))]
async fn active(State(api): State<Shared>, _caller: Caller) -> Result<Answer<ActivePolicies>, ApiError> {
    let (revision, active) = api.service.active_policies().await?;
    Ok(Answer(ActivePolicies { revision: revision.0, active: active.iter().map(ActivationBody::from).collect() }))
}

/// Activates a version, by default everywhere.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/activate", tag = "policies",
    params(("kind" = String, Path), ("name" = String, Path), ("version" = String, Path)), request_body = ActivatePolicyRequest,
    responses((status = 200, body = ActivePolicies), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn activate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path((word, name, version)): Path<(String, String, String)>,
    json: Json<ActivatePolicyRequest>,
) -> Result<Answer<ActivePolicies>, ApiError> {
    let policy = api.service.policy_version(kind(&word)?, &name, &version).await?;
    let asked = json.value;
    let reason = asked.reason.unwrap_or_default();
    api.service.activate(&actor, ActivationRequest { scope: asked.scope, digest: policy.digest, params: asked.params, reason }).await?;
    active(State(api), Caller(actor)).await
}

/// Goes back to what was active before.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/rollback", tag = "policies",
    params(("kind" = String, Path), ("scope" = Option<String>, Query, description = "default, or a pool's id")),
    responses((status = 200, body = ActivePolicies), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn roll_back(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(word): Path<String>,
    params: Params,
) -> Result<Answer<ActivePolicies>, ApiError> {
    let scope = params.parsed("scope", |text| text.parse::<Scope>().ok(), "must be default or a pool's id")?.unwrap_or(Scope::Default);
    api.service.roll_back(&actor, kind(&word)?, scope).await?;
    active(State(api), Caller(actor)).await
}
