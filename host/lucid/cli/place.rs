//! Which store a command reads.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lucid_store::OpenError;

use crate::config::{Config, ConfigError, Flags};

/// Which store is read.
#[derive(Args)]
pub struct Place {
    /// The folder of the store; of a store in MongoDB (MONGODB_URI), the folder of its service's
    /// secrets.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The store's URL, sqlite://DIR or mongodb://HOST/DATABASE, in place of the one that is
    /// configured.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A configuration file instead of lucid.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The store's URL, and the folder with its service's secrets.
    pub fn find(&self) -> Result<(String, PathBuf)> {
        let mut config = Config::serve(&Flags {
            file: self.config.clone(),
            data: self.data.clone(),
            port: None,
        })?;
        if let Some(store) = &self.store {
            config.store.url.clone_from(store);
        }
        let secrets = config.data_dir().join("secrets");
        if let Some(dir) = config.store.url.strip_prefix("sqlite://")
            && !PathBuf::from(dir).join("core.db").is_file()
        {
            return Err(ConfigError(format!(
                "{dir} is not the folder of a store: it has no core.db"
            ))
            .into());
        }
        Ok((config.store.url, secrets))
    }
}

/// What is opened; a URL or a schema that cannot be read is the operator's to mend.
pub fn opened<T>(found: Result<T, OpenError>) -> Result<T> {
    found.map_err(|error| match error {
        OpenError::OlderSchema { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::MongoNewerSchema { .. }
        | OpenError::MongoUrl { .. }
        | OpenError::LogBeside { .. }
        | OpenError::Scheme { .. }
        | OpenError::NotAUrl { .. } => {
            ConfigError(format!("{:#}", anyhow::Error::from(error))).into()
        }
        other => other.into(),
    })
}
