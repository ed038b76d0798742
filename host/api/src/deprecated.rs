//! What answers of deprecated routes say of that: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Deprecated since 2026-01-01T00:00:00Z.
const SINCE: HeaderValue = HeaderValue::from_static("@1767225600");
/// Offered until then at least: the clients that call these routes are not ours to change.
const UNTIL: HeaderValue = HeaderValue::from_static("Sun, 31 Dec 2028 23:59:59 GMT");
/// What to call instead.
const INSTEAD: HeaderValue =
    HeaderValue::from_static("</docs/>; rel=\"deprecation\"; type=\"text/html\"");

/// The header that says since when.
pub const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// The header that says until when.
pub const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Marks an answer as one of a deprecated route.
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(DEPRECATION, SINCE);
    headers.insert(SUNSET, UNTIL);
    headers.insert(header::LINK, INSTEAD);
}
