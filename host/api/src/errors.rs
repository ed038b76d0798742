//! From what went wrong to what the client is told: one table. Internal text goes to the log.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use lucid_api_types::{
    ErrorKind, FieldError,
    error::{DETAIL_HIGHEST_SEQUENCE, DETAIL_NODE_ID, DETAIL_PROBLEMS, ItemErrorBody, ProblemBody},
};
use lucid_model::audit::request::StoredAnswer;
use lucid_ports::StoreError;
use lucid_service::{ServiceError, Unresolvable};
use serde_json::{Map, Value, json};

use crate::{accepted, authenticate::TokenError, extract::RequestId};

/// Marks an answer that was kept as an error.
const STORED_ERROR: &str = "lucid-error";
/// A detail that is also said by `Retry-After`, for what is worth another try sooner or later than
/// usual.
const RETRY_AFTER_S: &str = "retry_after_s";
/// Problems that one error names.
const PROBLEMS_MAX: usize = 100;
/// What waits for the store is written within moments.
const BUSY_RETRY_AFTER_S: u64 = 1;

/// What a route answers when it cannot do what was asked; rendered by [`render`], which knows the
/// request.
#[derive(Debug, Clone)]
pub struct ApiError {
    kind: ErrorKind,
    message: String,
    details: Map<String, Value>,
}

