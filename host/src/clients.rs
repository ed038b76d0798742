//! The clients of the payment service and of the blockchain service, as the configuration wants them.

use std::{path::Path, time::Duration};

use anyhow::Result;
use lucid_rails::{ChainClient, ChainConfig, ChainProfile, Profile, TronPayment, TronPaymentConfig};

use crate::{
    config::{Config, ConfigError, RailKind},
    stamp,
};

/// The payment service's client, for a service at this address.
///
/// # Errors
/// A profile that there is not, a token that cannot be read, TLS that cannot be set up.
pub fn payment(config: &Config, base_url: String, timeout: Duration) -> Result<TronPayment> {
    let profile = if config.rail.kind == RailKind::Sandbox { Profile::SANDBOX } else { stamp::profile(config)? };
    let token = secret("rail.token_file", config.rail.token_file.as_deref())?;
    Ok(TronPayment::new(TronPaymentConfig { base_url, token, timeout, profile })?)
}

/// The blockchain service's client; `sandbox` is the sandbox's address, where that is used. None if neither is named.
///
/// # Errors
/// A profile that there is not, a token or key that cannot be read, TLS that cannot be set up.
pub fn chain(config: &Config, sandbox: Option<String>, timeout: Duration) -> Result<Option<ChainClient>> {
    let of = &config.chain;
    let profile = chain_profile(config)?;
    let (token, api_key) = (secret("chain.token_file", of.token_file.as_deref())?, secret("chain.api_key_file", of.api_key_file.as_deref())?);
    let config = match (of.url.clone(), sandbox) {
        (Some(base_url), _) => ChainConfig { base_url, token, api_key, timeout, profile },
        // The sandbox speaks the default shape there, and the live service's secrets are not for it.
        (None, Some(base_url)) => ChainConfig { base_url, token: None, api_key: None, timeout, profile: ChainProfile::LUCID },
        (None, None) => return Ok(None),
    };
    Ok(Some(ChainClient::new(config)?))
}

fn chain_profile(config: &Config) -> Result<ChainProfile, ConfigError> {
    let names = || ChainProfile::ALL.map(|profile| profile.name).join(", ");
    let wrong = || ConfigError(format!("chain.profile: {:?} is not one of {}", config.chain.profile, names()));
    ChainProfile::named(&config.chain.profile).ok_or_else(wrong)
}

/// What a file of one secret holds.
fn secret(key: &str, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError(format!("{key} {}: {error}", file.display())))?;
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(ConfigError(format!("{key} {}: must hold one line of ASCII text, and nothing else", file.display())));
    }
    Ok(Some(text.to_owned()))
}
