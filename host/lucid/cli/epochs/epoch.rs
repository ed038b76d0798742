use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use crate::cli::{out, remote::Remote, runtime};

/// Takes closed epochs out of a running service.
#[derive(Args)]
pub struct EpochArgs {
    #[command(subcommand)]
    command: EpochCommand,
}

#[derive(Subcommand)]
enum EpochCommand {
    /// Write an epoch to one file, which `lucid replay FILE` verifies on any machine.
    Export(ExportArgs),
}

#[derive(Args)]
struct ExportArgs {
    /// The epoch: its start in Unix seconds.
    epoch: i64,
    /// Where to.
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

pub fn run(args: &EpochArgs) -> Result<ExitCode> {
    let EpochCommand::Export(args) = &args.command;
    let client = args.remote.client()?;
    let bytes = runtime(1)?.block_on(client.epoch_file(args.epoch))?;
    std::fs::write(&args.file, &bytes)
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    out::say(format_args!(
        "epoch {} is in {}: {} bytes",
        args.epoch,
        args.file.display(),
        bytes.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}
