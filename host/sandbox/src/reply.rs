//! What the service answers: a status and a JSON object that says it comes from the sandbox.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::record::RecordError;

/// An answer before it is written to the wire, where a fault may still change it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Map<String, Value>,
    /// The amount as a service writes it that keeps floats; `amount` in the body is null then.
    pub(crate) float_amount: Option<String>,
}

impl Reply {
    /// An answer whose body is a JSON object; the sandbox mark is added.
    pub(crate) fn new(status: StatusCode, body: Value) -> Self {
        let mut body = match body {
            Value::Object(body) => body,
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        body.insert("sandbox".to_owned(), Value::Bool(true));
        Self { status, body, float_amount: None }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// A refusal with a stable code.
    pub(crate) fn error(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self::new(status, json!({ "error": { "code": code, "message": message.into() } }))
    }

    pub(crate) fn malformed(code: &str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn invalid(code: &str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::NOT_FOUND, code, message)
    }

    /// The text field of the body with this name.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = Value::Object(self.body.clone()).to_string();
        match &self.float_amount {
            // Inside a text the quotes would be escaped.
            Some(float) => text.replacen("\"amount\":null", &format!("\"amount\":{float}"), 1),
            None => text,
        }
        .into_bytes()
    }
}

impl From<RecordError> for Reply {
    fn from(error: RecordError) -> Self {
        tracing::error!(%error, "sandbox record failed");
        Self::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "RECORD_FAILED",
            "the record could not be used",
        )
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        (self.status, [(CONTENT_TYPE, "application/json")], self.to_bytes()).into_response()
    }
}

/// A handler's refusals are answers too.
pub(crate) fn merge(outcome: Result<Reply, Reply>) -> Reply {
    match outcome {
        Ok(reply) | Err(reply) => reply,
    }
}
