//! The command line, a file for each group of commands.

mod audit;
mod clock;
mod config;
mod doctor;
mod epochs;
mod fleet;
mod health;
mod money;
pub mod out;
mod place;
mod policies;
mod remote;
mod review;
mod sandbox;
mod store;
mod token;
mod upgrade;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    cli::out::Output,
    config::{Config, ConfigError, Flags, Tracing, service_links},
    logs, private,
    traces::{self, Traces},
    up,
};

/// Node management for a network of worker nodes: observation, scores, votes and payouts, with
/// rules in WebAssembly.
#[derive(Parser)]
#[command(name = "lucid", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What ends links of Services.
pub const LINKS_END: &str = "set enableServiceLinks: false in the pod";

const EXAMPLES: &str = "\
Examples:
  lucid up                                     everything on this machine, in the sandbox
  lucid up --for 120s --output json            the same unattended: exit 0 if the whole path ran
  JWT_SECRET_FILE=secret lucid serve --data /var/lib/lucid
  lucid agent --server http://10.0.0.5:8095 --ip 10.0.0.9 --owner-token-file token
  lucid token issue --role admin --ttl 1h
  lucid enrol create --token-file owner.token --name rack-7 --uses 20 > rack7.token
  lucid policy check policies/observation-weighted/1.0.0
  lucid audit verify --data /var/lib/lucid
  lucid status --token-file operator.token
  lucid payout freeze --reason 'a breach' --token-file treasurer.token
  lucid ledger verify --data /var/lib/lucid
  lucid epoch export 1760000400 epoch.lucid --token-file operator.token
  lucid replay epoch.lucid
  lucid store copy sqlite:///var/lib/lucid/ mongodb://db1/lucid
  lucid doctor --data /var/lib/lucid";

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: service, sandbox, an agent, and a live view.
    Up(UpArgs),
    /// Run the service.
    Serve(ServeArgs),
    /// Run a worker's agent.
    Agent(fleet::agent::AgentArgs),
    /// Make enrolment tokens, with which machines join.
    Enrol(fleet::enrol::EnrolArgs),
    /// Mint tokens.
    Token(token::TokenArgs),
    /// Check policies without a server.
    Policy(policies::PolicyArgs),
    /// Read and verify the audit log.
    Audit(audit::AuditArgs),
    /// Say whether money is safe: exit 0 safe, 1 a person should look, 2 stopped.
    Status(review::status::StatusArgs),
    /// Freeze, approve, resolve, verify payouts of a running service; write statements.
    Payout(money::payout::PayoutArgs),
    /// Say whether a running service trusts its clock; accept it.
    Clock(clock::ClockArgs),
    /// Verify the ledger.
    Ledger(money::ledger::LedgerArgs),
    /// Take closed epochs out of a running service.
    Epoch(epochs::epoch::EpochArgs),
    /// Compute scores again and compare: a file of an epoch anywhere, or epochs of a running
    /// service.
    Replay(epochs::replay::ReplayArgs),
    /// Copy what the service keeps into another store, and compare two.
    Store(store::StoreArgs),
    /// Run the stand-in for the payment service and the chain.
    Sandbox(sandbox::SandboxArgs),
    /// Look for what is wrong with the configuration, the store and what the service calls.
    Doctor(doctor::DoctorArgs),
    /// Say whether a service could start with the configuration, and what is in force.
    Config(config::ConfigArgs),
    /// Say what starting this binary's service would do to a store.
    Upgrade(upgrade::UpgradeArgs),
    /// Ask a running service whether it is ready: exit 0 or 1.
    Health(health::HealthArgs),
}

