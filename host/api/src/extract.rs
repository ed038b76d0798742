//! What routes take out of a request, with errors that name the field.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use bytes::BytesMut;
use futures::StreamExt;
use lucid_api_types::{
    ErrorKind, FieldError, Request as WireRequest,
    fields::parse_or_empty,
    fleet::auth::{RegistrationSignature, ReportSignature},
    page::PageQuery,
    policies::UploadPolicyRequest,
};
use lucid_model::{
    id::Digest,
    policies::{ARCHIVE_BYTES_MAX, Bundle},
};
use lucid_ports::{Order, PageRequest};
use lucid_service::{Actor, RegistrationProof, ReportProof};

use crate::{api::Api, client::ClientAddress, errors::ApiError};

/// Content type of a bundle that is an archive.
const ARCHIVE: &str = "application/x-tar";

/// The id that this request has in answers and logs.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Who calls, as the gatekeeper found.
pub struct Caller(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let actor = parts.extensions.get::<Actor>().cloned();
        actor.map(Self).ok_or_else(|| {
            ApiError::internal(&"a route that is public in the access table asks who calls")
        })
    }
}

/// A JSON body, read and checked, with what a signature over it needs.
pub struct Json<R: WireRequest> {
    /// What it says.
    pub value: R::Valid,
    /// Its bytes.
    pub bytes: Bytes,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's path.
    pub path: String,
    /// Where it comes from, as far as that is known.
    pub from: Option<IpAddr>,
}

impl<R: WireRequest> FromRequest<Arc<Api>> for Json<R> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let form = parts.headers.get(header::CONTENT_TYPE);
        if form.is_some_and(|form| !is(form, "application/json")) && !body.is_end_stream() {
            return Err(ApiError::new(
                ErrorKind::UnsupportedMediaType,
                "the body must be application/json",
            ));
        }
        let limit = api.limits.body_bytes_max_of(parts.uri.path()).min(R::BODY_BYTES_MAX);
        let bytes = whole(&parts.headers, body, limit).await?;
        let value = parse_or_empty::<R>(&bytes)?;
        let from = parts.extensions.get::<ClientAddress>().map(|client| client.address);
        Ok(Self { value, bytes, headers: parts.headers, path: parts.uri.path().to_owned(), from })
    }
}

/// Whether a content type is this one, whatever its parameters.
fn is(form: &HeaderValue, media: &str) -> bool {
    form.to_str().is_ok_and(|form| {
        form.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(media))
    })
}

/// All of a body, which has a limit.
pub(crate) async fn whole(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let too_large =
        || ApiError::new(ErrorKind::TooLarge, format!("the body is larger than {limit} bytes"));
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let (mut parts, mut bytes) = (body.into_data_stream(), BytesMut::new());
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| {
            FieldError::new(
                "body",
                "cannot be read to its end: its chunks are malformed, or it was cut off",
            )
        })?;
        if part.len() > limit.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

/// A policy's bundle, as JSON or as an archive.
pub struct HandedIn(pub Bundle);

impl FromRequest<Arc<Api>> for HandedIn {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, ApiError> {
        if !request.headers().get(header::CONTENT_TYPE).is_some_and(|form| is(form, ARCHIVE)) {
            return Json::<UploadPolicyRequest>::from_request(request, api)
                .await
                .map(|json| Self(json.value));
        }
        let (parts, body) = request.into_parts();
        let archive = whole(&parts.headers, body, ARCHIVE_BYTES_MAX).await?;
        Ok(Self(api.service.policies.unpack_bundle(&archive)?))
    }
}

impl<R: WireRequest> Json<R> {
    /// A header's text; of one that is not ASCII what no header's form allows, so that it is not
    /// taken for absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
    }

    /// The signature of a report, if it has one.
    pub fn report_proof(&self, kind: &'static str) -> Result<Option<ReportProof>, ApiError> {
        let signed = ReportSignature::read(|name| self.header(name))?;
        Ok(signed.map(|s| ReportProof {
            kind,
            sequence: s.sequence,
            body: Digest::of(&self.bytes),
            signature: s.signature,
            from: self.from,
        }))
    }

    /// The signature of a registration, if it has one.
    pub fn registration_proof(&self) -> Result<Option<RegistrationProof>, ApiError> {
        let signed = RegistrationSignature::read(|name| self.header(name))?;
        Ok(signed.map(|s| RegistrationProof {
            timestamp_ms: s.timestamp_ms,
            nonce: s.nonce,
            signature: s.signature,
            method: "POST",
            path: self.path.clone(),
            body: Digest::of(&self.bytes),
        }))
    }
}

/// The query's parameters.
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query =
            axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query
            .map(|q| Self(q.0))
            .map_err(|_| FieldError::new("query", "is not a valid query string").into())
    }
}

impl Params {
    /// A parameter; of one that is given twice the first.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A filter that is an id or a word.
    pub fn parsed<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
        problem: &str,
    ) -> Result<Option<T>, ApiError> {
        self.get(name)
            .map(|text| read(text).ok_or_else(|| FieldError::new(name, problem).into()))
            .transpose()
    }

    /// A filter that is one of some words.
    pub fn word<T: Copy>(
        &self,
        name: &'static str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, ApiError> {
        let words = || all.iter().map(|value| word(*value)).collect::<Vec<_>>().join(", ");
        self.parsed(
            name,
            |text| all.iter().copied().find(|value| word(*value) == text),
            &format!("must be one of {}", words()),
        )
    }

    /// Page, limit, sort, order.
    pub fn page<S: Copy>(
        &self,
        first: (&'static str, S),
        others: &[(&'static str, S)],
    ) -> Result<PageRequest<S>, ApiError> {
        let query = PageQuery::read(|name| self.get(name), first, others)?;
        let order = if query.descending { Order::Descending } else { Order::Ascending };
        Ok(PageRequest { page: query.page, limit: query.limit, sort: query.sort, order })
    }
}
