//! What every answer tells browsers and caches: to take it for what it says, to run nothing of it,
//! and to keep nothing of it that they do not ask for again.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// Of what is no page: nothing in it runs, and no page shows it in itself.
const NOTHING_RUNS: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");
/// Kept, and asked for with `If-None-Match` before it is used.
const ASKED_FOR_AGAIN: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Says so, where the route does not say something else.
pub async fn protected(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let kept = if headers.contains_key(header::ETAG) { ASKED_FOR_AGAIN } else { NOT_KEPT };
    headers.entry(header::CACHE_CONTROL).or_insert(kept);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NOTHING_RUNS);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
