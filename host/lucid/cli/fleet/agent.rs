mod status;

use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, Subcommand};
use lucid_agent::{AgentConfig, AgentEvent, CredentialFile};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{ca_pem, duration, interrupted, logs, warn_of_loose},
    config::ConfigError,
    private,
};

/// Measures this machine and reports it, signed.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub struct AgentArgs {
    #[command(subcommand)]
    command: Option<AgentCommand>,
    #[command(flatten)]
    run: Option<RunArgs>,
}

const EXAMPLES: &str = "\
Examples:
  lucid agent --server https://nodes.example.org --ip 203.0.113.9 --enrolment-token-file rack7.token --data /var/lib/lucid-agent
  lucid agent status --data /var/lib/lucid-agent";

#[derive(Subcommand)]
enum AgentCommand {
    /// Say how the agent of a folder is, whether it runs or not: exit 0 fine, 1 late or failing, 2
    /// not running.
    Status(status::StatusArgs),
}

#[derive(Args)]
struct RunArgs {
    /// The service, e.g. http://10.0.0.5:8095 or https://nodes.example.org.
    #[arg(long)]
    server: String,
    /// Certificates (PEM) that vouch for an https service, in place of those that this machine
    /// trusts.
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Where others reach this machine.
    #[arg(long)]
    ip: IpAddr,
    /// On which port, 1024–65535.
    #[arg(long, default_value_t = 9095, value_parser = clap::value_parser!(u16).range(1024..))]
    port: u16,
    /// The node's name; by default the host's.
    #[arg(long)]
    name: Option<String>,
    /// The agent's own folder: key, identity, samples that wait.
    #[arg(long, default_value = "agent-data")]
    data: PathBuf,
    /// Megabytes of samples that are kept while the service cannot be reached, 1–1024; the oldest
    /// give way.
    #[arg(long, value_name = "MB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    spool_mb: u64,
    /// Samples that are older than this (90s, 5m, 2h) give way, too.
    #[arg(long, value_name = "TIME", default_value = "168h", value_parser = duration)]
    spool_age: Duration,
    /// Time between reports, 1s–60s: the service sees a node as absent after 90s without one.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    interval: Duration,
    /// A file with the owner's token; it or an enrolment token is needed until the node is
    /// registered, and may be removed then.
    #[arg(long, value_name = "FILE")]
    owner_token_file: Option<PathBuf>,
    /// A file with an enrolment token (`lucid enrol create`), in place of the owner's.
    #[arg(long, value_name = "FILE", conflicts_with = "owner_token_file")]
    enrolment_token_file: Option<PathBuf>,
    /// Where the node's earnings go: a TRON address.
    #[arg(long)]
    wallet: Option<String>,
}

pub fn run(args: AgentArgs) -> Result<ExitCode> {
    match (args.command, args.run) {
        (Some(AgentCommand::Status(args)), _) => status::run(&args),
        (None, Some(args)) => work(args),
        (None, None) => Err(ConfigError(
            "name the service with --server and this machine's address with --ip".into(),
        )
        .into()),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    lucid_agent::check_interval(duration(text)?).map_err(|error| error.to_string())
}

fn work(args: RunArgs) -> Result<ExitCode> {
    private::create_private();
    logs("info", true);
    warn_of_loose(&args.data);
    let mut config = AgentConfig::new(args.server, args.ip, args.port, args.data);
    config.ca_pem = ca_pem(args.ca_file.as_deref())?;
    config.interval = args.interval;
    config.spool_bytes_max = args.spool_mb << 20;
    config.spool_age_max = args.spool_age;
    config.wallet = args.wallet;
    config.name = args.name.unwrap_or(config.name);
    let of_owner = args.owner_token_file.map(CredentialFile::Owner);
    config.credential_file = of_owner.or(args.enrolment_token_file.map(CredentialFile::Enrolment));
    let stop = CancellationToken::new();
    let told = |event: AgentEvent| tracing::info!(?event, "agent");
    // One thread is plenty for one machine's reports.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async move {
        let (by_signal, interrupted) = (stop.clone(), interrupted()?);
        tokio::spawn(async move {
            interrupted.await;
            by_signal.cancel();
        });
        anyhow::Ok(lucid_agent::run(config, stop, told).await?)
    })?;
    Ok(ExitCode::SUCCESS)
}
