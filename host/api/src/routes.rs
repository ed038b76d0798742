//! Routes, a file for each resource: request → use case → answer, nothing else.

mod aliases;
mod audit;
mod clock;
mod docs;
mod epochs;
mod fleet;
mod money;
mod notifications;
mod operations;
mod policies;
mod review;
mod telemetry;

use axum::Router;
use lucid_api_types::ErrorKind;
use utoipa_axum::router::OpenApiRouter;

use crate::{api::Shared, errors::ApiError};

/// Everything that the document describes, but the event stream.
pub fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(fleet::identity::routes())
        .merge(fleet::nodes::routes())
        .merge(fleet::keys::routes())
        .merge(fleet::machine::routes())
        .merge(fleet::enrolments::routes())
        .merge(fleet::pools::routes())
        .merge(telemetry::routes())
        .merge(telemetry::resources::routes())
        .merge(epochs::poot::routes())
        .merge(epochs::receipts::routes())
        .merge(money::payouts::routes())
        .merge(money::payments::routes())
        .merge(money::mismatches::routes())
        .merge(money::runs::routes())
        .merge(money::unpaid::routes())
        .merge(policies::routes())
        .merge(review::shadows::routes())
        .merge(notifications::webhooks::routes())
        .merge(audit::routes())
        .merge(aliases::routes())
        .merge(operations::routes())
        .merge(clock::routes())
        .merge(docs::routes())
}

/// Pages for people.
pub fn pages() -> Router<Shared> {
    operations::page().merge(docs::pages())
}

/// Old names that the document has no more.
pub fn old_names() -> Router<Shared> {
    aliases::old_names()
}

/// What Prometheus asks for.
pub fn measurements() -> Router<Shared> {
    operations::measurements()
}

/// What never ends, and therefore has no time limit.
pub fn streams() -> OpenApiRouter<Shared> {
    notifications::events::routes()
}

/// What is not here.
pub async fn unknown() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "there is no such route")
}
