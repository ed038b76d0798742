use std::{
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use clap::Args;
use lucid_model::time::TimeMs;
use lucid_store::{BackedUpFile, BackupProgress};
use serde_json::json;

use crate::{
    cli::{logs, out, out::Output, place::Place},
    config::ConfigError,
    stores::STORES,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid store backup --data /var/lib/lucid /backup/lucid-2026-11-29
  lucid store backup --data /var/lib/lucid /backup/tonight --output json

The service goes on. Both files are of the moment at which it began, checked and synced; the folder may then be copied anywhere. It holds no key:
keep a copy of the folder secrets/ where secrets are kept. Without secrets/seal.key a restored store works, and webhooks have to be registered anew. To put it back: stop the service, put the two files into its folder in place of what is
there (the files that end in -wal and -shm, too), start it, and let it compare payouts: lucid payout reconcile --since TIME (docs/operations.md).
A store in MongoDB is backed up by the database's own tools (mongodump --oplog, or snapshots).

Exit codes: 0 it is whole, 1 it is not, 2 wrong arguments.")]
pub struct BackupArgs {
    #[command(flatten)]
    place: Place,
    /// A folder that is not there, or is empty.
    to: PathBuf,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &BackupArgs) -> Result<ExitCode> {
    logs("error", false);
    let (url, _) = args.place.find()?;
    if !url.starts_with("sqlite://") {
        return Err(ConfigError("a store in MongoDB is backed up by the database's own tools: mongodump --oplog, or snapshots".into()).into());
    }
    let (began, at) = (Instant::now(), now());
    let mut tenths = None;
    let mut told = |progress: BackupProgress| {
        let now = progress.pages * 10 / progress.of.max(1);
        if matches!(args.output, Output::Table)
            && tenths.replace((progress.file, now)) != Some((progress.file, now))
        {
            note!("  {:<9} {:>3} %", progress.file, now * 10);
        }
    };
    let files = STORES.of(&url)?.back_up(&url, &args.to, &mut told)?;
    let seconds = began.elapsed().as_secs_f64();
    let mut out = out::out();
    match args.output {
        Output::Table => {
            for BackedUpFile { file, bytes } in &files {
                writeln!(out, "  {}  {bytes} bytes", file.display())?;
            }
            writeln!(
                out,
                "  secrets/ is not in it: keep a copy elsewhere, or webhooks have to be registered anew after a restore"
            )?;
            writeln!(out, "  ✓ as of {at}, in {seconds:.1} s")?;
        }
        Output::Json => {
            let told = |of: &BackedUpFile| json!({ "file": of.file, "bytes": of.bytes });
            writeln!(
                out,
                "{}",
                json!({ "as_of": at.to_string(), "seconds": seconds, "files": files.iter().map(told).collect::<Vec<_>>() })
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> TimeMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
