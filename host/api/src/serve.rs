//! The way from a listening socket to the routes and back.

mod accept;
mod activity;
mod connection;
mod cors;
mod edge;
mod forwarded;
mod head;
mod letter;
mod protect;
mod tls;
mod traced;
mod unread;

use std::{future::Future, sync::Arc};

use axum::{
    Extension, Router,
    extract::Request,
    http::{Method, StatusCode},
    middleware,
    response::Response,
};
use tokio::net::TcpListener;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
    timeout::TimeoutLayer,
};

use crate::{Api, accepted, errors, gatekeeper, idempotency, openapi, routes, uploads};
pub use edge::{ConnectionLimits, Edge, EdgeError, EdgeSettings, HeadLimits, TlsFiles};

/// Answers shorter than this go out as they are: packing them costs more than it saves.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// All routes with their layers.
fn router(api: Arc<Api>, edge: &Edge) -> Router {
    let (timed, streams, document) = openapi::document(routes::documented(), routes::streams());
    let timed = timed
        .merge(routes::old_names())
        .route_layer(middleware::from_fn(accepted::json))
        .merge(routes::pages())
        .layer(Extension(openapi::Text(document)))
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), idempotency::once))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), uploads::in_turn))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            api.limits.request_time_max,
        ));
    let compressed = SizeAbove::new(COMPRESSED_BYTES_MIN)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES);
    let routes = Router::new()
        .merge(timed)
        .merge(streams.with_state(Arc::clone(&api)))
        .fallback(routes::unknown)
        .layer(middleware::from_fn_with_state(api, gatekeeper::admit))
        .layer(CatchPanicLayer::new())
        .layer(CompressionLayer::new().compress_when(compressed))
        .layer(middleware::from_fn_with_state(edge.head, head::within_limits));
    let routes = match &edge.cors {
        Some(cors) => routes.layer(cors.clone()),
        None => routes,
    };
    routes
        .layer(middleware::from_fn(measure))
        .layer(middleware::from_fn(traced::traced))
        .layer(middleware::from_fn(errors::render))
        .layer(middleware::from_fn(protect::protected))
}

/// The measurements, and nothing else, for whoever reaches the port.
fn measurements(api: Arc<Api>, edge: &Edge) -> Router {
    routes::measurements()
        .with_state(api)
        .fallback(routes::unknown)
        .layer(middleware::from_fn_with_state(edge.head, head::within_limits))
        .layer(middleware::from_fn(errors::render))
        .layer(middleware::from_fn(protect::protected))
}

/// A method's name, of a closed set: a caller may make up methods, each of which would be a series
/// of its own for ever.
fn known(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("other", |(_, name)| name)
}

/// Counts requests by route, never by what is in a path.
async fn measure(request: Request, next: middleware::Next) -> Response {
    let started = std::time::Instant::now();
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let method = known(request.method());
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("lucid_http_request_seconds", "route" => route.clone(), "method" => method)
        .record(started.elapsed().as_secs_f64());
    if response.status().is_server_error() {
        metrics::counter!("lucid_http_failures_total").increment(1);
    }
    metrics::counter!("lucid_http_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    response
}

/// Where the service is reached.
pub struct Listeners {
    /// The API.
    pub api: TcpListener,
    /// The measurements alone, if they have a port of their own.
    pub measurements: Option<TcpListener>,
}

/// Serves until `shutdown` is done, then finishes what it took in; event streams end at once.
pub async fn serve(
    listeners: Listeners,
    api: Arc<Api>,
    edge: Edge,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let stopping = api.stopping.clone();
    let measuring = listeners.measurements.map(|listener| {
        let routes = measurements(Arc::clone(&api), &edge);
        accept::run(listener, routes, edge.clone(), stopping.clone())
    });
    let measuring = async move {
        if let Some(measuring) = measuring {
            measuring.await;
        }
    };
    let routes = router(api, &edge);
    let accepting = accept::run(listeners.api, routes, edge, stopping.clone());
    let told = async move {
        shutdown.await;
        stopping.cancel();
    };
    tokio::join!(accepting, measuring, told);
}
