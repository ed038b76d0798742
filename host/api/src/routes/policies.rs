use axum::{
    Json as Answer,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorBody, FieldError,
    audit::AuditEntryBody,
    page::{AuditList, PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, PageParams, Pagination},
    policies::{
        self, ActivatePolicyRequest, ActivationBody, ActivationList, ActivePolicies,
        CheckPolicyRequest, GateReportBody, PayoutSimulationBody, PolicyDiffBody, PolicyReportBody,
        PolicyReportList, PolicyVersionBody, PolicyVersionList, SimulatePolicyRequest,
        SimulatedBody, SimulationBody, UploadPolicyRequest,
    },
    reason::ReasonRequest,
    schema,
};
use lucid_model::{
    policies::{PolicyKind, Scope, Standing},
    telemetry::credit::Interval,
    time::DAY_MS,
};
use lucid_ports::{AuditFilter, GateReport};
use lucid_service::{
    ActivationRequest, ServiceError, Simulated, Start, VersionFilter, VersionStanding,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, HandedIn, Json, Params},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, upload))
        .routes(routes!(active))
        .routes(routes!(activations))
        .routes(routes!(reports))
        .routes(routes!(audit))
        .routes(routes!(version))
        .routes(routes!(diff))
        .routes(routes!(version_reports))
        .routes(routes!(check))
        .routes(routes!(simulate))
        .routes(routes!(activate))
        .routes(routes!(retire))
        .routes(routes!(roll_back))
}

/// Kind, name and version, as a path names them.
pub(super) type Named = Path<(String, String, String)>;

fn kind(word: &str) -> Result<PolicyKind, ApiError> {
    PolicyKind::from_name(word)
        .ok_or_else(|| FieldError::new("kind", "must be one of scoring, validation, payout").into())
}

fn short_text(text: &str) -> Option<String> {
    (text.chars().count() <= 255 && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

pub(super) async fn find(
    api: &Shared,
    Path((word, name, version)): &Named,
) -> Result<VersionStanding, ApiError> {
    Ok(api.service.policies.policy_version(kind(word)?, name, version).await?)
}

pub(super) fn is_csv(params: &Params) -> Result<bool, ApiError> {
    let csv = params.parsed(
        "format",
        |text| ["json", "csv"].contains(&text).then_some(text == "csv"),
        "must be one of json, csv",
    )?;
    Ok(csv.unwrap_or(false))
}

fn newest(params: &Params) -> Result<u32, ApiError> {
    let fits = |text: &str| text.parse().ok().filter(|limit| (1..=PAGE_LIMIT_MAX).contains(limit));
    let limit = params.parsed(
        "limit",
        fits,
        &format!("must be a whole number from 1 to {PAGE_LIMIT_MAX}"),
    )?;
    Ok(limit.unwrap_or(PAGE_LIMIT_DEFAULT))
}

fn body(found: &VersionStanding) -> PolicyVersionBody {
    PolicyVersionBody::new(&found.version, found.standing, &found.activations)
}

fn report_body(report: GateReport) -> GateReportBody {
    GateReportBody::new(report.policy.as_ref(), report.kind, &report.abi, &report.checks)
        .with(report.signed_by, report.notes)
}

/// Versions of policies, newest first.
///
/// With where each stands. What the gate refused is not among them: it is in the reports.
#[utoipa::path(get, path = "/api/v1/policies", operation_id = "listPolicies", tag = "policies",
    params(("kind" = Option<schema::PolicyKind>, Query, description = "Of this kind"),
        ("name" = Option<schema::ShortText>, Query, description = "Of this name"),
        ("state" = Option<schema::PolicyState>, Query, description = "That stand there")),
    responses((status = 200, body = PolicyVersionList, description = "The versions")))]
async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<PolicyVersionList>, ApiError> {
    let filter = VersionFilter {
        kind: params.get("kind").map(kind).transpose()?,
        name: params.parsed(
            "name",
            short_text,
            "must have at most 255 characters, none of them a control character",
        )?,
        standing: params.parsed(
            "state",
            Standing::from_name,
            "must be one of checked, shadow, scheduled, active, retired",
        )?,
    };
    Ok(Answer(PolicyVersionList {
        policies: api.service.policies.policy_versions(&filter).await?.iter().map(body).collect(),
    }))
}

