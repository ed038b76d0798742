//! `active.toml`: what an operator wants to be active.

use anyhow::{Result, anyhow};
use lucid_model::policies::{ParamValues, PolicyKind};
use lucid_service::{NamedActivation, Start};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveFile {
    #[serde(default)]
    activate: Vec<ActiveEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveEntry {
    kind: String,
    name: String,
    version: String,
    #[serde(default = "default_scope")]
    scope: String,
    #[serde(default)]
    params: ParamValues,
    #[serde(default)]
    start: Option<String>,
}

fn default_scope() -> String {
    "default".into()
}

/// Reads `active.toml`.
pub fn parse(text: &str) -> Result<Vec<NamedActivation>> {
    let file: ActiveFile = toml::from_str(text)?;
    let named = |entry: ActiveEntry| {
        Ok(NamedActivation {
            kind: PolicyKind::from_name(&entry.kind).ok_or_else(|| {
                anyhow!("kind {:?}: must be scoring, validation or payout", entry.kind)
            })?,
            scope: entry
                .scope
                .parse()
                .map_err(|_| anyhow!("scope {:?}: must be default or a pool's id", entry.scope))?,
            start: entry
                .start
                .as_deref()
                .map_or(Some(Start::Now), Start::from_name)
                .ok_or_else(|| anyhow!("start: must be now or next_period"))?,
            name: entry.name,
            version: entry.version,
            params: entry.params,
        })
    };
    file.activate.into_iter().map(named).collect()
}
