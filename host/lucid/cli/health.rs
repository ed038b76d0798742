use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::cli::{ca_pem, out, runtime};

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a running service whether it is ready: what a container's health check calls.
#[derive(Args)]
pub struct HealthArgs {
    /// The service; else the one of this machine, on the port that it is told to listen on.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Port of the service of this machine.
    #[arg(long, env = "NODE_MANAGEMENT_PORT", default_value_t = 8095)]
    port: u16,
    /// Certificates (PEM) that vouch for an https service, in place of those that this machine
    /// trusts.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
}

pub fn run(args: HealthArgs) -> Result<ExitCode> {
    let server = args.server.unwrap_or_else(|| format!("http://127.0.0.1:{}", args.port));
    let builder = lucid_client::transport(&server, ca_pem(args.ca_file.as_deref())?.as_deref())?;
    let client = builder.timeout(TIMEOUT).no_proxy().build()?;
    let url = format!("{}/readyz", server.trim_end_matches('/'));
    let (status, text) = runtime(1)?.block_on(async {
        let response = client.get(url).send().await?;
        anyhow::Ok((response.status(), response.text().await?))
    })?;
    out::say(&text)?;
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
