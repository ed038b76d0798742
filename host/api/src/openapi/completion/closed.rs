//! Bodies of requests that are refused if they name a field that the route does not know.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::access::ROUTES;

/// Where schemas are.
const SCHEMAS: &str = "#/components/schemas/";

/// Says so of every object that such a request consists of.
pub fn close(document: &mut Value) {
    let strict = ROUTES.iter().filter(|route| !route.ignores_unknown && route.method != "GET");
    let (mut left, mut names) = (Vec::new(), BTreeSet::new());
    for route in strict {
        let operation = document
            .get("paths")
            .and_then(|paths| paths.get(route.path)?.get(route.method.to_lowercase()));
        left.extend(
            operation
                .and_then(|operation| operation.get("requestBody"))
                .into_iter()
                .flat_map(refers),
        );
    }
    while let Some(name) = left.pop() {
        if let Some(schema) = document.pointer(&format!("/components/schemas/{name}"))
            && names.insert(name)
        {
            left.extend(refers(schema));
        }
    }
    for name in names {
        if let Some(schema) = document
            .pointer_mut(&format!("/components/schemas/{name}"))
            .and_then(Value::as_object_mut)
            && schema.contains_key("properties")
        {
            schema.insert("additionalProperties".into(), json!(false));
        }
    }
}

/// The schemas that a part of the document refers to.
fn refers(part: &Value) -> Vec<String> {
    match part {
        Value::Array(items) => items.iter().flat_map(refers).collect(),
        Value::Object(parts) => {
            let own = parts
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|text| text.strip_prefix(SCHEMAS))
                .map(str::to_owned);
            own.into_iter().chain(parts.values().flat_map(refers)).collect()
        }
        _ => Vec::new(),
    }
}
