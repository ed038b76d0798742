//! The answers that refuse a request, one for each status.

use lucid_api_types::ErrorKind;
use serde_json::{Map, Value, json};

use super::headers::{self, REPLAYED, REQUEST_ID};

/// Every status that errors have, with the name of its response in the document.
const ERRORS: [(u16, &str, &str); 16] = [
    (400, "BadRequest", "The request cannot be taken as it is: the field and the limit are named"),
    (401, "Unauthorized", "No token, or none that counts"),
    (403, "Forbidden", "The caller may not do this"),
    (404, "NotFound", "No such thing; also if the id is none"),
    (406, "NotAcceptable", "No answer in a form the client accepts"),
    (409, "Conflict", "Somebody else was first, or it is done already"),
    (412, "PreconditionFailed", "`If-Match` does not"),
    (413, "ContentTooLarge", "The body is too long"),
    (414, "UriTooLong", "The URL is too long"),
    (415, "UnsupportedMediaType", "The body is not JSON, or it is packed"),
    (422, "UnprocessableContent", "The idempotency key was used for another request"),
    (429, "TooManyRequests", "Too much of something"),
    (431, "RequestHeaderFieldsTooLarge", "The headers are too long"),
    (500, "InternalServerError", "A fault of the service; the log has the request id"),
    (502, "BadGateway", "The payment rail refused or failed"),
    (503, "ServiceUnavailable", "A part is unavailable, or the request took too long"),
];
/// Refused before anything is counted.
const UNCOUNTED: [u16; 2] = [414, 431];
/// What is kept under an idempotency key and answered again.
const REPEATED: [u16; 3] = [400, 404, 409];

/// The answer of a status, with the route's own words if it has some.
pub fn reference(status: u16, said: Option<&str>) -> Option<Value> {
    let (_, name, _) = ERRORS.iter().find(|(known, ..)| *known == status)?;
    let mut reference = json!({ "$ref": format!("#/components/responses/{name}") });
    if let (Some(said), Some(parts)) = (said, reference.as_object_mut()) {
        parts.insert("description".into(), said.into());
    }
    Some(reference)
}

/// Both forms of an error.
pub fn content(json_schema: Value) -> Value {
    json!({
        "application/json": { "schema": json_schema },
        "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemBody" } },
    })
}

/// The response of a status, with the codes it may carry.
fn error(status: u16, description: &str) -> Value {
    let kinds = ErrorKind::ALL.iter().filter(|kind| kind.status() == status);
    let codes: Vec<_> = kinds.map(|kind| format!("`{}` {}", kind.code(), kind.title())).collect();
    let mut said = Map::new();
    REQUEST_ID.add(&mut said);
    let own = match status {
        401 => Some(headers::AUTHENTICATE),
        429 | 503 => Some(headers::RETRY_AFTER),
        _ => None,
    };
    let limits = headers::LIMITS.into_iter().filter(|_| !UNCOUNTED.contains(&status));
    let repeated = REPEATED.contains(&status).then_some(REPLAYED);
    own.into_iter().chain(limits).chain(repeated).for_each(|header| header.add(&mut said));
    json!({
        "description": format!("{description}. Codes: {}.", codes.join(", ")),
        "headers": said,
        "content": content(json!({ "$ref": "#/components/schemas/ErrorBody" })),
    })
}

/// All of them, by their names in the document.
pub fn components() -> impl Iterator<Item = (String, Value)> {
    ERRORS
        .into_iter()
        .map(|(status, name, description)| (name.to_owned(), error(status, description)))
}
