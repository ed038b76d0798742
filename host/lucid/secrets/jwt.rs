//! What tokens are signed with: the secret that counts, and the one before while it is rotated.

use std::{fs, path::Path, sync::Arc};

use anyhow::Result;
use lucid_api::{Api, TokenSecrets};
use lucid_model::fleet::challenge::ChallengeKey;

use super::{secret, watched::Watched};
use crate::config::{Auth, Config, ConfigError};

/// Reads the secrets: from the configuration or the files it names, else one that is made here,
/// unless only the gateway signs.
pub fn secrets(config: &Config, data: &Path) -> Result<TokenSecrets> {
    let (auth, dir) = (&config.auth, data.join("secrets"));
    let from_file = |setting: &str, file: &Path| {
        fs::read_to_string(file)
            .map(|text| text.trim().to_owned())
            .map_err(|error| ConfigError(format!("auth.{setting} {}: {error}", file.display())))
    };
    let first = match (&auth.jwt_secret, &auth.jwt_secret_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => Some(from_file("jwt_secret_file", file)?),
        (None, None) if auth.jwks().is_some() => None,
        // `lucid up` makes one; `lucid serve` checked before that there is one, or a gateway.
        (None, None) => Some(secret(&dir, "jwt")?),
    };
    let previous = match (&auth.jwt_secret_previous, &auth.jwt_secret_previous_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => Some(from_file("jwt_secret_previous_file", file)?),
        (None, None) => None,
    };
    let of_nodes = if first.is_none() { Some(secret(&dir, "node-token")?) } else { None };
    Ok(of(first.as_deref(), previous.as_deref(), of_nodes.as_deref()))
}

fn of(first: Option<&str>, previous: Option<&str>, of_nodes: Option<&str>) -> TokenSecrets {
    // A previous secret that is empty is none, so that its file may be there before and after a
    // rotation.
    let shared: Vec<_> = first
        .into_iter()
        .chain(previous.filter(|text| !text.is_empty()))
        .map(str::to_owned)
        .collect();
    let nodes = of_nodes.map_or_else(|| shared.clone(), |secret| vec![secret.to_owned()]);
    TokenSecrets { shared, nodes }
}

/// What challenges are sealed with, and what opens them.
pub fn challenge_keys(secrets: &TokenSecrets) -> Vec<ChallengeKey> {
    secrets.nodes.iter().map(|secret| ChallengeKey::of_secret(secret)).collect()
}

/// The files among them; each change of one reads both.
pub fn watched(auth: &Auth, api: &Arc<Api>) -> Option<Watched> {
    let by_file = (auth.jwt_secret.is_none(), auth.jwt_secret_previous.is_none());
    let first = auth.jwt_secret_file.clone().filter(|_| by_file.0);
    let previous = auth.jwt_secret_previous_file.clone().filter(|_| by_file.1);
    let fixed = (auth.jwt_secret.clone(), auth.jwt_secret_previous.clone());
    let (has_first, paths) =
        (first.is_some(), first.into_iter().chain(previous).collect::<Vec<_>>());
    // With the gateway's keys and no secret, tokens of nodes have a key of their own, which nobody
    // rotates.
    if paths.is_empty() || (!has_first && fixed.0.is_none()) {
        return None;
    }
    let api = Arc::clone(api);
    let take = move |texts: &[String]| {
        let mut read = texts.iter().map(|text| text.trim());
        let first = if has_first { read.next() } else { fixed.0.as_deref() };
        let previous = read.next().or(fixed.1.as_deref());
        let secrets = of(first, previous, None);
        api.auth.replace(&secrets).map_err(|error| error.to_string())?;
        api.service.fleet.replace_challenge_keys(challenge_keys(&secrets));
        Ok(())
    };
    Some(Watched::new("auth.jwt_secret_file, auth.jwt_secret_previous_file", paths, Box::new(take)))
}