/// Hands a bundle in.
///
/// For policy authors and operators. It is checked as `lucid policy check` does, and kept if it
/// passes; it is not active before somebody activates it.
#[utoipa::path(post, path = "/api/v1/policies", operation_id = "uploadPolicy", tag = "policies",
    request_body(description = "The bundle: its files as JSON, or as an uncompressed tar of policy.toml, policy.wasm, policy.sig and golden/*.json, as `lucid policy pack` makes it",
        content((UploadPolicyRequest = "application/json"), (schema::BundleArchive = "application/x-tar"))),
    responses((status = 201, body = GateReportBody, description = "It passed every check and is kept"),
        (status = 400, body = ErrorBody, description = "The gate refused it: `details.reason` says why, and `details.report` is its report")))]
async fn upload(
    State(api): State<Shared>,
    Caller(actor): Caller,
    HandedIn(bundle): HandedIn,
) -> Result<Response, ApiError> {
    let report = api.service.policies.stage(&actor, bundle, "upload").await?.report;
    match report.rejection() {
        None => Ok((StatusCode::CREATED, Answer(report_body(report))).into_response()),
        Some(reason) => {
            let report = serde_json::to_value(report_body(report))
                .map_err(|error| ApiError::internal(&error))?;
            Err(ApiError::from(ServiceError::BundleRefused { reason }).with("report", report))
        }
    }
}

/// What is active.
///
/// And the revision that this process runs.
#[utoipa::path(get, path = "/api/v1/policies/active", operation_id = "getActivePolicies", tag = "policies",
    responses((status = 200, body = ActivePolicies, description = "What is in force for each kind and scope, and what will follow it")))]
async fn active(
    State(api): State<Shared>,
    _caller: Caller,
) -> Result<Answer<ActivePolicies>, ApiError> {
    let (revision, active) = api.service.policies.active_policies().await?;
    Ok(Answer(ActivePolicies {
        revision: revision.0,
        active: active.iter().map(ActivationBody::from).collect(),
    }))
}

/// All activations, newest first.
///
/// Who made what active, when, from when on and why. For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/activations", operation_id = "listPolicyActivations", tag = "policies",
    params(("limit" = Option<schema::ListLimit>, Query, description = "How many")),
    responses((status = 200, body = ActivationList, description = "The newest activations")))]
async fn activations(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<ActivationList>, ApiError> {
    let found = api.service.policies.policy_activations(newest(&params)?).await?;
    Ok(Answer(ActivationList { activations: found.iter().map(ActivationBody::from).collect() }))
}

/// What the gate found, newest first.
///
/// Of every bundle that was handed in, checked or to be activated, the refused ones included; the
/// newest 256 are kept. For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/reports", operation_id = "listPolicyReports", tag = "policies",
    params(("limit" = Option<schema::ListLimit>, Query, description = "How many")),
    responses((status = 200, body = PolicyReportList, description = "The newest reports")))]
async fn reports(
    State(api): State<Shared>,
    _caller: Caller,
    params: Params,
) -> Result<Answer<PolicyReportList>, ApiError> {
    let found = api.service.policies.policy_reports(None, newest(&params)?).await?;
    Ok(Answer(PolicyReportList { reports: found.iter().map(PolicyReportBody::from).collect() }))
}

/// What was done to policies, newest first.
///
/// The audit log's entries about them. For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/audit", operation_id = "listPolicyAuditEntries", tag = "policies",
    params(PageParams, ("sort" = Option<schema::AuditSort>, Query, description = "What to sort by")),
    responses((status = 200, body = AuditList, description = "A page of entries")))]
async fn audit(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
) -> Result<Answer<AuditList>, ApiError> {
    let page = params.page(("at", ()), &[])?;
    let found = api
        .service
        .audit
        .audit(
            &actor,
            AuditFilter { area: Some("policy".to_owned()), ..AuditFilter::default() },
            page,
        )
        .await?;
    let entries = found.items.iter().map(AuditEntryBody::from).collect();
    Ok(Answer(AuditList {
        entries,
        pagination: Pagination::new(page.page, page.limit, found.total),
    }))
}

