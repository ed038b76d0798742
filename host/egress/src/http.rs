//! The HTTP client for money: one request is one send. No retries, no redirects, no proxy but the
//! one that is configured, no idle connections whose end could be mistaken for an answer, and a cap
//! on what is read.

use std::time::{Duration, Instant, SystemTime};

use opentelemetry_http::HeaderInjector;
use reqwest::{
    Client, RequestBuilder, Response,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Egress;

/// Most bytes of an answer that are read.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A client that cannot be built: a fault of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the client for {url}: {detail}")]
pub struct SetupError {
    pub url: String,
    pub detail: String,
}

/// Builds the client.
///
/// # Errors
/// [`SetupError`] if TLS cannot be set up.
pub fn client(egress: &Egress, url: &str, timeout: Duration) -> Result<Client, SetupError> {
    let failed =
        |error: reqwest::Error| SetupError { url: url.to_owned(), detail: error.to_string() };
    // Plain HTTP inside a network needs no certificates of the machine, which may have none.
    let builder = if url.starts_with("http://") {
        Client::builder().tls_certs_only([])
    } else {
        Client::builder()
    };
    let builder = egress.for_services(builder).map_err(failed)?;
    builder
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .http1_only()
        .connect_timeout(timeout)
        .timeout(timeout)
        .user_agent(concat!("lucid/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)
}

/// The request, in the trace of what is being done, if that is traced.
fn traced(request: RequestBuilder) -> RequestBuilder {
    let mut headers = HeaderMap::new();
    let context = tracing::Span::current().context();
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut HeaderInjector(&mut headers))
    });
    request.headers(headers)
}

/// How long an answer asks to be left alone, in milliseconds: `Retry-After` in seconds or as a date
/// (RFC 9110, 10.2.3).
pub fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(i64::from(seconds).saturating_mul(1_000));
    }
    let wait = httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default();
    Some(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// Sends a request to `payment` or `chain`, once, and measures how it ends: by the class of the
/// status, or `none` without an answer.
///
/// # Errors
/// As [`RequestBuilder::send`].
pub async fn send(service: &'static str, request: RequestBuilder) -> reqwest::Result<Response> {
    let started = Instant::now();
    let answered = traced(request).send().await;
    let outcome = match answered.as_ref().map(|answer| answer.status().as_u16() / 100) {
        Ok(2) => "2xx",
        Ok(3) => "3xx",
        Ok(4) => "4xx",
        Ok(_) => "5xx",
        Err(_) => "none",
    };
    metrics::histogram!("lucid_upstream_request_seconds", "service" => service)
        .record(started.elapsed().as_secs_f64());
    metrics::counter!("lucid_upstream_requests_total", "service" => service, "outcome" => outcome)
        .increment(1);
    answered
}

/// Reads an answer's body up to the cap.
///
/// # Errors
/// What is wrong with it, for a log: cut, too long, timed out.
pub async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| plain(&error))? {
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(format!("the answer is longer than {BODY_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error with its causes and without the URL, which may carry ids.
pub fn plain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        text = if text.is_empty() { cause.to_string() } else { format!("{text}: {cause}") };
        source = cause.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let of = |text: &'static str| {
            retry_after_ms(
                &HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]),
                now,
            )
        };
        assert_eq!(of("5"), Some(5_000));
        assert_eq!(of(" 120 "), Some(120_000));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:39 GMT"), Some(2_000));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:30 GMT"), Some(0), "it is over");
        for text in ["", "soon", "-1", "1.5", "99999999999"] {
            assert_eq!(of(text), None, "{text:?}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new(), now), None);
    }
}
