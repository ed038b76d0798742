use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_service::{NewSample, NewSession, Reported};
use lucid_wire::{
    ErrorBody,
    auth::ReportHeaders,
    report::{HeartbeatRequest, MetricsRequest, ObservationsBody, ObservationsRequest, ReportBody, SessionVerdictBody},
    schema,
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
        late: reported.late,
        repeated: reported.repeated,
        status: reported.status.name().into(),
        last_heartbeat: reported.at.to_string(),
    }
}

/// Says that a node is there.
///
/// Reports of a node with a key are signed and numbered in the headers; the same report sent again has the same answer.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/heartbeat", operation_id = "sendHeartbeat", tag = "telemetry", request_body = HeartbeatRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), ReportHeaders),
    responses((status = 200, body = ReportBody, description = "It was taken"),
        (status = 409, body = ErrorBody, description = "The sequence number was used for another report; `highest_sequence` says where to go on")))]
async fn heartbeat(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<HeartbeatRequest>,
) -> Result<Answer<ReportBody>, ApiError> {
    let proof = json.report_proof("heartbeat")?;
    Ok(Answer(body(&api.service.report(&actor, node_id(&api, &id).await?, proof, Vec::new()).await?)))
}

/// One sample, or a batch.
///
/// The fields of one sample, or up to 1,000 of them in `samples`. A report is a sign of life, too.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/metrics", operation_id = "sendMetrics", tag = "telemetry", request_body = MetricsRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), ReportHeaders),
    responses((status = 200, body = ReportBody, description = "They were taken"),
        (status = 409, body = ErrorBody, description = "The sequence number was used for another report; `highest_sequence` says where to go on")))]
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
    Ok(Answer(body(&api.service.report(&actor, node_id(&api, &id).await?, proof, samples).await?)))
}

/// Observation sessions.
///
/// The fields of one session, or up to 100 of them in `observations`. A session that is sent again with a later end
/// grows.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/observations", operation_id = "sendObservations", tag = "telemetry", request_body = ObservationsRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), ReportHeaders),
    responses((status = 200, body = ObservationsBody, description = "A verdict a session"),
        (status = 409, body = ErrorBody, description = "The sequence number was used for another report; `highest_sequence` says where to go on")))]
async fn observations(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    json: Json<ObservationsRequest>,
) -> Result<Answer<ObservationsBody>, ApiError> {
    let proof = json.report_proof("observations")?;
    let session = |s: &lucid_wire::report::ClaimedSession| NewSession { session: s.session, span: s.span, quality: s.quality, usage: s.usage };
    let sessions = json.value.iter().map(session).collect();
    let reported = api.service.observe(&actor, node_id(&api, &id).await?, proof, sessions).await?;
    Ok(Answer(ObservationsBody { observations: reported.sessions.iter().map(|s| SessionVerdictBody::new(s.session, &s.verdict)).collect() }))
}