/// One version.
///
/// And where it stands.
#[utoipa::path(get, path = "/api/v1/policies/{kind}/{name}/{version}", operation_id = "getPolicy", tag = "policies",
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 200, body = PolicyVersionBody, description = "The version")))]
async fn version(
    State(api): State<Shared>,
    _caller: Caller,
    named: Named,
) -> Result<Answer<PolicyVersionBody>, ApiError> {
    Ok(Answer(body(&find(&api, &named).await?)))
}

/// What is another in a version.
///
/// Than in the one of the same name and number `against`; without that, than in what is in force
/// now for its kind in the default scope, whatever that is called: what activating it would change.
#[utoipa::path(get, path = "/api/v1/policies/{kind}/{name}/{version}/diff", operation_id = "comparePolicy", tag = "policies",
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version"),
        ("against" = Option<schema::Version>, Query, description = "Another version of the same name")),
    responses((status = 200, body = PolicyDiffBody, description = "What is another; what is alike is not in it"),
        (status = 409, body = ErrorBody, description = "One of them cannot be loaded here: nobody trusts its signatures any more, for example")))]
async fn diff(
    State(api): State<Shared>,
    _caller: Caller,
    named: Named,
    params: Params,
) -> Result<Answer<PolicyDiffBody>, ApiError> {
    let against = params.parsed("against", policies::version, "must be a version such as 1.0.0")?;
    let found = api
        .service
        .policies
        .compare_policies(&find(&api, &named).await?.version, against.as_deref())
        .await?;
    Ok(Answer(PolicyDiffBody::new(&found.before, &found.after, &found.differences)))
}

/// What the gate found of one version, newest first.
///
/// For callers who see all records.
#[utoipa::path(get, path = "/api/v1/policies/{kind}/{name}/{version}/reports", operation_id = "listReportsOfPolicy", tag = "policies",
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version"),
        ("limit" = Option<schema::ListLimit>, Query, description = "How many")),
    responses((status = 200, body = PolicyReportList, description = "The newest reports")))]
async fn version_reports(
    State(api): State<Shared>,
    _caller: Caller,
    named: Named,
    params: Params,
) -> Result<Answer<PolicyReportList>, ApiError> {
    let digest = find(&api, &named).await?.version.policy.digest;
    let found = api.service.policies.policy_reports(Some(digest), newest(&params)?).await?;
    Ok(Answer(PolicyReportList { reports: found.iter().map(PolicyReportBody::from).collect() }))
}

/// Puts a version through the gate once more.
///
/// For policy authors and operators. As it would be activated with these params; nothing becomes
/// active.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/check", operation_id = "checkPolicy", tag = "policies", request_body = CheckPolicyRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 200, body = GateReportBody, description = "What the gate found, good or bad")))]
async fn check(
    State(api): State<Shared>,
    Caller(actor): Caller,
    named: Named,
    json: Json<CheckPolicyRequest>,
) -> Result<Answer<GateReportBody>, ApiError> {
    let digest = find(&api, &named).await?.version.policy.digest;
    Ok(Answer(report_body(api.service.policies.check_version(&actor, digest, &json.value).await?)))
}

/// Asks a version about what is over.
///
/// For policy authors and operators. A scoring policy from the frames of closed epochs, as if it
/// had been active then: what each node had and would have had; from its second epoch on it sees
/// its own scores as those of the epoch before. At most 2,500 epochs and 5,000,000 scores. A payout
/// policy about settled periods, in USDT: at most 400. Nothing is changed. `format=csv` answers a
/// line a node.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/simulate", operation_id = "simulatePolicy", tag = "policies", request_body = SimulatePolicyRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version"),
        ("format" = Option<schema::SimulationFormat>, Query, description = "The totals with those who gain and lose most, or every node")),
    responses((status = 200, description = "What came out", content((SimulatedBody = "application/json"), (String = "text/csv")))))]
