//! Configuration: flag > environment > file > default. An unknown key is an error that names it.

mod coordination;
mod egress;
mod environment;
mod reading;
mod sections;
mod server;
mod settings;
mod telemetry;
mod tracing;
mod values;
mod webhooks;

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use coordination::Coordination;
pub use egress::EgressSettings;
pub use environment::{ignored_by_up, service_links, text as variable};
pub use sections::{
    ApprovalWord, Audit, Auth, Chain, Limits, Payouts, Policies, Rail, RailKind, Scoring, Store,
    TrustWord,
};
pub use server::ServerSection;
pub use settings::{From, Setting, settings};
pub use telemetry::Telemetry;
pub use tracing::Tracing;
pub use webhooks::Webhooks;

use crate::{family, trust};

/// Everything that can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerSection,
    pub store: Store,
    pub auth: Auth,
    pub limits: Limits,
    pub scoring: Scoring,
    pub payouts: Payouts,
    pub rail: Rail,
    pub chain: Chain,
    pub policies: Policies,
    pub audit: Audit,
    pub coordination: Coordination,
    pub telemetry: Telemetry,
    pub tracing: Tracing,
    pub webhooks: Webhooks,
    pub egress: EgressSettings,
}

/// A configuration that cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(pub String);

/// What the command line says; stronger than everything else.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub file: Option<PathBuf>,
    pub data: Option<PathBuf>,
    pub port: Option<u16>,
}

impl Config {
    /// Reads the configuration of `lucid serve`.
    pub fn serve(flags: &Flags) -> Result<Self, ConfigError> {
        Self::read(Figment::from(Serialized::defaults(Self::default())), flags, false)
    }

