use std::{
    future::{Future, IntoFuture},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router, extract::Request, http::StatusCode, middleware, response::Response};
use tokio::net::TcpListener;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::{Api, errors, gatekeeper, idempotency, openapi, routes};

/// All routes with their layers.
pub fn router(api: Arc<Api>) -> Router {
    let (timed, streams, document) = openapi::document(routes::documented(), routes::streams());
    let timed = timed
        .merge(routes::pages())
        .layer(Extension(openapi::Text(document)))
        .with_state(Arc::clone(&api))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), idempotency::once))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, api.limits.request_time_max));
    Router::new()
        .merge(timed)
        .merge(streams.with_state(Arc::clone(&api)))
        .fallback(routes::unknown)
        .layer(middleware::from_fn_with_state(api, gatekeeper::admit))
        .layer(CatchPanicLayer::new())
        .layer(middleware::from_fn(measure))
        .layer(middleware::from_fn(errors::render))
}

/// Counts requests by route, never by what is in a path.
async fn measure(request: Request, next: middleware::Next) -> Response {
    let started = std::time::Instant::now();
    let route = request.extensions().get::<axum::extract::MatchedPath>().map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("lucid_http_request_seconds", "route" => route.clone(), "method" => method.clone()).record(started.elapsed().as_secs_f64());
    metrics::counter!("lucid_http_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    response
}

/// How long requests in flight may take to finish at shutdown: less than the 10 s after which containers are killed.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(7);

/// Serves until `shutdown` is done, then finishes what it took in; event streams end at once.
///
/// # Errors
/// The listener's.
pub async fn serve(listener: TcpListener, api: Arc<Api>, shutdown: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let stopping = api.stopping.clone();
    let announced = stopping.clone();
    let told = async move {
        shutdown.await;
        announced.cancel();
    };
    let serving = axum::serve(listener, router(api)).with_graceful_shutdown(told).into_future();
    let overdue = async move {
        stopping.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = overdue => {
            tracing::warn!(grace_s = SHUTDOWN_GRACE.as_secs(), "requests were still open at shutdown and are cut off");
            Ok(())
        }
    }
}
