//! Routes, a file for each resource: request → use case → answer, nothing else.

mod audit;
mod identity;
mod nodes;
mod operations;
mod payouts;
mod policies;
mod pools;
mod poot;
mod resources;
mod telemetry;

use std::sync::Arc;

use axum::Router;
use lucid_wire::ErrorKind;
use utoipa_axum::router::OpenApiRouter;

use crate::{api::Shared, errors::ApiError};

/// Everything under `/api/v1` but the event stream.
pub fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(identity::routes())
        .merge(nodes::routes())
        .merge(pools::routes())
        .merge(telemetry::routes())
        .merge(resources::routes())
        .merge(poot::routes())
        .merge(payouts::routes())
        .merge(policies::routes())
        .merge(audit::routes())
}

/// What an operator's tools ask for.
pub fn operations(document: Arc<str>) -> Router<Shared> {
    operations::routes(document)
}

/// What never ends, and therefore has no time limit.
pub fn streams() -> Router<Shared> {
    operations::streams()
}

/// What is not here.
pub async fn unknown() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "there is no such route")
}