async fn simulate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    named: Named,
    params: Params,
    json: Json<SimulatePolicyRequest>,
) -> Result<Response, ApiError> {
    let csv = is_csv(&params)?;
    let (version, asked) = (find(&api, &named).await?.version, json.value);
    let to = asked.to.unwrap_or_else(|| api.service.clock.now());
    let usual_days = if version.kind == PolicyKind::Payout { 7 } else { 1 };
    let range =
        Interval { from: asked.from.unwrap_or_else(|| to.plus_ms(-usual_days * DAY_MS)), to };
    if range.from >= range.to {
        return Err(FieldError::new("from", "must be before to").into());
    }
    let (identity, simulated) =
        api.service.review.simulate(&actor, &version, &asked.params, (range, asked.pool)).await?;
    if !csv {
        let body = match &simulated {
            Simulated::Scores(simulation) => {
                SimulatedBody::Scores(SimulationBody::new(&identity, simulation))
            }
            Simulated::Money(simulation) => {
                SimulatedBody::Money(PayoutSimulationBody::new(&identity, simulation))
            }
        };
        return Ok(Answer(body).into_response());
    }
    let lines = match &simulated {
        Simulated::Scores(simulation) => simulation.csv(),
        Simulated::Money(simulation) => simulation.csv(),
    };
    let name = format!(
        "attachment; filename=\"{}-{}.csv\"",
        identity.policy.name, identity.policy.version
    );
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, lines).into_response())
}

/// Activates a version.
///
/// For operators. By default everywhere and at once; calculations that have begun end with what
/// they began with.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/activate", operation_id = "activatePolicy", tag = "policies", request_body = ActivatePolicyRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 200, body = ActivePolicies, description = "What is active now"),
        (status = 409, body = ErrorBody, description = "It is retired, or somebody else activated a policy at the same time")))]
async fn activate(
    State(api): State<Shared>,
    Caller(actor): Caller,
    named: Named,
    json: Json<ActivatePolicyRequest>,
) -> Result<Answer<ActivePolicies>, ApiError> {
    let digest = find(&api, &named).await?.version.policy.digest;
    let asked = json.value;
    let start = if asked.next_period { Start::NextPeriod } else { Start::Now };
    let reason = asked.reason.unwrap_or_default();
    api.service
        .policies
        .activate(
            &actor,
            ActivationRequest { scope: asked.scope, digest, params: asked.params, start, reason },
        )
        .await?;
    active(State(api), Caller(actor)).await
}

/// Withdraws a version for good.
///
/// For operators. It is kept, so that what it decided can be recomputed, and is never activated
/// again. A version that is in force or scheduled is not retired: 409 says where it is.
#[utoipa::path(post, path = "/api/v1/policies/{kind}/{name}/{version}/retire", operation_id = "retirePolicy", tag = "policies", request_body = ReasonRequest,
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("name" = String, Path, description = "Its name"), ("version" = String, Path, description = "Its version")),
    responses((status = 200, body = PolicyVersionBody, description = "The version; one that was retired before keeps its first reason"),
        (status = 409, body = ErrorBody, description = "It is in force or scheduled")))]
async fn retire(
    State(api): State<Shared>,
    Caller(actor): Caller,
    named: Named,
    json: Json<ReasonRequest>,
) -> Result<Answer<PolicyVersionBody>, ApiError> {
    let version =
        api.service.policies.retire(&actor, find(&api, &named).await?, json.value).await?;
    Ok(Answer(PolicyVersionBody::new(&version, Standing::Retired, &[])))
}

/// Goes back to what was active before.
///
/// For operators. At once; what was scheduled is taken back. 404 if nothing was active before.
#[utoipa::path(post, path = "/api/v1/policies/rollbacks/{kind}", operation_id = "rollBackPolicy", tag = "policies",
    params(("kind" = schema::PolicyKind, Path, description = "What it decides"), ("scope" = Option<schema::Scope>, Query, description = "Where")),
    responses((status = 200, body = ActivePolicies, description = "What is active now"),
        (status = 409, body = ErrorBody, description = "Somebody else activated a policy at the same time")))]
pub(super) async fn roll_back(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(word): Path<String>,
    params: Params,
) -> Result<Answer<ActivePolicies>, ApiError> {
    let scope = params
        .parsed("scope", |text| text.parse::<Scope>().ok(), "must be default or a pool's id")?
        .unwrap_or(Scope::Default);
    api.service.policies.roll_back(&actor, kind(&word)?, scope).await?;
    active(State(api), Caller(actor)).await
}
