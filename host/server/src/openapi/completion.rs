//! What is true of every operation, written once: common errors, headers, and that answers have no `null`.

use std::collections::BTreeMap;

use lucid_wire::ErrorKind;
use serde_json::{Map, Value, json};

/// Every status that errors have, with the name of its response in the document.
const ERRORS: [(u16, &str, &str); 16] = [
    (400, "BadRequest", "The request cannot be taken as it is: the field and the limit are named"),
    (401, "Unauthorized", "No token, or none that counts"),
    (403, "Forbidden", "The caller may not do this"),
    (404, "NotFound", "No such thing; also if the id is none"),
    (405, "MethodNotAllowed", "The route has no such method"),
    (406, "NotAcceptable", "No answer in a form the client accepts"),
    (409, "Conflict", "Somebody else was first, or it is done already"),
    (412, "PreconditionFailed", "`If-Match` does not"),
    (413, "ContentTooLarge", "The body is too long"),
    (415, "UnsupportedMediaType", "The body is not JSON"),
    (422, "UnprocessableContent", "The idempotency key was used for another request"),
    (429, "TooManyRequests", "Too much of something"),
    (431, "RequestHeaderFieldsTooLarge", "The headers are too long"),
    (500, "InternalServerError", "A fault of the service; the log has the request id"),
    (502, "BadGateway", "The payment rail refused or failed"),
    (503, "ServiceUnavailable", "A part is unavailable, or the request took too long"),
];
/// What any request can be answered.
const ALWAYS: [u16; 3] = [431, 500, 503];

/// Completes the document.
pub fn complete(document: &mut Value) {
    let optional = optional_bodies(document);
    let links = links(document);
    let Some(parts) = document.as_object_mut() else { return };
    let secured = parts.get("security").cloned().unwrap_or_default();
    for (path, item) in parts.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            let open = operation.get("security").is_some_and(|own| *own != secured);
            complete_operation(operation, path.starts_with("/api/"), !open);
            complete_body(operation, &optional);
            add_links(operation, &links);
        }
    }
    let paths = parts.get("paths").map(Value::to_string).unwrap_or_default();
    let Some(components) = parts.get_mut("components").and_then(Value::as_object_mut) else { return };
    for (name, schema) in components.get_mut("schemas").and_then(Value::as_object_mut).into_iter().flatten() {
        // A request's `null` is an absent field; an answer has none.
        if !name.ends_with("Request") {
            strip_null(schema);
        }
    }
    let errors = ERRORS.iter().map(|(status, name, description)| ((*name).to_owned(), error(*status, description)));
    let responses = used("responses", errors, &paths);
    let headers = used("headers", headers(), &format!("{paths}{responses}"));
    components.insert("responses".into(), responses);
    components.insert("headers".into(), headers);
}

/// The requests of which no field is needed: their body may be left out altogether.
fn optional_bodies(document: &Value) -> Vec<String> {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    let optional = schemas.filter(|(_, schema)| schema.get("properties").is_some() && schema.get("required").is_none());
    optional.map(|(name, _)| format!("#/components/schemas/{name}")).collect()
}

fn complete_body(operation: &mut Map<String, Value>, optional: &[String]) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let schema = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
    let needed = !schema.is_some_and(|schema| optional.iter().any(|name| name == schema));
    if let Some(body) = body.as_object_mut() {
        body.insert("required".into(), needed.into());
    }
}

/// What makes a thing, the field that names it, and where its id is used.
const MAKERS: [(&str, &str, &str); 2] = [("registerNode", "node_id", "/nodes/{id}"), ("createPool", "pool_id", "/pools/{id}")];

/// For each maker the links from what it made to what can be done with it.
fn links(document: &Value) -> BTreeMap<&'static str, Value> {
    let of = |field: &str, place: &str| -> Value {
        let items = document.get("paths").and_then(Value::as_object).into_iter().flatten().filter(|(path, _)| path.contains(place));
        let operations = items.flat_map(|(_, item)| item.as_object().into_iter().flat_map(Map::values));
        let ids = operations.filter_map(|operation| operation.get("operationId").and_then(Value::as_str));
        let link = |id: &str| {
            let id_of_it = format!("$response.body#/{field}");
            (id.to_owned(), json!({ "operationId": id, "parameters": { "id": id_of_it } }))
        };
        ids.map(link).collect()
    };
    MAKERS.into_iter().map(|(maker, field, place)| (maker, of(field, place))).collect()
}

fn add_links(operation: &mut Map<String, Value>, links: &BTreeMap<&'static str, Value>) {
    let links = operation.get("operationId").and_then(Value::as_str).and_then(|id| links.get(id));
    let made = operation.get_mut("responses").and_then(|responses| responses.get_mut("201")).and_then(Value::as_object_mut);
    if let (Some(links), Some(made)) = (links, made) {
        made.insert("links".into(), links.clone());
    }
}

/// The components of a kind that a text refers to.
fn used(kind: &str, all: impl IntoIterator<Item = (String, Value)>, text: &str) -> Value {
    all.into_iter().filter(|(name, _)| text.contains(&format!("#/components/{kind}/{name}\""))).collect()
}