    /// Reads the configuration of `lucid up`: other defaults, shorter periods, and the sandbox
    /// whatever is set.
    pub fn up(flags: &Flags) -> Result<Self, ConfigError> {
        let base = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::string(include_str!("config/up.toml")));
        let mut config = Self::read(base, flags, true)?;
        config.rail = Rail { kind: RailKind::Sandbox, url: None, token_file: None, ..config.rail };
        config.chain.url = None;
        (config.auth.gateway_url, config.auth.jwks_url) = (None, None);
        Ok(config)
    }

    fn read(base: Figment, flags: &Flags, up: bool) -> Result<Self, ConfigError> {
        let mut figment = base;
        let file = flags.file.clone().or_else(default_file);
        if let Some(file) = &file {
            if !file.exists() {
                return Err(ConfigError(format!("{} is not there", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let mut variables = Vec::new();
        for environment::Variable { name, key, value } in environment::values(up)? {
            figment = figment.merge((key.clone(), value));
            variables.push((key, name));
        }
        let mut config: Self =
            figment.extract().map_err(|error| reading::unreadable(error, &variables))?;
        if let Some(data) = &flags.data {
            // The store's URL is text, and another folder must not be taken for it.
            let data = data.to_str().ok_or_else(|| {
                ConfigError(format!("--data {}: is not UTF-8: rename the folder", data.display()))
            })?;
            config.store.data_dir = data.into();
            // A server that is named stays the store; the folder is then for files alone.
            if config.folder().is_some() {
                config.store.url = format!("sqlite://{data}");
            }
        }
        let beside =
            file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(trust::FILE);
        if config.policies.trusted_keys_file.is_none() && beside.exists() {
            config.policies.trusted_keys_file = Some(beside);
        }
        config.server.port = flags.port.unwrap_or(config.server.port);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        // The URL itself may have a password in it.
        if !["sqlite://", "mongodb://", "mongodb+srv://", "memory://"]
            .iter()
            .any(|scheme| self.store.url.starts_with(scheme))
        {
            return wrong("store.url (MONGODB_URI): must begin with sqlite://, mongodb:// or mongodb+srv://, or be memory://".into());
        }
        if !(1..=65_536).contains(&self.store.cache_mib) {
            return wrong(format!(
                "store.cache_mib: {} is not from 1 to 65536",
                self.store.cache_mib
            ));
        }
        if self.store.free_min_mib > 1 << 20 {
            return wrong(format!(
                "store.free_min_mib: {} is more than 1048576 (1 TiB)",
                self.store.free_min_mib
            ));
        }
        family::configured(self)?;
        self.check_server()?;
        self.check_values().map_err(ConfigError)?;
        if self.audit.seal_interval_s == 0 {
            return wrong("audit.seal_interval_s has to be at least 1".into());
        }
        for (name, seconds) in [
            ("scoring.epoch_s", self.scoring.epoch_s),
            ("payouts.settlement_s", self.payouts.settlement_s),
        ] {
            lucid_model::epochs::epoch::PeriodLength::new(seconds)
                .map_err(|error| ConfigError(format!("{name}: {error}")))?;
        }
        if !self.payouts.settlement_s.is_multiple_of(self.scoring.epoch_s) {
            return wrong(format!(
                "payouts.settlement_s ({}) has to be a multiple of scoring.epoch_s ({})",
                self.payouts.settlement_s, self.scoring.epoch_s
            ));
        }
        if self.scoring.mass_outage_percent > 100 {
            return wrong(format!(
                "scoring.mass_outage_percent: {} is more than 100",
                self.scoring.mass_outage_percent
            ));
        }
        self.coordination.check().map_err(ConfigError)?;
        self.tracing.check().map_err(ConfigError)?;
        self.telemetry.check().map_err(ConfigError)?;
        self.webhooks.check().map_err(ConfigError)?;
        self.egress.build()?;
        trust::list(&self.policies)?;
        self.check_access().map_err(ConfigError)
    }

    /// Whether somebody's token could be checked: `lucid up` makes a secret, `lucid serve` needs to
    /// be told.
    pub fn check_tokens(&self) -> Result<(), ConfigError> {
        if self.auth.jwt_secret.is_some()
            || self.auth.jwt_secret_file.is_some()
            || self.auth.jwks().is_some()
        {
            return Ok(());
        }
        let text = "neither JWT_SECRET (or JWT_SECRET_FILE) nor API_GATEWAY_URL is set: nobody's token could be checked, and there is no default secret";
        Err(ConfigError(text.into()))
    }

    fn check_access(&self) -> Result<(), String> {
        let (auth, limits) = (&self.auth, &self.limits);
        let whole_numbers = [
            ("auth.jwks_timeout_ms", u64::from(auth.jwks_timeout_ms)),
            ("auth.jwks_refresh_s", u64::from(auth.jwks_refresh_s)),
            ("auth.jwks_gap_s", u64::from(auth.jwks_gap_s)),
            ("auth.jwks_age_max_s", u64::from(auth.jwks_age_max_s)),
            ("limits.registrations_burst", u64::from(limits.registrations_burst)),
            ("limits.parties_max", u64::try_from(limits.parties_max).unwrap_or(u64::MAX)),
        ];
        match whole_numbers.into_iter().find(|(_, number)| *number == 0) {
            Some((name, _)) => Err(format!("{name}: must be at least 1")),
            None => Ok(()),
        }
    }

    fn check_server(&self) -> Result<(), ConfigError> {
        let server = &self.server;
        let least_one = [
            ("request_time_max_s", server.request_time_max_s),
            ("head_time_max_s", server.head_time_max_s),
            ("idle_time_max_s", server.idle_time_max_s),
            ("stall_time_max_s", server.stall_time_max_s),
            ("tls_handshake_time_max_s", server.tls_handshake_time_max_s),
            ("connections_max", server.connections_max as u64),
            ("headers_max", server.headers_max as u64),
            ("http2_streams_max", u64::from(server.http2_streams_max)),
        ];
        if let Some((name, _)) = least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError(format!("server.{name} is 0, and has to be at least 1")));
        }
        match (&server.tls_cert_file, &server.tls_key_file) {
            (Some(cert), None) => Err(ConfigError(format!(
                "server.tls_cert_file {} needs server.tls_key_file, which is not set",
                cert.display()
            ))),
            (None, Some(key)) => Err(ConfigError(format!(
                "server.tls_key_file {} needs server.tls_cert_file, which is not set",
                key.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Where files are kept: the store's folder if it is one.
    pub fn data_dir(&self) -> &Path {
        self.folder().unwrap_or(&self.store.data_dir)
    }

    /// Where state is kept, for people.
    pub fn store_shown(&self) -> String {
        match self.folder() {
            Some(folder) => format!("{} (SQLite)", folder.display()),
            None if self.is_in_memory() => "memory, and gone at the end".to_owned(),
            None => "MongoDB".to_owned(),
        }
    }

    /// Whether nothing is kept.
    pub fn is_in_memory(&self) -> bool {
        self.store.url.starts_with("memory://")
    }

    /// The store's folder, if it is one.
    fn folder(&self) -> Option<&Path> {
        self.store.url.strip_prefix("sqlite://").map(Path::new)
    }
}

fn default_file() -> Option<PathBuf> {
    let file = PathBuf::from("lucid.toml");
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_keys_beside_the_configuration_file_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let (file, keys) = (dir.path().join("lucid.toml"), dir.path().join(trust::FILE));
        std::fs::write(&file, "[policies]\nthreads = 1\n").unwrap();
        let read = || Config::serve(&Flags { file: Some(file.clone()), ..Flags::default() });
        assert_eq!(read().unwrap().policies.trusted_keys_file, None);
        std::fs::create_dir(keys.parent().unwrap()).unwrap();
        std::fs::write(&keys, "[trusted_keys]\n").unwrap();
        let policies = read().unwrap().policies;
        assert_eq!(
            (policies.trusted_keys_file, policies.require_signed),
            (Some(keys.clone()), true)
        );
        std::fs::write(&keys, "[trusted_keys]\nalice = 7\n").unwrap();
        assert!(read().unwrap_err().to_string().contains("trusted-keys.toml"));
    }
}