#[derive(Args)]
struct UpArgs {
    /// Where state is kept.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Port of the API.
    #[arg(long)]
    port: Option<u16>,
    /// A configuration file instead of lucid.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Stop after this time (90s, 5m); exit 0 only if the whole path ran.
    #[arg(long = "for", value_parser = duration)]
    time: Option<Duration>,
    /// How events are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Args)]
struct ServeArgs {
    /// Where state is kept.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Port of the API.
    #[arg(long)]
    port: Option<u16>,
    /// A configuration file instead of lucid.toml.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Reads `90s`, `5m`, `2h` or plain seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (digits, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3600),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is not a time such as 90s, 5m or 2h"))?;
    number
        .checked_mul(factor)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is too long"))
}

/// Parses the arguments, runs, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // reqwest is built without a TLS provider of its own; ring is the one that needs no C toolchain
    // beyond cc.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = run(cli);
    logs::flush();
    match ended {
        Ok(code) => code,
        Err(error) => {
            note!("lucid: {error:#}");
            if error.chain().any(|cause| cause.is::<ConfigError>()) {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => {
            private::create_private();
            let flags = Flags { file: args.config, data: Some(args.data), port: args.port };
            let config = Config::up(&flags)?;
            let _traces = logs_and_traces("warn", false, &config.tracing)?;
            let whole = runtime(config.server.threads)?.block_on(up::run(
                &config,
                args.time,
                args.output,
            ))?;
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Serve(args) => {
            private::create_private();
            let config =
                Config::serve(&Flags { file: args.config, data: args.data, port: args.port })?;
            let _traces = logs_and_traces("info", true, &config.tracing)?;
            config.check_tokens()?;
            warn_of_loose(config.data_dir());
            if let Some(text) = service_links() {
                tracing::warn!("{text}: {LINKS_END}");
            }
            runtime(config.server.threads)?.block_on(up::serve(&config))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Agent(args) => fleet::agent::run(args),
        Command::Enrol(args) => fleet::enrol::run(args),
        Command::Token(args) => token::run(args),
        Command::Policy(args) => policies::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Status(args) => review::status::run(&args),
        Command::Payout(args) => money::payout::run(&args),
        Command::Clock(args) => clock::run(args),
        Command::Ledger(args) => money::ledger::run(args),
        Command::Epoch(args) => epochs::epoch::run(&args),
        Command::Replay(args) => epochs::replay::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Config(args) => config::run(args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Health(args) => health::run(args),
    }
}

/// Says which existing files other users may read.
fn warn_of_loose(dir: &Path) {
    if let Some(loose) = private::loose(dir) {
        tracing::warn!("{loose}");
    }
}

/// The certificates of `--ca-file`.
fn ca_pem(file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    file.map(|file| std::fs::read(file).with_context(|| format!("cannot read {}", file.display())))
        .transpose()
}

fn runtime(threads: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    Ok(builder.enable_all().build()?)
}

/// Logs go to standard error: plain for a person at a terminal, JSON for a collector.
fn logs(default: &str, json_unless_terminal: bool) {
    tracing_subscriber::registry().with(lines(default, json_unless_terminal)).init();
}

/// The same, and spans go to the collector that is configured, if one is.
fn logs_and_traces(default: &str, json_unless_terminal: bool, config: &Tracing) -> Result<Traces> {
    let Some((spans, traces)) = traces::layer(config)? else {
        logs(default, json_unless_terminal);
        return Ok(traces::none());
    };
    tracing_subscriber::registry().with(spans).with(lines(default, json_unless_terminal)).init();
    Ok(traces)
}

fn lines<S>(default: &str, json_unless_terminal: bool) -> impl tracing_subscriber::Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    use std::io::IsTerminal;
    let terminal = std::io::stderr().is_terminal();
    // What goes wrong with a line is counted; said on standard error, it would be a panic where
    // that is closed.
    let lines = tracing_subscriber::fmt::layer::<S>()
        .with_writer(logs::start())
        .with_ansi(terminal)
        .log_internal_errors(false);
    let lines =
        if json_unless_terminal && !terminal { lines.json().boxed() } else { lines.boxed() };
    lines.with_filter(chosen(default))
}

/// What is written: as `RUST_LOG` says.
fn chosen(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default))
}

/// A future that is done when the process is asked to stop. Signals count from this call on, not
/// from the first poll: what comes in between must not kill.
pub fn interrupted() -> Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
