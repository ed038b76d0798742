//! `Idempotency-Key`: the same request, sent again because its answer was lost, is answered again
//! and not carried out again.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lucid_api_types::{FieldError, fleet::auth::HEADER_IDEMPOTENCY_KEY};
use lucid_model::audit::request::{RequestKey, StoredAnswer, fingerprint};
use lucid_ports::Begun;
use lucid_service::{Actor, ServiceError};

use crate::{api::Shared, errors::ApiError, extract::whole};

/// Longest key.
const KEY_LENGTH_MAX: usize = 255;
/// Largest answer that is kept; no answer of a POST comes near.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Headers that belong to an answer.
const KEPT_HEADERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::LOCATION, header::ETAG, header::CACHE_CONTROL];
/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// In a response's extensions: what is kept instead of its body, since that holds a secret.
#[derive(Debug, Clone)]
pub struct KeptInstead(pub Bytes);

/// Carries out a POST with a key once.
pub async fn once(State(api): State<Shared>, request: Request, next: Next) -> Response {
    match key(request.method(), request.headers()) {
        Ok(None) => next.run(request).await,
        Ok(Some(key)) => match keyed(api, key, request, next).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        Err(error) => error.into_response(),
    }
}

fn key(method: &Method, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(HEADER_IDEMPOTENCY_KEY).filter(|_| method == Method::POST) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let fits = (1..=KEY_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && headers.get_all(HEADER_IDEMPOTENCY_KEY).iter().count() == 1 {
        return Ok(Some(text.to_owned()));
    }
    Err(FieldError::new(
        HEADER_IDEMPOTENCY_KEY,
        format!("must be one value of 1 to {KEY_LENGTH_MAX} visible ASCII characters"),
    )
    .into())
}

async fn keyed(
    api: Shared,
    key: String,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // A public route changes nothing that could be changed twice.
    let Some(actor) = request.extensions().get::<Actor>().cloned() else {
        return Ok(next.run(request).await);
    };
    let (mut parts, body) = request.into_parts();
    let bytes = whole(&parts.headers, body, api.limits.body_bytes_max_of(parts.uri.path())).await?;
    let path =
        parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string);
    let asked = fingerprint(parts.method.as_str(), &path, &bytes);
    let key = RequestKey { subject: actor.subject.clone(), key };
    match api.service.audit.begin_request(key.clone(), asked).await? {
        Begun::Answered(answer) => Ok(again(answer)),
        Begun::OtherRequest => Err(ServiceError::KeyReused.into()),
        Begun::InProgress => Err(ServiceError::InProgress.into()),
        Begun::Run(creates) => {
            parts.extensions.insert(Actor { creates: Some(creates), ..actor });
            let request = Request::from_parts(parts, Body::from(bytes));
            // A task of its own: a client that hangs up leaves a request that is carried out and
            // answered, not one that stopped in the middle.
            let running = tokio::spawn(run(api, key, next.run(request)));
            running.await.map_err(|error| ApiError::internal(&error))?
        }
    }
}

async fn run(
    api: Shared,
    key: RequestKey,
    answering: impl Future<Output = Response>,
) -> Result<Response, ApiError> {
    let response = answering.await;
    if !is_final(response.status()) {
        api.service.audit.end_request(key, None).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes =
        to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|error| ApiError::internal(&error))?;
    let kept = parts.extensions.get::<KeptInstead>().map_or(&bytes, |instead| &instead.0);
    // An error's body is made further out, where its form is known: what is kept of it is the error
    // itself.
    let answer = match parts.extensions.get::<ApiError>() {
        Some(error) => error.stored(parts.status),
        None => StoredAnswer {
            status: parts.status.as_u16(),
            headers: headers_of(&parts.headers),
            body: kept.to_vec(),
        },
    };
    api.service.audit.end_request(key, Some(answer)).await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// Whether an answer is the last word: not if we failed, if the caller was not let in or came too
/// early, or if it is about headers that do not tell one request from another.
fn is_final(status: StatusCode) -> bool {
    use StatusCode as S;
    !status.is_server_error()
        && !matches!(
            status,
            S::UNAUTHORIZED
                | S::FORBIDDEN
                | S::NOT_ACCEPTABLE
                | S::PRECONDITION_FAILED
                | S::UNSUPPORTED_MEDIA_TYPE
                | S::TOO_MANY_REQUESTS
        )
}

fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    KEPT_HEADERS
        .iter()
        .filter_map(|name| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned())))
        .collect()
}

fn again(answer: StoredAnswer) -> Response {
    let mut response = match ApiError::restored(&answer) {
        Some(error) => error.into_response(),
        None => {
            let status =
                StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, answer.body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            for (name, value) in answer.headers {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::try_from(value))
                {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