impl ApiError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Map::new() }
    }

    /// The same of another kind.
    pub fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// As one of many of a batch.
    pub fn of_item(self) -> ItemErrorBody {
        ItemErrorBody {
            status: self.kind.status(),
            code: self.kind.code().to_owned(),
            message: self.message,
            details: self.details,
        }
    }

    /// What is kept of an error that answers a request with an idempotency key.
    pub fn stored(&self, status: StatusCode) -> StoredAnswer {
        let body =
            json!({ "code": self.kind.code(), "message": self.message, "details": self.details });
        StoredAnswer {
            status: status.as_u16(),
            headers: vec![(STORED_ERROR.into(), "1".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// The error that was kept; none if the answer was no error.
    pub fn restored(answer: &StoredAnswer) -> Option<Self> {
        answer.headers.iter().find(|(name, _)| name == STORED_ERROR)?;
        let mut body: Map<String, Value> = serde_json::from_slice(&answer.body).ok()?;
        let code = body.get("code").and_then(Value::as_str)?;
        let kind = ErrorKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.code() == code && kind.status() == answer.status)?;
        let message = body.get("message").and_then(Value::as_str)?.to_owned();
        let Some(Value::Object(details)) = body.remove("details") else { return None };
        Some(Self { kind, message, details })
    }

    /// A fault of ours: the client learns only that, the log the rest.
    pub fn internal(detail: &dyn std::fmt::Display) -> Self {
        tracing::error!(%detail, "internal error");
        Self::new(
            ErrorKind::Internal,
            "something went wrong on our side; the log has the request id",
        )
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        Self {
            kind: ErrorKind::InvalidRequest,
            message: error.to_string(),
            details: error.details(),
        }
    }
}

/// Several at once: the first says what all is about, and each is in the details.
impl From<Vec<FieldError>> for ApiError {
    fn from(problems: Vec<FieldError>) -> Self {
        let Some(first) = problems.first().cloned() else {
            return Self::internal(&"a list of problems is empty");
        };
        Self::from(first).with(DETAIL_PROBLEMS, named(problems.iter().map(FieldError::details)))
    }
}

/// The first of many details.
fn named(problems: impl Iterator<Item = Map<String, Value>>) -> Vec<Value> {
    problems.take(PROBLEMS_MAX).map(Value::Object).collect()
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let kind = if error == TokenError::NoKeys {
            ErrorKind::Unavailable
        } else {
            ErrorKind::NotAuthenticated
        };
        Self::new(kind, error.to_string())
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        use ErrorKind as Kind;
        let message = error.to_string();
        match error {
            ServiceError::NotFound { what: "node" } => Self::new(Kind::NodeNotFound, message),
            ServiceError::NotFound { what: "pool" } => Self::new(Kind::PoolNotFound, message),
            ServiceError::NotFound { .. } => Self::new(Kind::NotFound, message),
            ServiceError::Forbidden { .. } => Self::new(Kind::AccessDenied, message),
            ServiceError::Unproven { .. } => Self::new(Kind::NotAuthenticated, message),
            ServiceError::Invalid { field, .. } if field == "max_nodes" => {
                Self::new(Kind::PoolTooSmall, message).with("field", "max_nodes")
            }
            ServiceError::Invalid { field, problem } => FieldError::new(field, problem).into(),
            ServiceError::Refused { reason } => {
                Self::new(Kind::InvalidRequest, message).with("reason", reason)
            }
            ServiceError::WrongNodeStatus(_) => Self::new(Kind::InvalidNodeStatus, message),
            ServiceError::Unresolvable { problems } => {
                let problem = |of: &Unresolvable| {
                    FieldError::new(
                        format!("resolutions[{}].{}", of.place, of.field),
                        of.problem.clone(),
                    )
                    .details()
                };
                Self::new(Kind::PayoutWrongState, message)
                    .with(DETAIL_PROBLEMS, named(problems.iter().map(problem)))
            }
            ServiceError::WrongPayoutState(_)
            | ServiceError::NotGivenBack { .. }
            | ServiceError::WrongRunState(_)
            | ServiceError::NothingMature
            | ServiceError::NotReconciled => Self::new(Kind::PayoutWrongState, message),
            ServiceError::AlreadyRegistered { own, .. } => match own {
                Some(node) => {
                    Self::new(Kind::NodeExists, message).with(DETAIL_NODE_ID, node.to_string())
                }
                None => Self::new(Kind::NodeExists, message),
            },
            ServiceError::PoolExists => Self::new(Kind::PoolExists, message),
            ServiceError::PoolFull => Self::new(Kind::PoolFull, message),
            ServiceError::Changed { .. } => Self::new(Kind::Conflict, message),
            ServiceError::SequenceTaken { highest } => {
                Self::new(Kind::Conflict, message).with(DETAIL_HIGHEST_SEQUENCE, highest)
            }
            ServiceError::CapReached(cap) => {
                Self::new(Kind::RateLimited, message).with("limit", cap.limit)
            }
            ServiceError::Busy { waiting_max } => Self::new(Kind::RateLimited, message)
                .with("limit", waiting_max)
                .with(RETRY_AFTER_S, BUSY_RETRY_AFTER_S),
            ServiceError::HardwareRefused { reason } => {
                Self::new(Kind::InvalidResources, message).with("reason", reason)
            }
            ServiceError::PreconditionFailed { version, .. } => {
                Self::new(Kind::PreconditionFailed, message).with("version", version)
            }
            ServiceError::KeyReused => Self::new(Kind::IdempotencyKeyReused, message),
            ServiceError::InProgress
            | ServiceError::VersionInUse { .. }
            | ServiceError::Retired { .. }
            | ServiceError::NotLoadable(_)
            | ServiceError::EpochClosing { .. }
            | ServiceError::TooManyShadows { .. }
            | ServiceError::NotEnough { .. }
            | ServiceError::ClockNotDoubted
            | ServiceError::IsShadow { .. } => Self::new(Kind::Conflict, message),
            ServiceError::BundleRefused { reason } => {
                Self::new(Kind::InvalidRequest, message).with("reason", reason)
            }
            ServiceError::ClockDoubted
            | ServiceError::Seal(_)
            | ServiceError::NoRail
            | ServiceError::NoPolicy { .. }
            | ServiceError::Call(_)
            | ServiceError::Chain(_) => {
                tracing::warn!(%error, "a part is unavailable");
                Self::new(Kind::Unavailable, message)
            }
            ServiceError::Store(StoreError::Unavailable { detail }) => {
                tracing::error!(detail, "the store is unavailable");
                Self::new(
                    Kind::Unavailable,
                    "the store is unavailable; what was asked may have been done: ask again",
                )
            }
            ServiceError::Store(StoreError::NoSpace { detail }) => {
                tracing::error!(detail, "the store has no space left");
                Self::new(
                    Kind::Unavailable,
                    "the store has no space left; what was asked may have been done: ask again when there is room",
                )
            }
            ServiceError::Store(StoreError::NotPermitted { detail }) => {
                tracing::error!(detail, "the store may not be used");
                Self::new(
                    Kind::Unavailable,
                    "the service has no permission to use its store: ask again when an operator has mended that",
                )
            }
            ServiceError::Store(StoreError::Damaged { detail }) => {
                tracing::error!(detail, "the store is damaged");
                Self::new(
                    Kind::Unavailable,
                    "the store is damaged: payments are stopped until an operator has restored it",
                )
            }
            ServiceError::Store(StoreError::Inconsistent { .. })
            | ServiceError::Publish(_)
            | ServiceError::Money(_)
            | ServiceError::Ledger(_)
            | ServiceError::Settlement(_)
            | ServiceError::Length(_)
            | ServiceError::PayerReplaced { .. }
            | ServiceError::Internal { .. } => Self::internal(&message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if let Some(seconds) = self.details.get(RETRY_AFTER_S).and_then(Value::as_u64) {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The outermost layer: gives the request its id, and errors their body in the form the client
/// accepts.
pub async fn render(mut request: Request, next: Next) -> Response {
    let id = uuid::Uuid::new_v4().to_string();
    let wants_problem = accepted::wants_problem(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span =
        tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = tracing::Instrument::instrument(next.run(request), span).await;
    let error = response.extensions_mut().remove::<ApiError>().or_else(|| bare_error(&response));
    if let Some(error) = error {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = lucid_model::time::TimeMs(i64::try_from(now.as_millis()).unwrap_or_default());
        let body = error.kind.body(error.message, error.details, &id, now);
        let (text, form) = if wants_problem {
            (
                serde_json::to_vec(&ProblemBody::new(error.kind, body.error)),
                "application/problem+json",
            )
        } else {
            (serde_json::to_vec(&body), "application/json")
        };
        *response.body_mut() = Body::from(text.unwrap_or_default());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
        if response.status() == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let wait = match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Some("60"),
            StatusCode::SERVICE_UNAVAILABLE => Some("5"),
            _ => None,
        };
        if let Some(seconds) = wait {
            response
                .headers_mut()
                .entry(header::RETRY_AFTER)
                .or_insert(HeaderValue::from_static(seconds));
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Errors that a layer made without a body: unknown routes, methods, bodies too large, time-outs,
/// panics.
fn bare_error(response: &Response) -> Option<ApiError> {
    let plain = || {
        response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|form| form.as_bytes().starts_with(b"text/plain"))
    };
    let (kind, message) = match response.status() {
        StatusCode::BAD_REQUEST if plain() => {
            (ErrorKind::InvalidRequest, "path: is not valid percent-encoded UTF-8")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            (ErrorKind::MethodNotAllowed, "this route has no such method")
        }
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorKind::TooLarge, "the body is too large"),
        StatusCode::SERVICE_UNAVAILABLE
            if response.headers().get(header::CONTENT_TYPE).is_none() =>
        {
            (ErrorKind::Unavailable, "the request took too long")
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            (ErrorKind::Internal, "something went wrong on our side; the log has the request id")
        }
        _ => return None,
    };
    Some(ApiError::new(kind, message))
}
