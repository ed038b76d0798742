//! Which fields of a body a request knows: those that it looks at.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::nearest;

/// Which values of a body were looked at, by their full names.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) read: BTreeSet<String>,
    /// Objects whose own fields were.
    pub(super) opened: BTreeSet<String>,
}

impl Seen {
    /// The first field of an object at `path`, or of one in it, that was not.
    pub(super) fn unknown(&self, path: &str, map: &Map<String, Value>) -> Option<String> {
        map.iter().find_map(|(key, value)| {
            let name = named(path, key);
            if self.read.contains(&name) { self.unknown_in(&name, value) } else { Some(name) }
        })
    }

    /// Which field beside an unknown one was meant by it.
    pub(super) fn meant_by(&self, name: &str) -> Option<&str> {
        let (path, given) = name.rsplit_once('.').unwrap_or(("", name));
        let beside = self
            .read
            .iter()
            .map(String::as_str)
            .filter(|known| known.rsplit_once('.').map_or("", |(path, _)| path) == path);
        nearest(given, beside.map(|known| known.rsplit_once('.').map_or(known, |(_, key)| key)))
    }

    fn unknown_in(&self, name: &str, value: &Value) -> Option<String> {
        match value {
            Value::Object(map) if self.opened.contains(name) => self.unknown(name, map),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(place, item)| self.unknown_in(&format!("{name}[{place}]"), item)),
            _ => None,
        }
    }
}

pub(super) fn named(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
