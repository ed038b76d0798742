//! Errors on the wire: one table of kinds, their status and their code, and the two shapes of an
//! error body.

use lucid_model::time::TimeMs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{fields::FieldError, schema};

/// What the service calls itself.
pub const SERVICE: &str = "node-management";
/// The API's version.
pub const VERSION: &str = "v1";
/// Name of the detail that says which field is wrong.
pub const DETAIL_FIELD: &str = "field";
/// Name of the detail that says what is wrong with it.
pub const DETAIL_PROBLEM: &str = "problem";
/// Every problem of a request that has several: `field` and `problem` each.
pub const DETAIL_PROBLEMS: &str = "problems";
/// What the code of every error of the service begins with.
pub const CODE_PREFIX: &str = "LUCID_ERR_";
/// Name of the detail that tells a node the highest sequence number the service has of it.
pub const DETAIL_HIGHEST_SEQUENCE: &str = "highest_sequence";
/// Name of the detail that tells the owner of a key which node has it.
pub const DETAIL_NODE_ID: &str = "node_id";

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal $code:literal $title:literal;)*) => {
        /// What went wrong, as clients tell it apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }
        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => concat!("LUCID_ERR_", $code),)* }
            }
            /// A short description that never changes with the case at hand.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

error_kinds! {
    /// The request cannot be taken as it is.
    InvalidRequest = 400 4001 "invalid request";
    /// No token, or none that counts.
    NotAuthenticated = 401 4010 "not authenticated";
    /// The caller may not do this.
    AccessDenied = 403 4030 "access denied";
    /// No such thing, other than a node or pool.
    NotFound = 404 4040 "not found";
    /// The route has no such method.
    MethodNotAllowed = 405 4050 "method not allowed";
    /// No answer in a form the client accepts.
    NotAcceptable = 406 4060 "not acceptable";
    /// Somebody else was first, or it is done already.
    Conflict = 409 4090 "conflict";
    /// `If-Match` does not.
    PreconditionFailed = 412 4120 "precondition failed";
    /// The body is too long.
    TooLarge = 413 4130 "request too large";
    /// The URL is too long.
    UrlTooLong = 414 4140 "URL too long";
    /// The body is not JSON.
    UnsupportedMediaType = 415 4150 "unsupported media type";
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = 422 4220 "idempotency key reused";
    /// Too much of something.
    RateLimited = 429 4291 "rate limited";
    /// The headers are too long.
    HeadersTooLarge = 431 4310 "request headers too large";
    /// No such node.
    NodeNotFound = 404 5001 "node not found";
    /// No such pool.
    PoolNotFound = 404 5002 "pool not found";
    /// The node's status does not allow it.
    InvalidNodeStatus = 400 5003 "invalid node status";
    /// The pool has no room.
    PoolFull = 409 5004 "pool full";
    /// `max_nodes` would be below the pool's number of nodes.
    PoolTooSmall = 400 5004 "pool would be too small";
    /// A PoOT calculation or claim is not valid.
    PootInvalid = 400 5005 "PoOT validation failed";
    /// The payout's state does not allow it.
    PayoutWrongState = 409 5006 "wrong payout state";
    /// The payment rail refused or failed.
    PayoutRail = 502 5006 "payout failed at the rail";
    /// The node is registered already.
    NodeExists = 409 5007 "node already registered";
    /// The pool exists already.
    PoolExists = 409 5008 "pool already exists";
    /// The resources cannot be what is claimed.
    InvalidResources = 400 5009 "invalid resource allocation";
    /// No item of a batch could be taken.
    BatchInvalid = 400 5010 "batch failed";
    /// Our fault.
    Internal = 500 5000 "internal error";
    /// The store or a rail cannot be reached.
    Unavailable = 503 5030 "unavailable";
}

impl ErrorKind {
    /// The contract's error body.
    pub fn body(
        self,
        message: impl Into<String>,
        details: Map<String, Value>,
        request_id: impl Into<String>,
        now: TimeMs,
    ) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code().into(),
                message: message.into(),
                details,
                request_id: request_id.into(),
                timestamp: now.to_string(),
                service: SERVICE.into(),
                version: VERSION.into(),
            },
        }
    }
}

impl FieldError {
    /// The details that name the field.
    pub fn details(&self) -> Map<String, Value> {
        let pairs = [(DETAIL_FIELD, &self.field), (DETAIL_PROBLEM, &self.problem)];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Value::from(value.as_str())))
            .collect()
    }
}

/// An error, as the network's services expect it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// Why one item of a batch failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemErrorBody {
    /// What the answer's status would be if it had been asked for alone.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// `LUCID_ERR_…`.
    #[schema(value_type = schema::ErrorCode)]
    pub code: String,
    /// For people.
    pub message: String,
    /// What else is known, as in an error that stands alone.
    #[serde(default)]
    #[schema(value_type = schema::FreeObject, required = true)]
    pub details: Map<String, Value>,
}

/// What is said of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// `LUCID_ERR_…`: stable.
    #[schema(value_type = schema::ErrorCode)]
    pub code: String,
    /// For people.
    pub message: String,
    /// What else is known, by name; `field` and `problem` for a request that cannot be taken.
    #[serde(default)]
    #[schema(value_type = schema::FreeObject, required = true)]
    pub details: Map<String, Value>,
    /// Names the request in the service's log.
    #[schema(value_type = schema::Id)]
    pub request_id: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// `node-management`.
    pub service: String,
    /// `v1`.
    pub version: String,
}

/// The same error as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The case at hand, for people.
    pub detail: String,
    /// Names the request: `urn:uuid:…`.
    pub instance: String,
    /// `LUCID_ERR_…`: stable.
    #[schema(value_type = schema::ErrorCode)]
    pub code: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// What else is known, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = schema::FreeObject)]
    pub details: Map<String, Value>,
}

impl ProblemBody {
    /// The problem of an error.
    pub fn new(kind: ErrorKind, error: ErrorDetail) -> Self {
        Self {
            kind: format!("urn:lucid:error:{}", kind.code()),
            title: kind.title().into(),
            status: kind.status(),
            detail: error.message,
            instance: format!("urn:uuid:{}", error.request_id),
            code: error.code,
            timestamp: error.timestamp,
            details: error.details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_exactly_the_fields_of_the_contract() {
        let details = FieldError::new("port", "is required").details();
        let body = ErrorKind::InvalidRequest.body(
            "port: is required",
            details,
            "0192f0c1-2b3c-7d4e-8f90-123456789abc",
            TimeMs(0),
        );
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            concat!(
                r#"{"error":{"code":"LUCID_ERR_4001","message":"port: is required","details":{"field":"port","problem":"is required"},"#,
                r#""request_id":"0192f0c1-2b3c-7d4e-8f90-123456789abc","timestamp":"1970-01-01T00:00:00.000Z","#,
                r#""service":"node-management","version":"v1"}}"#
            )
        );
    }

    #[test]
    fn a_code_has_one_status_except_the_two_that_have_two() {
        for kind in ErrorKind::ALL {
            let others = ErrorKind::ALL
                .iter()
                .filter(|other| other.code() == kind.code() && other.status() != kind.status())
                .count();
            let two = matches!(kind.code(), "LUCID_ERR_5004" | "LUCID_ERR_5006");
            assert_eq!(others, usize::from(two), "{kind:?}");
        }
    }
}
