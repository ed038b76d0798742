use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;

use super::runtime;

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a running service whether it is ready: what a container's health check calls.
#[derive(Args)]
pub struct HealthArgs {
    /// The service.
    #[arg(long, default_value = "http://127.0.0.1:8095")]
    server: String,
}

pub fn run(args: HealthArgs) -> Result<ExitCode> {
    // A container may have no certificates, and plain HTTP to itself needs none.
    let builder = if args.server.starts_with("http://") { reqwest::Client::builder().tls_certs_only([]) } else { reqwest::Client::builder() };
    let client = builder.timeout(TIMEOUT).no_proxy().build()?;
    let url = format!("{}/readyz", args.server.trim_end_matches('/'));
    let (status, text) = runtime(1)?.block_on(async {
        let response = client.get(url).send().await?;
        anyhow::Ok((response.status(), response.text().await?))
    })?;
    println!("{text}");
    Ok(if status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
