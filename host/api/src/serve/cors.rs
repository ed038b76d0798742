//! Which web pages of other origins may call: those that are named, and by default none.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

/// How long a browser may keep what a preflight request was told.
const PREFLIGHT_AGE_MAX: Duration = Duration::from_secs(600);

/// What a page may read of an answer, beside its body.
const EXPOSED: [HeaderName; 6] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
];

/// What a page may send.
const ALLOWED: [HeaderName; 6] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
];

/// The layer for some origins, none if there are none.
///
/// # Errors
/// What is wrong with one of them.
pub fn layer(origins: &[String]) -> Result<Option<CorsLayer>, String> {
    if origins.is_empty() {
        return Ok(None);
    }
    let origins = origins.iter().map(|origin| exact(origin)).collect::<Result<Vec<_>, _>>()?;
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(ALLOWED)
        .expose_headers(EXPOSED)
        .max_age(PREFLIGHT_AGE_MAX);
    Ok(Some(layer))
}

/// An origin as browsers send it: scheme, host, and a port unless it is the scheme's own.
fn exact(origin: &str) -> Result<HeaderValue, String> {
    if origin == "*" {
        return Err(
            "\"*\" would let every web page use the tokens that its visitors have; name the origins, such as https://console.example.org".into()
        );
    }
    let problem = || {
        format!(
            "{origin:?} is no origin; write it as browsers send it, such as https://console.example.org"
        )
    };
    let uri: Uri = origin.parse().map_err(|_| problem())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority())
    else {
        return Err(problem());
    };
    let own_port = if scheme == "https" { 443 } else { 80 };
    let as_sent = format!("{scheme}://{authority}").to_ascii_lowercase();
    if as_sent != origin
        || authority.as_str().contains(['@', '*'])
        || authority.port_u16() == Some(own_port)
    {
        return Err(problem());
    }
    HeaderValue::from_str(origin).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_taken_only_as_browsers_send_it() {
        for good in ["https://console.example.org", "http://localhost:3000", "http://[::1]:3000"] {
            assert!(exact(good).is_ok(), "{good}");
        }
        for bad in [
            "*",
            "",
            "null",
            "console.example.org",
            "https://console.example.org/",
            "https://Console.example.org",
            "https://console.example.org:443",
            "https://*.example.org",
            "https://user@example.org",
            "ftp://example.org",
        ] {
            assert!(exact(bad).is_err(), "{bad}");
        }
        assert!(exact("*").is_err_and(|why| why.contains("every web page")));
        assert!(layer(&[]).is_ok_and(|layer| layer.is_none()));
    }
}
