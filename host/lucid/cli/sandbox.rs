use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;
use lucid_sandbox::{Sandbox, SandboxConfig};

use crate::{
    cli::{interrupted, logs, out, runtime, warn_of_loose},
    private,
};

/// Runs the stand-in by itself; point a service with RAIL=sandbox at it by TRON_PAYMENT_URL and
/// BLOCKCHAIN_URL. Below /blockchain-core it is a chain of that profile.
#[derive(Args)]
pub struct SandboxArgs {
    /// A loopback address; port 0 picks a free one.
    #[arg(long, default_value = "127.0.0.1:8085")]
    listen: SocketAddr,
    /// Where its record is kept.
    #[arg(long, default_value = "sandbox-data")]
    data: PathBuf,
    /// Milliseconds from acceptance to confirmation.
    #[arg(long, default_value_t = 2_000)]
    confirm_ms: u64,
    /// Milliseconds from one block to the next.
    #[arg(long, default_value_t = 3_000)]
    block_ms: u64,
    /// Let it be told to misbehave.
    #[arg(long)]
    faults: bool,
}

pub fn run(args: SandboxArgs) -> Result<ExitCode> {
    private::create_private();
    logs("warn", false);
    warn_of_loose(&args.data);
    runtime(1)?.block_on(async move {
        let interrupted = interrupted()?;
        let sandbox = Sandbox::start(SandboxConfig {
            listen: args.listen,
            data_dir: args.data,
            confirm_delay: Duration::from_millis(args.confirm_ms),
            block_interval: Duration::from_millis(args.block_ms),
            faults_allowed: args.faults,
        })?;
        // Who closed standard output does not want to know.
        let _ = out::say(format_args!("sandbox: {}", sandbox.url()));
        interrupted.await;
        sandbox.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}
