mod list;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Reads and verifies the audit log.
#[derive(Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Walk every entry, link and seal of a store, also while the service runs: exit 0 intact, 1
    /// tampered with, 2 wrong use.
    Verify(verify::VerifyArgs),
    /// List entries, over the API or of a store.
    List(list::ListArgs),
}

pub fn run(args: AuditArgs) -> Result<ExitCode> {
    match args.command {
        AuditCommand::Verify(args) => verify::run(&args),
        AuditCommand::List(args) => list::run(args),
    }
}
