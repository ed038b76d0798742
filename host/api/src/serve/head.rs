//! Limits of what comes before a body. The HTTP library's own are higher, so that these answer in
//! our form.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use lucid_api_types::{ErrorKind, FieldError};

use super::{HeadLimits, letter};
use crate::errors::ApiError;

/// What HTTP/1 writes around a header's name and value: `: ` and the line's end.
const LINE_BYTES: usize = 4;

/// Refuses a URL or headers that are too long, or can be read in two ways.
pub async fn within_limits(
    State(limits): State<HeadLimits>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let url_bytes =
        request.uri().path().len() + request.uri().query().map_or(0, |query| query.len() + 1);
    if url_bytes > limits.url_bytes_max {
        let problem = FieldError::new(
            "url",
            format!("must have at most {} bytes, has {url_bytes}", limits.url_bytes_max),
        );
        return Err(ApiError::from(problem).of_kind(ErrorKind::UrlTooLong));
    }
    let headers = request.headers();
    if headers.len() > limits.headers_max {
        let text = format!(
            "at most {} headers are taken, the request has {}",
            limits.headers_max,
            headers.len()
        );
        return Err(ApiError::new(ErrorKind::HeadersTooLarge, text));
    }
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES).sum();
    if header_bytes > limits.header_bytes_max {
        let text = format!(
            "the headers may have {} bytes together, they have {header_bytes}",
            limits.header_bytes_max
        );
        return Err(ApiError::new(ErrorKind::HeadersTooLarge, text));
    }
    match letter::refused(&request) {
        Some(answer) => Ok(answer),
        None => Ok(next.run(request).await),
    }
}
