mod backup;
mod copy;
mod progress;
mod rollups;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::private;

/// Moves what the service keeps.
#[derive(Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Copy the files of a store beside its service, as they are at one moment.
    Backup(backup::BackupArgs),
    /// Copy everything of a store into an empty one and read it back, or compare two: exit 0 equal,
    /// 1 not, 2 wrong use.
    Copy(copy::CopyArgs),
    /// Make rollups that were lost from the samples that are kept.
    Rollups(rollups::RollupsArgs),
}

pub fn run(args: &StoreArgs) -> Result<ExitCode> {
    private::create_private();
    match &args.command {
        StoreCommand::Backup(args) => backup::run(args),
        StoreCommand::Copy(args) => copy::run(args),
        StoreCommand::Rollups(args) => rollups::run(args),
    }
}
