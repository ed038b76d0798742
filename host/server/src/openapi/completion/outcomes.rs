//! A resolution names a transaction if the payout was paid, and only then: a schema of each.

use serde_json::{Value, json};

/// Replaces the schema of a resolution by one for each outcome.
pub fn part(document: &mut Value) {
    let Some(schema) = document.pointer_mut("/components/schemas/ResolutionBody") else { return };
    let of = |outcome: &str| {
        let mut one = schema.clone();
        one.as_object_mut()?.remove("description");
        one.pointer_mut("/properties")?.as_object_mut()?.insert("outcome".into(), json!({ "type": "string", "enum": [outcome] }));
        Some(one)
    };
    let (Some(mut paid), Some(mut not_paid)) = (of("paid"), of("not_paid")) else { return };
    if let Some(required) = paid.pointer_mut("/required").and_then(Value::as_array_mut) {
        required.push(json!("transaction_id"));
    }
    if let Some(properties) = not_paid.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.remove("transaction_id");
    }
    let description = schema.get("description").cloned().unwrap_or_default();
    *schema = json!({ "description": description, "oneOf": [paid, not_paid] });
}
