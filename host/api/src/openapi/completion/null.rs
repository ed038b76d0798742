//! Answers have no `null`, and a request's is an absent field: no generator of clients needs to
//! know of it.

use serde_json::Value;

/// Takes `null` out of what a value may be, all the way down.
pub fn strip(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(strip),
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
            parts.values_mut().for_each(strip);
        }
        _ => {}
    }
}
