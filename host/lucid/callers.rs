//! Who counts as whom: where tokens name roles, and who may have the measurements.

use anyhow::Result;
use lucid_api::{RolesClaim, Scraping};

use crate::{
    config::{Config, ConfigError},
    secrets::watched::Watched,
};

/// The setting of the monitoring's token.
const METRICS_TOKEN: &str = "server.metrics_token_file";
/// Shortest token of the monitoring, in bytes.
const METRICS_TOKEN_BYTES_MIN: usize = 16;

/// Who may have the measurements.
pub fn scraping(config: &Config) -> Result<Scraping> {
    let server = &config.server;
    let Some(file) = server.metrics_token_file.as_ref().filter(|_| !server.metrics_open) else {
        return Ok(if server.metrics_open { Scraping::Open } else { Scraping::Callers });
    };
    let wrong =
        |problem: String| ConfigError(format!("{METRICS_TOKEN} {}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    Ok(Scraping::with_token(metrics_token(&text).map_err(wrong)?))
}

fn metrics_token(text: &str) -> Result<&str, String> {
    let token = text.trim();
    if token.len() < METRICS_TOKEN_BYTES_MIN {
        return Err(format!(
            "the token has {} bytes, {METRICS_TOKEN_BYTES_MIN} are needed: make a longer one",
            token.len()
        ));
    }
    Ok(token)
}

/// The file of the monitoring's token, whose changes count at once.
pub fn watched(config: &Config, scraping: &Scraping) -> Option<Watched> {
    let file = config.server.metrics_token_file.clone().filter(|_| !config.server.metrics_open)?;
    let scraping = scraping.clone();
    let take = move |texts: &[String]| {
        scraping.replace_token(metrics_token(texts.first().map_or("", String::as_str))?);
        Ok(())
    };
    Some(Watched::new(METRICS_TOKEN, vec![file], Box::new(take)))
}

/// Where tokens name roles.
pub fn roles_claim(config: &Config) -> Result<RolesClaim> {
    let path = config.auth.jwt_roles_claim.as_deref().unwrap_or_default();
    let is_path = path.is_empty() || path.split('.').all(|name| !name.is_empty());
    if is_path {
        Ok(RolesClaim::at(path))
    } else {
        Err(ConfigError(format!("auth.jwt_roles_claim {path:?}: a name is missing between dots"))
            .into())
    }
}
