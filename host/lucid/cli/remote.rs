use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use lucid_client::Client;

use crate::{cli::ca_pem, config::ConfigError};

/// The service that a command talks to, and as whom.
#[derive(Args)]
pub struct Remote {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8095", global = true)]
    server: String,
    /// A file that holds the bearer token.
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for an https service, in place of those that this machine
    /// trusts.
    #[arg(long, value_name = "PEM", global = true)]
    ca_file: Option<PathBuf>,
}

impl Remote {
    /// A client with the token.
    pub fn client(&self) -> Result<Client> {
        let file = self
            .token_file
            .as_ref()
            .ok_or_else(|| ConfigError("name the file of a token with --token-file".into()))?;
        let token = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Client::new(&self.server, ca_pem(self.ca_file.as_deref())?.as_deref())?
            .with_token(token.trim()))
    }
}
