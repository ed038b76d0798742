//! Names of words, for generators of clients: some languages have one name space for the words of
//! all types, and `active` is one of several.

use serde_json::Value;

/// Gives each word of a schema a name with the schema's own before it.
pub fn name(schema_name: &str, schema: &mut Value) {
    let Some(words) = schema.get("enum").and_then(Value::as_array) else { return };
    let names: Vec<_> = words
        .iter()
        .filter_map(Value::as_str)
        .map(|word| format!("{}_{}", shouted(schema_name), shouted(word)))
        .collect();
    if let Some(parts) = schema.as_object_mut() {
        parts.insert("x-enum-varnames".into(), names.into());
    }
}

/// `NodeStatus` and `next_period` as constants are written.
fn shouted(text: &str) -> String {
    let mut name = String::new();
    let mut lower = false;
    for letter in text.chars() {
        if lower && letter.is_ascii_uppercase() {
            name.push('_');
        }
        lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        name.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_has_the_name_of_its_schema_before_it() {
        let mut schema = json!({ "type": "string", "enum": ["next_period", "1h"] });
        name("ActivationStart", &mut schema);
        assert_eq!(
            schema["x-enum-varnames"],
            json!(["ACTIVATION_START_NEXT_PERIOD", "ACTIVATION_START_1H"])
        );
        let mut plain = json!({ "type": "string" });
        name("Name", &mut plain);
        assert_eq!(plain, json!({ "type": "string" }));
    }
}
