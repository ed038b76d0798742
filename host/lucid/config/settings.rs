//! Every setting as it is in force, and who said so.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{Config, ConfigError, Flags, default_file, environment};

/// Who said what a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// Nobody.
    Default,
    /// The configuration file.
    File,
    /// A variable.
    Environment,
    /// The command line.
    Flag,
}

/// One setting.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// As it is in force; of a secret only that there is one.
    pub value: Value,
    /// Who said so.
    pub from: From,
}

/// What would be shown of a secret.
const HIDDEN: &str = "(secret)";
/// Keys whose values are secrets.
pub(super) const SECRETS: [&str; 3] =
    ["auth.jwt_secret", "auth.jwt_secret_previous", "store.seal_keys"];

/// Every setting of a configuration that was read with these flags.
pub fn settings(config: &Config, flags: &Flags) -> Result<Vec<Setting>, ConfigError> {
    let variables: BTreeSet<String> =
        environment::values(false)?.into_iter().map(|variable| variable.key).collect();
    let file = flags
        .file
        .clone()
        .or_else(default_file)
        .and_then(|file| std::fs::read_to_string(file).ok())
        .unwrap_or_default();
    let file: toml::Table = file.parse().unwrap_or_default();
    let flagged = [("store.data_dir", flags.data.is_some()), ("server.port", flags.port.is_some())];
    let whole = serde_json::to_value(config).map_err(|error| ConfigError(error.to_string()))?;
    let mut settings = Vec::new();
    for (section, values) in whole.as_object().into_iter().flatten() {
        for (key, value) in values.as_object().into_iter().flatten() {
            let name = format!("{section}.{key}");
            let from = if flagged.contains(&(name.as_str(), true)) {
                From::Flag
            } else if variables.contains(&name) {
                From::Environment
            } else if file.get(section).and_then(|section| section.get(key)).is_some() {
                From::File
            } else {
                From::Default
            };
            settings.push(Setting { value: shown(&name, value), key: name, from });
        }
    }
    Ok(settings)
}

fn shown(name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if SECRETS.contains(&name) => HIDDEN.into(),
        // The part of a URL that may be a password.
        Value::String(text) => match text
            .split_once("://")
            .and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1)))
        {
            Some((scheme, place)) => format!("{scheme}://…@{place}").into(),
            None => value.clone(),
        },
        _ => value.clone(),
    }
}
