//! The headers of answers.

use serde_json::{Map, Value, json};

/// A header: its name in answers, in the document, what it says, whether it is always there.
#[derive(Clone, Copy)]
pub struct Header {
    name: &'static str,
    component: &'static str,
    description: &'static str,
    always: bool,
}

const fn header(name: &'static str, component: &'static str, description: &'static str) -> Header {
    Header { name, component, description, always: true }
}

const fn optional(
    name: &'static str,
    component: &'static str,
    description: &'static str,
) -> Header {
    Header { always: false, ..header(name, component, description) }
}

pub const REQUEST_ID: Header =
    header("x-request-id", "RequestId", "Names the request in the service's log.");
pub const LOCATION: Header = header("Location", "Location", "Path of what was made.");
pub const RETRY_AFTER: Header = header("Retry-After", "RetryAfter", "Seconds to wait.");
pub const AUTHENTICATE: Header =
    header("WWW-Authenticate", "WwwAuthenticate", "How to authenticate.");
pub const ETAG: Header = header(
    "ETag",
    "ETag",
    "The record's version, and a digest of the answer: for `If-Match` and `If-None-Match`.",
);
pub const REPLAYED: Header = optional(
    "Idempotency-Replayed",
    "IdempotencyReplayed",
    "The request was carried out before, under the same `Idempotency-Key`; this is its answer.",
);
/// Said of what is limited by number.
pub const LIMITS: [Header; 2] = [
    optional(
        "RateLimit-Policy",
        "RateLimitPolicy",
        "The limit that the request counts for: how many (`q`) in how many seconds (`w`). Absent where it is off.",
    ),
    optional(
        "RateLimit",
        "RateLimit",
        "How many requests are left of it (`r`), and in how many seconds all are again (`t`). Absent where it is off.",
    ),
];
const ALL: [Header; 8] = {
    let [policy, left] = LIMITS;
    [REQUEST_ID, LOCATION, RETRY_AFTER, AUTHENTICATE, ETAG, REPLAYED, policy, left]
};

impl Header {
    /// Names it among the headers of an answer.
    pub fn add(self, headers: &mut Map<String, Value>) {
        headers.insert(
            self.name.into(),
            json!({ "$ref": format!("#/components/headers/{}", self.component) }),
        );
    }

    fn schema(self) -> Value {
        match self.component {
            "RequestId" => json!({ "$ref": "#/components/schemas/RequestId" }),
            "Location" => json!({ "type": "string", "format": "uri-reference" }),
            "RetryAfter" => json!({ "type": "integer", "minimum": 0 }),
            "ETag" => {
                json!({ "type": "string", "pattern": "^\"[0-9]+-[0-9a-f]{16}\"$", "examples": ["\"7-0f1e2d3c4b5a6978\""] })
            }
            "IdempotencyReplayed" => json!({ "type": "string", "enum": ["true"] }),
            "RateLimitPolicy" => json!({ "type": "string", "examples": ["\"payouts\";q=50;w=60"] }),
            "RateLimit" => json!({ "type": "string", "examples": ["\"payouts\";r=49;t=2"] }),
            _ => json!({ "type": "string" }),
        }
    }
}

/// Gives an answer's headers the shared form, if it has them.
pub fn share(headers: &mut Map<String, Value>) {
    ALL.into_iter()
        .filter(|header| headers.contains_key(header.name))
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|header| header.add(headers));
}

/// All of them, by their names in the document.
pub fn components() -> impl Iterator<Item = (String, Value)> {
    let said = |header: Header| json!({ "description": header.description, "required": header.always, "schema": header.schema() });
    ALL.into_iter().map(move |header| (header.component.to_owned(), said(header)))
}