fn complete_operation(operation: &mut Map<String, Value>, limited: bool, secured: bool) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        // A parameter is there or not: there is no `null` in a query or a header.
        parameter.get_mut("schema").into_iter().for_each(strip_null);
    }
    let common = common(operation, limited, secured);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let declared: BTreeMap<_, _> = std::mem::take(responses).into_iter().filter_map(|(status, r)| Some((status.parse::<u16>().ok()?, r))).collect();
    let mut all: BTreeMap<_, _> = common.into_iter().filter_map(|status| Some((status, reference(status, None)?))).collect();
    all.extend(declared.into_iter().map(|(status, response)| (status, completed(status, response))));
    responses.extend(all.into_iter().map(|(status, response)| (status.to_string(), response)));
}

/// The statuses that follow from what an operation takes.
fn common(operation: &Map<String, Value>, limited: bool, secured: bool) -> Vec<u16> {
    let parameters = || operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let takes = |place: &str| parameters().any(|p| p.get("in").is_some_and(|value| value == place));
    let has_header = |name: &str| parameters().any(|p| p.get("name").and_then(Value::as_str).is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let body = operation.contains_key("requestBody");
    let mut statuses = ALWAYS.to_vec();
    let mut add = |applies: bool, more: &[u16]| statuses.extend(more.iter().filter(|_| applies));
    add(limited, &[429]);
    add(secured, &[401, 403]);
    add(takes("path"), &[400, 404]);
    add(takes("query") || takes("header"), &[400]);
    add(body, &[400, 413, 415]);
    add(has_header("if-match"), &[412]);
    add(has_header("idempotency-key"), &[409, 422]);
    statuses
}

/// A response with what every response has; an error's is the common one, with the route's own words.
fn completed(status: u16, mut response: Value) -> Value {
    let said = response.get("description").and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let schema = response.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
    if schema.is_some_and(|name| name.ends_with("/ErrorBody")) {
        return reference(status, said.as_deref()).unwrap_or(response);
    }
    if let Some(parts) = response.as_object_mut() {
        if let Some(headers) = parts.entry("headers").or_insert_with(|| json!({})).as_object_mut() {
            headers.insert("x-request-id".into(), json!({ "$ref": "#/components/headers/RequestId" }));
            if headers.contains_key("Location") {
                headers.insert("Location".into(), json!({ "$ref": "#/components/headers/Location" }));
            }
        }
        if matches!(status, 400..) {
            // The route's own form of an error, next to the one that layers give.
            let own = parts.get("content").and_then(|content| content.get("application/json")).and_then(|form| form.get("schema")).cloned();
            if let Some(own) = own {
                parts.insert("content".into(), error_content(json!({ "anyOf": [own, { "$ref": "#/components/schemas/ErrorBody" }] })));
            }
        }
    }
    response
}

fn reference(status: u16, said: Option<&str>) -> Option<Value> {
    let (_, name, _) = ERRORS.iter().find(|(known, ..)| *known == status)?;
    let mut reference = json!({ "$ref": format!("#/components/responses/{name}") });
    if let (Some(said), Some(parts)) = (said, reference.as_object_mut()) {
        parts.insert("description".into(), said.into());
    }
    Some(reference)
}

fn error_content(json_schema: Value) -> Value {
    json!({
        "application/json": { "schema": json_schema },
        "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemBody" } },
    })
}

/// The response of a status, with the codes it may carry.
fn error(status: u16, description: &str) -> Value {
    let kinds = ErrorKind::ALL.iter().filter(|kind| kind.status() == status);
    let codes: Vec<_> = kinds.map(|kind| format!("`{}` {}", kind.code(), kind.title())).collect();
    let mut headers = json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } });
    let own = match status {
        401 => Some(("WWW-Authenticate", "WwwAuthenticate")),
        405 => Some(("Allow", "Allow")),
        429 | 503 => Some(("Retry-After", "RetryAfter")),
        _ => None,
    };
    if let (Some((header, name)), Some(headers)) = (own, headers.as_object_mut()) {
        headers.insert(header.into(), json!({ "$ref": format!("#/components/headers/{name}") }));
    }
    json!({
        "description": format!("{description}. Codes: {}.", codes.join(", ")),
        "headers": headers,
        "content": error_content(json!({ "$ref": "#/components/schemas/ErrorBody" })),
    })
}

fn headers() -> [(String, Value); 5] {
    let header =
        |name: &str, description: &str, schema: Value| (name.to_owned(), json!({ "description": description, "required": true, "schema": schema }));
    [
        header("RequestId", "Names the request in the service's log.", json!({ "$ref": "#/components/schemas/RequestId" })),
        header("Location", "Path of what was made.", json!({ "type": "string", "format": "uri-reference" })),
        header("RetryAfter", "Seconds to wait.", json!({ "type": "integer", "minimum": 0 })),
        header("WwwAuthenticate", "How to authenticate.", json!({ "type": "string" })),
        header("Allow", "The methods that the route has.", json!({ "type": "string" })),
    ]
}

/// Takes `null` out of what a value may be, all the way down.
fn strip_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(strip_null),
        Value::Object(parts) => {
            if let Some(Value::Array(types)) = parts.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    parts.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = parts.get_mut("oneOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    parts.remove("oneOf");
                    parts.extend(only);
                }
            }
            parts.values_mut().for_each(strip_null);
        }
        _ => {}
    }
}
