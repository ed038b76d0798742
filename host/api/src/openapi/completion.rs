//! What is true of every operation, written once: common errors, headers, and that there is no
//! `null`.

mod closed;
mod conditions;
mod errors;
mod headers;
mod links;
mod null;
mod references;
mod words;

use std::collections::BTreeMap;

use lucid_service::Role;
use serde_json::{Map, Value, json};

use crate::access::{self, Route, Who};

/// What any request can be answered: it has a URL and headers, and the service may fail.
const ALWAYS: [u16; 5] = [400, 414, 431, 500, 503];
/// Where answers are JSON, and a client that takes none is refused.
const API: &str = "/api/";
/// Requests that have at least one of several fields, which their descriptions name: generators of
/// clients make nothing of alternatives.
const NEVER_EMPTY: [&str; 4] =
    ["LegacyRegisterRequest", "MetricsRequest", "ObservationsRequest", "SampleRequest"];

/// Completes the document.
pub fn complete(document: &mut Value) {
    for name in NEVER_EMPTY {
        if let Some(schema) = document
            .pointer_mut(&format!("/components/schemas/{name}"))
            .and_then(Value::as_object_mut)
        {
            schema.insert("minProperties".into(), 1.into());
        }
    }
    closed::close(document);
    let optional = optional_bodies(document);
    let links = links::find(document);
    let Some(parts) = document.as_object_mut() else { return };
    for (path, item) in parts.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten()
    {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let route = access::ROUTES
                .iter()
                .find(|route| route.path == path && route.method.eq_ignore_ascii_case(method));
            let (Some(route), Some(operation)) = (route, operation.as_object_mut()) else {
                continue;
            };
            complete_operation(operation, route);
            complete_body(operation, &optional);
            links::add(operation, &links);
        }
    }
    let paths = parts.get("paths").map(Value::to_string).unwrap_or_default();
    let Some(components) = parts.get_mut("components").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, schema) in
        components.get_mut("schemas").and_then(Value::as_object_mut).into_iter().flatten()
    {
        null::strip(schema);
        references::bare(schema);
        words::name(name, schema);
    }
    let responses = used("responses", errors::components(), &paths);
    let headers = used("headers", headers::components(), &format!("{paths}{responses}"));
    components.insert("parameters".into(), conditions::parameters().into());
    components.insert("responses".into(), responses);
    components.insert("headers".into(), headers);
}

/// The requests of which no field is needed: their body may be left out altogether.
fn optional_bodies(document: &Value) -> Vec<String> {
    let schemas =
        document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    let needs_nothing = |schema: &Value| {
        schema.get("properties").is_some()
            && schema.get("required").is_none()
            && schema.get("minProperties").is_none()
    };
    schemas
        .filter(|(_, schema)| needs_nothing(schema))
        .map(|(name, _)| format!("#/components/schemas/{name}"))
        .collect()
}

fn complete_body(operation: &mut Map<String, Value>, optional: &[String]) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let schema = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
    let needed = !schema.is_some_and(|schema| optional.iter().any(|name| name == schema));
    if let Some(body) = body.as_object_mut() {
        body.insert("required".into(), needed.into());
    }
}

/// The components of a kind that a text refers to.
fn used(kind: &str, all: impl IntoIterator<Item = (String, Value)>, text: &str) -> Value {
    all.into_iter()
        .filter(|(name, _)| text.contains(&format!("#/components/{kind}/{name}\"")))
        .collect()
}

fn complete_operation(operation: &mut Map<String, Value>, route: &Route) {
    for parameter in
        operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten()
    {
        // A parameter is there or not: there is no `null` in a query or a header.
        parameter.get_mut("schema").into_iter().for_each(null::strip);
    }
    if matches!(route.who, Who::Roles(roles) if roles.contains(&Role::Enrolled)) {
        operation.insert("security".into(), json!([{ "bearer": [] }, { "enrolment": [] }]));
    }
    let (headers, follow) = conditions::taken(route);
    let common = [common(operation, route), follow].concat();
    if !headers.is_empty()
        && let Some(parameters) =
            operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut()
    {
        parameters.extend(headers);
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else {
        return;
    };
    let declared = std::mem::take(responses)
        .into_iter()
        .filter_map(|(status, response)| Some((status.parse::<u16>().ok()?, response)));
    let declared = declared
        .chain(conditions::not_modified(route))
        .map(|(status, response)| (status, completed(route, status, response)));
    let mut all: BTreeMap<_, _> = common
        .into_iter()
        .filter_map(|status| Some((status, errors::reference(status, None)?)))
        .collect();
    all.extend(declared);
    responses.extend(all.into_iter().map(|(status, response)| (status.to_string(), response)));
}

/// The statuses that follow from what an operation takes and gives.
fn common(operation: &Map<String, Value>, route: &Route) -> Vec<u16> {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let in_path = parameters
        .into_iter()
        .flatten()
        .any(|parameter| parameter.get("in").is_some_and(|place| place == "path"));
    let responses = operation.get("responses").and_then(Value::as_object);
    let stream = responses.is_some_and(|responses| {
        responses.values().any(|response| response.pointer("/content/text~1event-stream").is_some())
    });
    let mut statuses = ALWAYS.to_vec();
    let mut add = |applies: bool, more: &[u16]| statuses.extend(more.iter().filter(|_| applies));
    // Without a limit only those are limited who may not.
    add(route.limit.is_some() || route.who != Who::Public, &[429]);
    add(route.who != Who::Public, &[401, 403]);
    add(in_path, &[404]);
    add(route.path.starts_with(API) && !stream, &[406]);
    add(operation.contains_key("requestBody"), &[413, 415]);
    statuses
}

/// A response with what every response has; an error's is the common one, with the route's own
/// words.
fn completed(route: &Route, status: u16, mut response: Value) -> Value {
    let said = response
        .get("description")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned);
    let schema = response.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
    if schema.is_some_and(|name| name.ends_with("/ErrorBody")) {
        return errors::reference(status, said.as_deref()).unwrap_or(response);
    }
    let Some(parts) = response.as_object_mut() else { return response };
    if let Some(said) = parts.entry("headers").or_insert_with(|| json!({})).as_object_mut() {
        headers::share(said);
        let limits = headers::LIMITS.into_iter().filter(|_| route.limit.is_some());
        [headers::REQUEST_ID]
            .into_iter()
            .chain(limits)
            .chain(conditions::answered(route, status))
            .for_each(|header| header.add(said));
    }
    if matches!(status, 400..) {
        // The route's own form of an error, next to the one that layers give.
        let own = parts
            .get("content")
            .and_then(|content| content.get("application/json"))
            .and_then(|form| form.get("schema"))
            .cloned();
        if let Some(own) = own {
            parts.insert(
                "content".into(),
                errors::content(
                    json!({ "anyOf": [own, { "$ref": "#/components/schemas/ErrorBody" }] }),
                ),
            );
        }
    }
    response
}
