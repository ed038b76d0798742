//! Routes, a file for each resource: request → use case → answer, nothing else.

mod aliases;
mod audit;
mod clock;
mod docs;
mod enrolments;
mod events;
mod identity;
mod keys;
mod machine;
mod mismatches;
mod nodes;
mod operations;
mod payments;
mod payouts;
mod policies;
mod pools;
mod poot;
mod receipts;
mod resources;
mod runs;
mod shadows;
mod telemetry;
mod unpaid;
mod webhooks;

use axum::Router;
use lucid_api_types::ErrorKind;
use utoipa_axum::router::OpenApiRouter;

use crate::{api::Shared, errors::ApiError};

/// Everything that the document describes, but the event stream.
pub fn documented() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(identity::routes())
        .merge(nodes::routes())
        .merge(keys::routes())
        .merge(machine::routes())
        .merge(enrolments::routes())
        .merge(pools::routes())
        .merge(telemetry::routes())
        .merge(resources::routes())
        .merge(poot::routes())
        .merge(receipts::routes())
        .merge(payouts::routes())
        .merge(payments::routes())
        .merge(mismatches::routes())
        .merge(runs::routes())
        .merge(unpaid::routes())
        .merge(policies::routes())
        .merge(shadows::routes())
        .merge(webhooks::routes())
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
    events::routes()
}

/// What is not here.
pub async fn unknown() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "there is no such route")
}
