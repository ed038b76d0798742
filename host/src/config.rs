//! Configuration: flag > environment > file > default. An unknown key is an error that names it.

mod environment;
mod sections;

use std::path::{Path, PathBuf};

use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub use environment::ignored_by_up;
pub use sections::{ApprovalWord, Audit, Auth, Chain, Payouts, Policies, Rail, RailKind, Scoring, ServerSection, Store, TrustWord};

/// Everything that can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: ServerSection,
    pub store: Store,
    pub auth: Auth,
    pub scoring: Scoring,
    pub payouts: Payouts,
    pub rail: Rail,
    pub chain: Chain,
    pub policies: Policies,
    pub audit: Audit,
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

    /// Reads the configuration of `lucid up`: other defaults, shorter periods, and the sandbox whatever is set.
    pub fn up(flags: &Flags) -> Result<Self, ConfigError> {
        let base = Figment::from(Serialized::defaults(Self::default())).merge(Toml::string(include_str!("config/up.toml")));
        let mut config = Self::read(base, flags, true)?;
        config.rail = Rail { kind: RailKind::Sandbox, url: None, token_file: None, ..config.rail };
        config.chain.url = None;
        Ok(config)
    }

    fn read(base: Figment, flags: &Flags, up: bool) -> Result<Self, ConfigError> {
        let mut figment = base;
        if let Some(file) = flags.file.clone().or_else(default_file) {
            if !file.exists() {
                return Err(ConfigError(format!("{} is not there", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        for (key, value) in environment::values(up)? {
            figment = figment.merge((key, value));
        }
        let mut config: Self = figment.extract().map_err(|error| ConfigError(error.to_string().replace('\n', " ")))?;
        if let Some(data) = &flags.data {
            config.store.url = format!("sqlite://{}", data.display());
        }
        config.server.port = flags.port.unwrap_or(config.server.port);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        if !self.store.url.starts_with("sqlite://") {
            return wrong(format!("store.url {:?}: only sqlite:// is built in yet", self.store.url));
        }
        if self.audit.seal_interval_s == 0 {
            return wrong("audit.seal_interval_s has to be at least 1".into());
        }
        for (name, seconds) in [("scoring.epoch_s", self.scoring.epoch_s), ("payouts.settlement_s", self.payouts.settlement_s)] {
            lucid_model::epoch::PeriodLength::new(seconds).map_err(|error| ConfigError(format!("{name}: {error}")))?;
        }
        if !self.payouts.settlement_s.is_multiple_of(self.scoring.epoch_s) {
            return wrong(format!(
                "payouts.settlement_s ({}) has to be a multiple of scoring.epoch_s ({})",
                self.payouts.settlement_s, self.scoring.epoch_s
            ));
        }
        Ok(())
    }

    /// Where state is kept.
    pub fn data_dir(&self) -> &Path {
        Path::new(self.store.url.strip_prefix("sqlite://").unwrap_or(&self.store.url))
    }
}

fn default_file() -> Option<PathBuf> {
    let file = PathBuf::from("lucid.toml");
    file.exists().then_some(file)
}
