use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_service::{NewSample, NewSession, Reported};
use lucid_wire::{
    ErrorBody,
    report::{HeartbeatRequest, MetricsRequest, ObservationsBody, ObservationsRequest, ReportBody, SessionVerdictBody},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::nodes::node_id;
use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(heartbeat)).routes(routes!(metrics)).routes(routes!(observations))
}

fn body(reported: &Reported) -> ReportBody {
    ReportBody {
        accepted: reported.accepted,
        repeated: reported.repeated,
        status: reported.status.name().into(),
        last_heartbeat: reported.at.to_string(),
    }
}

/// Says that a node is there.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/heartbeat", tag = "telemetry", params(("id" = String, Path)), request_body = HeartbeatRequest,
    responses((status = 200, body = ReportBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn heartbeat(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<HeartbeatRequest>,
) -> Result<Answer<ReportBody>, ApiError> {
    let proof = json.report_proof("heartbeat")?;
    Ok(Answer(body(&api.service.report(&actor, node_id(&id)?, proof, Vec::new()).await?)))
}

/// One sample, or a batch.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/metrics", tag = "telemetry", params(("id" = String, Path)), request_body = MetricsRequest,
    responses((status = 200, body = ReportBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn metrics(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<MetricsRequest>,
) -> Result<Answer<ReportBody>, ApiError> {
    let proof = json.report_proof("metrics")?;
    let sample =
        |s: &lucid_wire::report::ClaimedSample| NewSample { at: s.at, usage: s.usage, active_sessions: s.active_sessions, uptime_s: s.uptime_s };
    let samples = json.value.iter().map(sample).collect();
    Ok(Answer(body(&api.service.report(&actor, node_id(&id)?, proof, samples).await?)))
}

/// Observation sessions; a session that is sent again with a later end grows.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/observations", tag = "telemetry", params(("id" = String, Path)), request_body = ObservationsRequest,
    responses((status = 200, body = ObservationsBody), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn observations(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ObservationsRequest>,
) -> Result<Answer<ObservationsBody>, ApiError> {
    let proof = json.report_proof("observations")?;
    let session = |s: &lucid_wire::report::ClaimedSession| NewSession { session: s.session, span: s.span, quality: s.quality, usage: s.usage };
    let sessions = json.value.iter().map(session).collect();
    let reported = api.service.observe(&actor, node_id(&id)?, proof, sessions).await?;
    Ok(Answer(ObservationsBody { observations: reported.sessions.iter().map(|s| SessionVerdictBody::new(s.session, &s.verdict)).collect() }))
}
