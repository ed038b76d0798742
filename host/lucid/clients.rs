//! The clients of the payment service and of the blockchain service, as the configuration wants
//! them.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use lucid_chain::{ChainClient, ChainConfig, ChainProfile};
use lucid_egress::SharedSecret;
use lucid_payments::{Profile, TronPayment, TronPaymentConfig};

use crate::{
    config::{Config, ConfigError, RailKind},
    secrets::watched::{Watched, one_line, one_line_of},
    stamp,
};

/// What those services know us by, from files.
#[derive(Debug, Clone)]
pub struct Credentials {
    payment_token: Option<Credential>,
    chain_token: Option<Credential>,
    chain_api_key: Option<Credential>,
}

#[derive(Debug, Clone)]
struct Credential {
    setting: &'static str,
    file: PathBuf,
    secret: SharedSecret,
}

impl Credentials {
    /// Reads the files that are configured.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and the file.
    pub fn read(config: &Config) -> Result<Self, ConfigError> {
        let read = |setting: &'static str, file: &Option<PathBuf>| {
            let Some(file) = file.clone() else { return Ok(None) };
            let text = one_line_of(&file).map_err(|problem| {
                ConfigError(format!("{setting} {}: {problem}", file.display()))
            })?;
            Ok(Some(Credential { setting, file, secret: text.into() }))
        };
        Ok(Self {
            payment_token: read("rail.token_file", &config.rail.token_file)?,
            chain_token: read("chain.token_file", &config.chain.token_file)?,
            chain_api_key: read("chain.api_key_file", &config.chain.api_key_file)?,
        })
    }

    /// The files, whose changes the clients use at once.
    pub fn watched(&self) -> impl Iterator<Item = Watched> + '_ {
        [&self.payment_token, &self.chain_token, &self.chain_api_key].into_iter().flatten().map(
            |of| {
                let secret = of.secret.clone();
                let take = move |texts: &[String]| {
                    secret.set(one_line(texts.first().map_or("", String::as_str))?);
                    Ok(())
                };
                Watched::new(of.setting, vec![of.file.clone()], Box::new(take))
            },
        )
    }
}

fn secret(of: &Option<Credential>) -> Option<SharedSecret> {
    of.as_ref().map(|of| of.secret.clone())
}

/// The payment service's client, for a service at this address.
///
/// # Errors
/// A profile that there is not, TLS that cannot be set up.
pub fn payment(
    config: &Config,
    credentials: &Credentials,
    base_url: String,
    timeout: Duration,
) -> Result<TronPayment> {
    let profile = if config.rail.kind == RailKind::Sandbox {
        Profile::SANDBOX
    } else {
        stamp::profile(config)?
    };
    let token = secret(&credentials.payment_token);
    Ok(TronPayment::new(TronPaymentConfig {
        base_url,
        token,
        timeout,
        egress: config.egress.build()?,
        profile,
    })?)
}

/// The blockchain service's client; `sandbox` is the sandbox's address, where that is used. None if
/// neither is named.
///
/// # Errors
/// A profile that there is not, TLS that cannot be set up.
pub fn chain(
    config: &Config,
    credentials: &Credentials,
    sandbox: Option<String>,
    timeout: Duration,
) -> Result<Option<ChainClient>> {
    let profile = chain_profile(config)?;
    let (token, api_key, egress) = (
        secret(&credentials.chain_token),
        secret(&credentials.chain_api_key),
        config.egress.build()?,
    );
    let config = match (config.chain.url.clone(), sandbox) {
        (Some(base_url), _) => ChainConfig { base_url, token, api_key, timeout, egress, profile },
        // The sandbox speaks the default shape there, and the live service's secrets are not for
        // it.
        (None, Some(base_url)) => ChainConfig {
            base_url,
            token: None,
            api_key: None,
            timeout,
            egress,
            profile: ChainProfile::LUCID,
        },
        (None, None) => return Ok(None),
    };
    Ok(Some(ChainClient::new(config)?))
}

fn chain_profile(config: &Config) -> Result<ChainProfile, ConfigError> {
    let names = || ChainProfile::ALL.map(|profile| profile.name).join(", ");
    let wrong = || {
        ConfigError(format!("chain.profile: {:?} is not one of {}", config.chain.profile, names()))
    };
    ChainProfile::named(&config.chain.profile).ok_or_else(wrong)
}
