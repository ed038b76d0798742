//! The OpenAPI 3.1 document, generated from the routes.

use std::sync::Arc;

use axum::Router;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use crate::api::Shared;

#[derive(OpenApi)]
#[openapi(
    info(title = "Lucid node management", description = "Nodes, pools, observation, scores, votes and payouts.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Bearer),
    security(("bearer" = [])),
    tags(
        (name = "nodes", description = "Worker nodes and their life cycle"),
        (name = "pools", description = "Pools of nodes"),
        (name = "telemetry", description = "What nodes send"),
        (name = "resources", description = "What nodes use"),
        (name = "poot", description = "Proof of Observation Time: scores and receipts"),
        (name = "payouts", description = "What nodes earned and were paid"),
        (name = "policies", description = "WebAssembly policies: versions and what is active"),
        (name = "audit", description = "Who did what: chained, sealed, verifiable"),
        (name = "auth", description = "How nodes prove who they are"),
    )
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document.components.get_or_insert_default().add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Splits documented routes into a router and the document's text.
pub fn document(routes: OpenApiRouter<Shared>) -> (Router<Shared>, Arc<str>) {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi()).merge(routes).split_for_parts();
    let text = document.to_json().unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    (router, text.into())
}
