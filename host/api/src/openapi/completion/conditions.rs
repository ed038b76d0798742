//! What a request may ask besides: to be carried out once, or only for a version of a record.

use serde_json::{Map, Value, json};

use super::headers::{self, Header};
use crate::access::{Route, Who};

/// Where those are made.
const MAKERS: [&str; 3] = ["/api/v1/nodes", "/api/v1/nodes/register", "/api/v1/pools"];
/// Changes of them whose answers show something else.
const UNTAGGED: [&str; 3] =
    ["/api/v1/nodes/{id}/start", "/api/v1/nodes/{id}/stop", "/api/v1/webhooks/{id}/test"];

/// Whether a repeat under the same `Idempotency-Key` is answered without being carried out.
pub fn keyed(route: &Route) -> bool {
    route.method == "POST" && route.who != Who::Public
}

/// The headers that it takes, as the document names them, and the statuses that follow from them.
pub fn taken(route: &Route) -> (Vec<Value>, Vec<u16>) {
    let reference = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let (mut headers, mut statuses) = (Vec::new(), Vec::new());
    if keyed(route) {
        headers.push(reference("IdempotencyKey"));
        statuses.extend([409, 413, 422]);
    }
    match route.method {
        "GET" if route.versioned => headers.push(reference("IfNoneMatch")),
        _ if route.versioned => {
            headers.push(reference("IfMatch"));
            statuses.push(412);
        }
        _ => {}
    }
    (headers, statuses)
}

/// The headers of an answer that follow from them.
pub fn answered(route: &Route, status: u16) -> Vec<Header> {
    let mut said = Vec::new();
    let tagged = match route.method {
        "POST" if MAKERS.contains(&route.path) => true,
        _ => route.versioned && !UNTAGGED.contains(&route.path),
    };
    if tagged && status < 400 && status != 204 {
        said.push(headers::ETAG);
    }
    if keyed(route) && status < 500 {
        said.push(headers::REPLAYED);
    }
    said
}

/// The answer to `If-None-Match`, where it is taken.
pub fn not_modified(route: &Route) -> Option<(u16, Value)> {
    let applies = route.method == "GET" && route.versioned;
    applies.then(|| {
        (
            304,
            json!({ "description": "The answer is what `If-None-Match` names; there is no body" }),
        )
    })
}

/// The headers of requests, by their names in the document.
pub fn parameters() -> Map<String, Value> {
    let header = |component: &str, name: &str, description: &str, schema: Value| {
        (
            component.to_owned(),
            json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema }),
        )
    };
    Map::from_iter([
        header(
            "IdempotencyKey",
            "Idempotency-Key",
            "Names the request: sent again with the same key by the same caller within a day, it is answered again and not carried out again. \
             409 while the first is in progress, 422 if the key was used for another request.",
            json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$", "examples": ["5f0c6f7e-1d0e-4f0a-9b55-0c4a7a3f1c11"] }),
        ),
        header(
            "IfMatch",
            "If-Match",
            "Entity tags of an answer, or `*`: the record is changed only if it still has that version, else the answer is 412. \
             A request to change something that has no entity tag is always answered with 412 if it names one.",
            json!({ "type": "string", "pattern": "^(\\*|((W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)?)$", "examples": ["\"7-0f1e2d3c4b5a6978\""] }),
        ),
        header(
            "IfNoneMatch",
            "If-None-Match",
            "Entity tags of answers that the client has, or `*`: if the answer is one of them, it is 304 without a body.",
            json!({ "type": "string", "examples": ["\"7-0f1e2d3c4b5a6978\""] }),
        ),
    ])
}
