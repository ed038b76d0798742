//! The OpenAPI 3.1 document: what the routes say, completed by what is true of all of them.

mod completion;
pub mod declared;

use std::sync::Arc;

use axum::Router;
use lucid_api_types::{
    error::{ErrorBody, ProblemBody},
    fleet::auth::HEADER_ENROLMENT,
    notifications::event::EventBody,
    schema,
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::api::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lucid node management",
        description = "Nodes, pools, observation, scores, votes and payouts of the Lucid network.\n\n\
            Times are RFC 3339; answers are in UTC. A field without a value is left out of an answer; `null` in a request is the same \
            as leaving the field out. Unknown fields and parameters of a request that changes something are refused with 400, but for those that older clients send. Errors carry a stable code; with \
            `Accept: application/problem+json` they come as RFC 9457. A route answers a method that it does not have with 405 and the \
            methods it has in `Allow`.",
        contact(name = "Lucid node management"),
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "The service that serves this document")),
    modifiers(&Credentials),
    security(("bearer" = [])),
    components(schemas(
        ErrorBody, ProblemBody, EventBody, schema::RequestId, schema::Id, schema::SortOrder, schema::NodeSort, schema::PoolSort, schema::ScoreSort,
        schema::PayoutSort, schema::EpochSort, schema::CreatedSort, schema::NodeIdSort, schema::AuditSort, schema::AuditWord, schema::ListLimit, schema::Nonce,
        schema::NodeName, schema::ListedNodeStatus, schema::PoolStatus, schema::PayoutStatus, schema::VoteState,
        schema::TimeRange, schema::HistoryMetric, schema::HistoryGrain, schema::HistoryResolution, schema::SimulationFormat, schema::PoolGrain, schema::PoolResolution, schema::PoolHealth, schema::PolicyKind, schema::Scope, schema::ScoreId, schema::EpochStart,
        schema::Signature, schema::Version, schema::ShadowState, schema::SessionVerdict, schema::Year
    )),
    tags(
        (name = "nodes", description = "Worker nodes and their life cycle"),
        (name = "pools", description = "Pools of nodes"),
        (name = "telemetry", description = "What nodes send"),
        (name = "events", description = "What happens, as it happens"),
        (name = "resources", description = "What nodes use"),
        (name = "poot", description = "Proof of Observation Time: scores and receipts"),
        (name = "payouts", description = "What nodes earn and were paid"),
        (name = "policies", description = "WebAssembly policies: versions and what is active"),
        (name = "audit", description = "Who did what: chained, sealed, verifiable"),
        (name = "auth", description = "How nodes prove who they are"),
        (name = "deprecated", description = "Names that older clients use"),
        (name = "operations", description = "What an operator's tools ask for"),
    )
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The gateway's token, or a node's own from `/api/v1/auth/token`."))
            .build();
        let enrolment =
            "An enrolment token from `POST /api/v1/enrolment-tokens`, in place of a bearer token.";
        let enrolment = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            HEADER_ENROLMENT,
            enrolment,
        )));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        components.add_security_scheme("enrolment", enrolment);
    }
}

/// Splits documented routes into routers and the document's text; the second have no time limit.
pub fn document(
    timed: OpenApiRouter<Shared>,
    streams: OpenApiRouter<Shared>,
) -> (Router<Shared>, Router<Shared>, Arc<str>) {
    let (timed, mut document) =
        OpenApiRouter::with_openapi(Document::openapi()).merge(timed).split_for_parts();
    let (streams, of_streams) = streams.split_for_parts();
    document.merge(of_streams);
    let text = serde_json::to_value(&document).map(|mut value| {
        completion::complete(&mut value);
        format!("{value:#}\n")
    });
    (timed, streams, text.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")).into())
}

/// The document's text, as requests find it.
#[derive(Debug, Clone)]
pub struct Text(pub Arc<str>);
