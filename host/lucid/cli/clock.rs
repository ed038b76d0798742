use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use lucid_api_types::{clock::ClockBody, reason::ReasonRequest};
use reqwest::Method;

use crate::cli::{
    out::{Output, out},
    remote::Remote,
    runtime,
};

/// The clock of a running service.
#[derive(Args)]
#[command(after_help = "Examples:
  lucid clock show --token-file operator.token
  lucid clock accept --reason 'the machine was suspended' --server http://10.0.0.5:8095 --token-file operator.token

Each replica has its own clock: name it with --server. Exit codes: 0 the clock is trusted, 1 it is not (or the service cannot be asked).")]
pub struct ClockArgs {
    #[command(subcommand)]
    command: ClockCommand,
}

#[derive(Subcommand)]
enum ClockCommand {
    /// Say whether the service trusts its wall clock.
    Show(ShowArgs),
    /// Say that the wall clock is right, after you looked at it.
    Accept(AcceptArgs),
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    remote: Remote,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Args)]
struct AcceptArgs {
    #[command(flatten)]
    remote: Remote,
    /// Why it is right; kept in the audit log.
    #[arg(long)]
    reason: String,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: ClockArgs) -> Result<ExitCode> {
    let (output, clock): (_, ClockBody) = match args.command {
        ClockCommand::Show(args) => (
            args.output,
            runtime(1)?.block_on(args.remote.client()?.call(Method::GET, "/clock", None::<&()>))?,
        ),
        ClockCommand::Accept(args) => {
            let request = ReasonRequest { reason: args.reason };
            (
                args.output,
                runtime(1)?.block_on(args.remote.client()?.call(
                    Method::POST,
                    "/clock/accept",
                    Some(&request),
                ))?,
            )
        }
    };
    let mut out = out();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&clock)?)?,
        Output::Table => {
            writeln!(out, "  time        {}", clock.now)?;
            writeln!(out, "  wall clock  {}", clock.wall_clock)?;
            match &clock.reason {
                Some(reason) => writeln!(out, "  not trusted: {reason}")?,
                None => writeln!(out, "  trusted")?,
            }
        }
    }
    Ok(if clock.trusted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
