//! Alternatives are references and nothing else: with a description beside it a reference is taken
//! for a schema of its own by generators of clients, and leads nowhere in what they make.

use serde_json::{Value, json};

/// Leaves of each reference among alternatives only itself, all the way down.
pub fn bare(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(bare),
        Value::Object(parts) => {
            for choices in ["oneOf", "anyOf", "allOf"] {
                for choice in
                    parts.get_mut(choices).and_then(Value::as_array_mut).into_iter().flatten()
                {
                    if let Some(reference) = choice.get("$ref") {
                        *choice = json!({ "$ref": reference });
                    }
                }
            }
            parts.values_mut().for_each(bare);
        }
        _ => {}
    }
}
