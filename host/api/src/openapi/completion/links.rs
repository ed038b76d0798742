//! From what makes a thing to what can be done with it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What makes a thing, the field that names it, and where its id is used.
const MAKERS: [(&str, &str, &str); 5] = [
    ("registerNode", "node_id", "/nodes/{id}"),
    ("registerNodeLegacy", "node_id", "/nodes/{id}"),
    ("createPool", "pool_id", "/pools/{id}"),
    ("createEnrolmentToken", "enrolment_id", "/enrolment-tokens/{id}"),
    ("createWebhook", "webhook_id", "/webhooks/{id}"),
];

/// For each maker the links from what it made to what can be done with it.
pub fn find(document: &Value) -> BTreeMap<&'static str, Value> {
    let of = |field: &str, place: &str| -> Value {
        let items = document
            .get("paths")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(path, _)| path.contains(place));
        let operations =
            items.flat_map(|(_, item)| item.as_object().into_iter().flat_map(Map::values));
        let ids =
            operations.filter_map(|operation| operation.get("operationId").and_then(Value::as_str));
        let link = |id: &str| {
            let id_of_it = format!("$response.body#/{field}");
            (id.to_owned(), json!({ "operationId": id, "parameters": { "id": id_of_it } }))
        };
        ids.map(link).collect()
    };
    MAKERS.into_iter().map(|(maker, field, place)| (maker, of(field, place))).collect()
}

pub fn add(operation: &mut Map<String, Value>, links: &BTreeMap<&'static str, Value>) {
    let links = operation.get("operationId").and_then(Value::as_str).and_then(|id| links.get(id));
    let made = operation
        .get_mut("responses")
        .and_then(|responses| responses.get_mut("201"))
        .and_then(Value::as_object_mut);
    if let (Some(links), Some(made)) = (links, made) {
        made.insert("links".into(), links.clone());
    }
}
