use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use lucid_ports::TRACE;
use opentelemetry_http::HeaderExtractor;
use tracing::{Instrument, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::known;
use crate::extract::RequestId;

/// A span for the request, in the trace of whoever calls.
pub async fn traced(request: Request, next: Next) -> Response {
    let span = tracing::trace_span!(
        target: TRACE,
        "http",
        otel.kind = "server",
        otel.name = Empty,
        otel.status_code = Empty,
        http.request.method = known(request.method()),
        http.route = Empty,
        http.response.status_code = Empty,
        request_id = Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    let caller = opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&HeaderExtractor(request.headers()))
    });
    // It fails if spans of another kind are in force: then this one begins a trace of its own.
    let _ = span.set_parent(caller);
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    span.record("otel.name", format!("{} {route}", known(request.method())))
        .record("http.route", route);
    if let Some(RequestId(id)) = request.extensions().get() {
        span.record("request_id", id.as_str());
    }
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}
