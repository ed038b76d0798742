//! What is wrong with a configuration that cannot be read: which setting, who set it, what it has
//! to be.

use figment::error::{Actual, Kind};

use super::{ConfigError, settings::SECRETS};

/// The error of reading a configuration, in the words of whoever set it; `variables` are settings
/// that variables set, by key.
pub fn unreadable(error: figment::Error, variables: &[(String, String)]) -> ConfigError {
    let told: Vec<_> = error.into_iter().map(|error| one(&error, variables)).collect();
    ConfigError(told.join("; "))
}

fn one(error: &figment::Error, variables: &[(String, String)]) -> String {
    let mut path = error.path.clone();
    if let Kind::UnknownField(name, _) = &error.kind
        && path.last() != Some(name)
    {
        path.push(name.clone());
    }
    let key = path.join(".");
    let by_variable = variables.iter().find(|(set, _)| *set == key).map(|(_, name)| name.clone());
    let file = error
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.source.as_ref()?.file_path())
        .map(|file| file.display().to_string());
    let place = match by_variable.or(file) {
        Some(place) if key.is_empty() => place,
        Some(place) => format!("{key} ({place})"),
        None => key.clone(),
    };
    let problem = problem(&error.kind, SECRETS.contains(&key.as_str()));
    if place.is_empty() { problem } else { format!("{place}: {problem}") }
}

fn problem(kind: &Kind, secret: bool) -> String {
    let shown =
        |actual: &Actual| if secret { "what is set".to_owned() } else { actual_words(actual) };
    match kind {
        // What the parser of a file says is several lines; the first says where, the last what.
        Kind::Message(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("{} is not {}", shown(actual), expected_words(expected))
        }
        Kind::InvalidLength(length, expected) => format!("has {length} items, not {expected}"),
        Kind::UnknownVariant(word, words) => {
            let word = if secret { "what is set".to_owned() } else { format!("{word:?}") };
            format!("{word} is unknown: must be one of {}", words.join(", "))
        }
        Kind::UnknownField(_, names) => {
            format!("there is no such setting: known are {}", names.join(", "))
        }
        Kind::MissingField(name) => format!("{name} is missing"),
        Kind::DuplicateField(name) => format!("{name} is set twice"),
        Kind::ISizeOutOfRange(number) => format!("{number} is out of range"),
        Kind::USizeOutOfRange(number) => format!("{number} is out of range"),
        Kind::Unsupported(actual) | Kind::UnsupportedKey(actual, _) => {
            format!("{} cannot be set here", shown(actual))
        }
    }
}

fn actual_words(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Char(value) => format!("{value:?}"),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        _ => "what is set".into(),
    }
}

/// serde's names of types, for people.
fn expected_words(expected: &str) -> String {
    let words = match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i64" | "isize" => "a whole number",
        "a string" | "string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table of settings",
        // A path, and what says itself what it is.
        "path string" => "a path",
        other => other,
    };
    words.to_owned()
}
