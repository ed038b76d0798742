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
    schema,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, HandedIn, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, upload)).routes(routes!(active)).routes(routes!(activate)).routes(routes!(roll_back))
}

fn kind(word: &str) -> Result<PolicyKind, ApiError> {
    PolicyKind::from_name(word).ok_or_else(|| FieldError::new("kind", "must be one of scoring, validation, payout").into())
}

/// All versions of policies, newest first.
///
/// Rejected ones, too, with the gate's reason.
#[utoipa::path(get, path = "/api/v1/policies", operation_id = "listPolicies", tag = "policies",
    responses((status = 200, body = PolicyVersionList, description = "Every version that was handed in")))]
async fn list(State(api): State<Shared>, _caller: Caller) -> Result<Answer<PolicyVersionList>, ApiError> {
    Ok(Answer(PolicyVersionList { policies: api.service.policy_versions().await?.iter().map(Into::into).collect() }))
}

/// Hands a bundle in.
///
/// For policy authors and operators. It is checked as `lucid policy check` does, and kept if it passes; it is not
/// active before somebody activates it.
#[utoipa::path(post, path = "/api/v1/policies", operation_id = "uploadPolicy", tag = "policies",
    request_body(description = "The bundle: its files as JSON, or as an uncompressed tar of policy.toml, policy.wasm, policy.sig and golden/*.json, as `lucid policy pack` makes it",
        content((UploadPolicyRequest = "application/json"), (schema::BundleArchive = "application/x-tar"))),
    responses((status = 201, body = GateReportBody, description = "It passed every check and is kept"),
        (status = 400, body = GateReportBody, description = "The gate refused it: the report says why")))]
async fn upload(State(api): State<Shared>, Caller(actor): Caller, HandedIn(bundle): HandedIn) -> Result<Response, ApiError> {
    let staged = api.service.stage(&actor, bundle, "upload").await?;
    let report = staged.report;
    let status = if staged.version.is_some() { StatusCode::CREATED } else { StatusCode::BAD_REQUEST };
    let body = GateReportBody::new(report.policy.as_ref(), report.kind, &report.abi, &report.checks).with(report.signed_by, report.notes);
    Ok((status, Answer(body)).into_response())
}

/// What is active.
///
/// And the revision that this process runs.
#[utoipa::path(get, path = "/api/v1/policies/active", operation_id = "getActivePolicies", tag = "policies",
    responses((status = 200, body = ActivePolicies, description = "The newest activation of each kind and scope")))]
async fn active(State(api): State<Shared>, _caller: Caller) -> Result<Answer<ActivePolicies>, ApiError> {
    let (revision, active) = api.service.active_policies().await?;
    Ok(Answer(ActivePolicies { revision: revision.0, active: active.iter().map(ActivationBody::from).collect() }))
}

/// Activates a version.
///
/// For operators. By default everywhere; calculations that have begun end with what they began with.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/activate", operation_id = "activatePolicy", tag = "policies", request_body = ActivatePolicyRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 200, body = ActivePolicies, description = "What is active now"),
        (status = 409, body = ErrorBody, description = "Somebody else activated a policy at the same time")))]
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
///
/// For operators. 404 if nothing was.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/rollback", operation_id = "rollBackPolicy", tag = "policies",
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("scope" = Option<schema::Scope>, Query, description = "Where")),
    responses((status = 200, body = ActivePolicies, description = "What is active now"),
        (status = 409, body = ErrorBody, description = "Somebody else activated a policy at the same time")))]
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
