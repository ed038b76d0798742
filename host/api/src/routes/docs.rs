//! The API's document, and a page that shows it: everything the page needs is in the binary.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::Path,
    http::header,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use lucid_api_types::{ErrorKind, schema};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::Config;

use crate::{api::Shared, errors::ApiError, openapi::Text};

/// What the page may do: run and fetch what this service serves, nothing else. Its script adds one
/// sheet of styles, sets styles of elements, and draws its icons from `data:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
    style-src-attr 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What the page consists of, as its package names it.
const FILES: [&str; 8] = [
    "index.html",
    "index.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(openapi))
}

pub fn pages() -> Router<Shared> {
    let page = get(|| async { file("index.html") });
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("/docs/") }))
        .route("/docs/", page)
        .route("/docs/{file}", get(|Path(name): Path<String>| async move { file(&name) }))
}

/// This document.
///
/// OpenAPI 3.1, generated from the code that serves it; shown at `/docs`.
#[utoipa::path(get, path = "/openapi.json", operation_id = "getDocument", tag = "operations", security(()),
    responses((status = 200, body = schema::FreeObject, description = "The document")))]
async fn openapi(Extension(Text(document)): Extension<Text>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

fn file(name: &str) -> Result<Response, ApiError> {
    let none = || ApiError::new(ErrorKind::NotFound, "the page has no such file");
    let name = FILES.into_iter().find(|known| *known == name).ok_or_else(none)?;
    let config = Config::from("/openapi.json").validator_url("none").use_base_layout();
    let found = utoipa_swagger_ui::serve(name, Arc::new(config))
        .map_err(|error| ApiError::internal(&error))?
        .ok_or_else(none)?;
    let headers = [
        (header::CONTENT_TYPE, found.content_type.as_str()),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    Ok((headers, found.bytes.into_owned()).into_response())
}
