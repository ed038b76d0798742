//! The clocks of this replica, and taking the wall clock for right.

use axum::{Json as Answer, extract::State};
use lucid_api_types::{ErrorBody, clock::ClockBody, reason::ReasonRequest};
use lucid_service::ClockStatus;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Shared,
    errors::ApiError,
    extract::{Caller, Json},
};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(clock)).routes(routes!(accept))
}

fn body(status: ClockStatus) -> ClockBody {
    ClockBody::new(
        status.reading.now,
        status.wall,
        status.reading.fault.map(|fault| (fault.name(), fault.to_string())),
    )
}

/// Is the clock right?
///
/// For callers who see all records. Each replica answers for its own clock: ask it at its own
/// address.
#[utoipa::path(get, path = "/api/v1/clock", operation_id = "getClock", tag = "operations",
    responses((status = 200, body = ClockBody, description = "What the clocks say")))]
async fn clock(State(api): State<Shared>, _caller: Caller) -> Answer<ClockBody> {
    Answer(body(api.service.clock.status()))
}

/// Accepts the wall clock as right.
///
/// For operators. The replica that answers goes by its wall clock from now on; it is audited. Look
/// at the clock first: time that is over is closed, settled and deleted by it.
#[utoipa::path(post, path = "/api/v1/clock/accept", operation_id = "acceptClock", tag = "operations", request_body = ReasonRequest,
    responses((status = 200, body = ClockBody, description = "What the clocks say now"),
        (status = 409, body = ErrorBody, description = "Nobody doubts the clock")))]
async fn accept(
    State(api): State<Shared>,
    Caller(actor): Caller,
    json: Json<ReasonRequest>,
) -> Result<Answer<ClockBody>, ApiError> {
    Ok(Answer(body(api.service.accept_clock(&actor, &json.value).await?)))
}
