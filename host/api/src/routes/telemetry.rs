pub(super) mod resources;

use axum::{
    Json as Answer,
    extract::{Path, State},
};
use lucid_api_types::{
    ErrorBody, ErrorKind, FieldError,
    fleet::auth::ReportHeaders,
    reason::ReasonRequest,
    schema,
    telemetry::report::{
        DroppedSampleBody, HeartbeatRequest, MetricsRequest, ObservationsBody, ObservationsRequest,
        ReportBody, SessionVerdictBody, VoidedObservationBody,
        carried::{CarriedReport, CarriedReportsRequest, CarriedResultBody, CarriedResultsBody},
    },
};
use lucid_model::id::Digest;
use lucid_service::{RelayedReport, ReportProof, Reported, ServiceError};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json},
    routes::fleet::nodes::node_id,
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(heartbeat))
        .routes(routes!(metrics))
        .routes(routes!(carried))
        .routes(routes!(observations))
        .routes(routes!(void))
}

fn body(reported: &Reported) -> ReportBody {
    ReportBody {
        accepted: reported.accepted,
        late: reported.late,
        dropped: reported
            .dropped
            .iter()
            .map(|dropped| DroppedSampleBody {
                sample: dropped.place,
                reason: dropped.why.to_string(),
            })
            .collect(),
        repeated: reported.repeated,
        status: reported.status.name().into(),
        last_heartbeat: reported.at.to_string(),
    }
}

/// Says that a node is there.
///
/// Reports of a node with a key are signed and numbered in the headers; the same report sent again
/// has the same answer.
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
    Ok(Answer(body(
        &api.service.telemetry.report(&actor, node_id(&api, &id).await?, proof, Vec::new()).await?,
    )))
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
    let samples = json.value;
    Ok(Answer(body(
        &api.service.telemetry.report(&actor, node_id(&api, &id).await?, proof, samples).await?,
    )))
}

fn carried_by(report: CarriedReport) -> RelayedReport {
    let body = Digest::of(report.report.as_bytes());
    let proof = report.signature.map(|s| ReportProof {
        kind: "metrics",
        sequence: s.sequence,
        body,
        signature: s.signature,
        from: None,
    });
    RelayedReport { node: report.node, proof, samples: report.samples }
}

/// Samples of many nodes, carried by a gateway.
///
/// Up to 1,000 reports, each with what its node signed; each is taken or refused by itself and has
/// a result at its place. A result with a status of 429 or from 500 on is to be sent again, the
/// others not. 400 if not one report can be read.
#[utoipa::path(post, path = "/api/v1/metrics:batch", operation_id = "sendCarriedMetrics", tag = "telemetry", request_body = CarriedReportsRequest,
    responses((status = 200, body = CarriedResultsBody, description = "One result a report")))]
async fn carried(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<CarriedReportsRequest>,
) -> Result<Answer<CarriedResultsBody>, ApiError> {
    let (mut reports, mut refusals) = (Vec::new(), Vec::new());
    for read in json.value {
        // At the place of each report: why it could not be read, if it could not.
        refusals.push(read.map(|report| reports.push(carried_by(report))).err());
    }
    if reports.is_empty() {
        let why = refusals
            .into_iter()
            .flatten()
            .next()
            .map_or_else(String::new, |error| error.to_string());
        return Err(ApiError::new(
            ErrorKind::BatchInvalid,
            format!("not one of the reports can be read; the first: {why}"),
        ));
    }
    let mut outcomes = api.service.telemetry.report_carried(&actor, reports).await.into_iter();
    let outcome = |refusal: Option<FieldError>| match refusal {
        Some(error) => Some(Err(ApiError::from(error))),
        None => outcomes.next().map(|outcome| outcome.map_err(ApiError::from)),
    };
    let results: Vec<_> = refusals
        .into_iter()
        .filter_map(outcome)
        .map(|outcome| match outcome {
            Ok(reported) => CarriedResultBody { report: Some(body(&reported)), error: None },
            Err(error) => CarriedResultBody { report: None, error: Some(error.of_item()) },
        })
        .collect();
    let count = |taken: bool| {
        u32::try_from(results.iter().filter(|r| r.report.is_some() == taken).count())
            .unwrap_or(u32::MAX)
    };
    Ok(Answer(CarriedResultsBody { accepted: count(true), rejected: count(false), results }))
}

/// Observation sessions.
///
/// The fields of one session, or up to 100 of them in `observations`. A session that is sent again
/// with a later end grows.
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
    let sessions = json.value;
    let reported =
        api.service.telemetry.observe(&actor, node_id(&api, &id).await?, proof, sessions).await?;
    Ok(Answer(ObservationsBody {
        observations: reported
            .sessions
            .iter()
            .map(|s| SessionVerdictBody::new(s.session, &s.verdict))
            .collect(),
    }))
}

/// Takes an observation back.
///
/// For operators. It does not count any more. Scores of closed epochs that rest on it are adjusted
/// by receipts beside the epochs', which stay; what the node accrued with them is reversed. Asked
/// again, it does what is left to be done.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/observations/{session_id}/void", operation_id = "voidObservation", tag = "telemetry", request_body = ReasonRequest,
    params(("id" = schema::NodeName, Path, description = "The node"), ("session_id" = schema::Id, Path, description = "The session")),
    responses((status = 200, body = VoidedObservationBody, description = "It is voided; what follows from that"),
        (status = 409, body = ErrorBody, description = "It is voided, and an epoch that it is in is being closed: ask again when that is done")))]
async fn void(
    State(api): State<Shared>,
    Caller(actor): Caller,
    Path((id, session)): Path<(String, String)>,
    json: Json<ReasonRequest>,
) -> Result<Answer<VoidedObservationBody>, ApiError> {
    let session = session.parse().map_err(|_| ServiceError::NotFound { what: "observation" })?;
    let voided = api
        .service
        .money
        .void_observation(&actor, node_id(&api, &id).await?, session, json.value)
        .await?;
    Ok(Answer(VoidedObservationBody {
        observation: SessionVerdictBody::new(
            voided.observation.session,
            &voided.observation.verdict,
        ),
        scores: voided.adjustments.iter().map(Into::into).collect(),
        reversed: voided.reversed.to_string(),
    }))
}
