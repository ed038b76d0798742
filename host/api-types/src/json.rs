//! Reading a body's bytes strictly: two readers of the same bytes must not see two different
//! requests.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::fields::FieldError;

/// Deepest nesting of a body; the JSON library's own limit is beyond it.
pub const DEPTH_MAX: u32 = 64;
/// Characters of a client's key that are repeated in an error.
const KEY_SHOWN_MAX: usize = 100;

/// The object that a body is.
///
/// # Errors
/// [`FieldError`]: `body` if the bytes are not a JSON object in UTF-8 or too deep, else the key
/// that is there twice.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, FieldError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        FieldError::new("body", format!("is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut fault = None;
    let read = Strict { depth: 0, fault: &mut fault }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    match (read, fault) {
        (Ok(Value::Object(map)), _) => Ok(map),
        (Ok(_), _) => Err(FieldError::new("body", "must be a JSON object")),
        (Err(_), Some(Fault::TooDeep)) => {
            Err(FieldError::new("body", format!("must be nested at most {DEPTH_MAX} levels deep")))
        }
        (Err(_), Some(Fault::Twice(path))) => {
            Err(FieldError::new(path, "must be given once, is there twice"))
        }
        (Err(error), None) => Err(FieldError::new("body", format!("is not valid JSON: {error}"))),
    }
}

/// What is wrong with JSON that is well-formed.
enum Fault {
    TooDeep,
    /// A key; its path grows from the inside while the reading ends.
    Twice(String),
}

/// Reads a value as `serde_json` does, and says what it does not like.
struct Strict<'f> {
    depth: u32,
    fault: &'f mut Option<Fault>,
}

impl Strict<'_> {
    fn inside(&mut self) -> Strict<'_> {
        Strict { depth: self.depth + 1, fault: self.fault }
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.depth < DEPTH_MAX {
            return Ok(());
        }
        *self.fault = Some(Fault::TooDeep);
        Err(E::custom("too deep"))
    }

    fn within(&mut self, place: impl FnOnce() -> String) {
        if let Some(Fault::Twice(path)) = self.fault {
            let separator = if path.starts_with('[') { "" } else { "." };
            *path = format!("{}{separator}{path}", place());
        }
    }
}

fn shown(key: &str) -> String {
    key.chars().take(KEY_SHOWN_MAX).collect()
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        loop {
            match items.next_element_seed(self.inside()) {
                Ok(Some(item)) => list.push(item),
                Ok(None) => return Ok(Value::Array(list)),
                Err(error) => {
                    self.within(|| format!("[{}]", list.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                *self.fault = Some(Fault::Twice(shown(&key)));
                return Err(A::Error::custom("a key is there twice"));
            }
            match entries.next_value_seed(self.inside()) {
                Ok(value) => drop(map.insert(key, value)),
                Err(error) => {
                    self.within(|| shown(&key));
                    return Err(error);
                }
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &[u8]) -> String {
        object(body).unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_wherever_it_is() {
        assert_eq!(
            told(br#"{"amount": 1, "amount": 2}"#),
            "amount: must be given once, is there twice"
        );
        assert_eq!(
            told(br#"{"a": {"b": {"c": 1, "d": 2, "c": 1}}}"#),
            "a.b.c: must be given once, is there twice"
        );
        assert_eq!(
            told(br#"{"a": [1, {"b": [[], [{"c": 1, "c": 1}]]}]}"#),
            "a[1].b[1][0].c: must be given once, is there twice"
        );
        assert_eq!(told(br#"{"a": 1, "\u0061": 2}"#), "a: must be given once, is there twice");
        assert!(object(br#"{"a": {"b": 1}, "b": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}"#).is_ok());
        let long = format!(r#"{{"{0}": 1, "{0}": 2}}"#, "k".repeat(100_000));
        assert!(told(long.as_bytes()).len() < 200);
    }

    #[test]
    fn depth_is_limited_and_the_limit_is_named() {
        let nested =
            |levels: usize| format!("{}{}{}", r#"{"a":"#.repeat(levels), 1, "}".repeat(levels));
        assert!(object(nested(64).as_bytes()).is_ok());
        assert_eq!(told(nested(65).as_bytes()), "body: must be nested at most 64 levels deep");
        let lists = format!("{}{}", r#"{"a":"#, "[".repeat(500_000));
        assert_eq!(told(lists.as_bytes()), "body: must be nested at most 64 levels deep");
    }

    #[test]
    fn bytes_that_are_no_json_object_are_told_apart() {
        assert_eq!(told(b"{\"name\": \"a\xff\"}"), "body: is not UTF-8 from byte 11 on");
        assert_eq!(told(b"[1]"), "body: must be a JSON object");
        assert!(told(b"{\"name\":").starts_with("body: is not valid JSON: EOF"));
        assert!(told(b"{} {}").starts_with("body: is not valid JSON: trailing characters"));
        assert!(told(br#"{"a": "\ud800"}"#).starts_with("body: is not valid JSON"));
        assert!(told(br#"{"a": 1e999}"#).starts_with("body: is not valid JSON"));
    }

    #[test]
    fn what_is_taken_reads_as_the_library_reads_it() {
        let text = r#"{"n": null, "t": true, "i": -7, "u": 18446744073709551615, "f": 87.505, "e": 1e-7, "s": "\u00e9\n", "l": [[], {}, "x"]}"#;
        let Ok(Value::Object(expected)) = serde_json::from_str(text) else {
            panic!("not an object")
        };
        assert_eq!(object(text.as_bytes()), Ok(expected));
    }
}
