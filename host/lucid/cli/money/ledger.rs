mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Verifies the ledger.
#[derive(Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Subcommand)]
enum LedgerCommand {
    /// Recompute every entry, settlement and payout of a store, also while the service runs: exit 0
    /// in order, 1 not, 2 wrong use.
    Verify(verify::VerifyArgs),
}

pub fn run(args: LedgerArgs) -> Result<ExitCode> {
    match args.command {
        LedgerCommand::Verify(args) => verify::run(&args),
    }
}
