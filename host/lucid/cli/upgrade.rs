use std::{cmp::Ordering, io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use lucid_store::PartSchema;
use serde_json::json;

use crate::{
    cli::{logs, out, out::Output, place::Place, runtime},
    stores::STORES,
};

/// Before another version of this binary serves a store.
#[derive(Args)]
pub struct UpgradeArgs {
    #[command(subcommand)]
    command: UpgradeCommand,
}

#[derive(Subcommand)]
enum UpgradeCommand {
    /// Say what starting this binary's service would do to a store: exit 0 it can, 2 it cannot.
    Check(CheckArgs),
}

/// Compares the schema of a store with this binary's; nothing is changed, and a service may go on
/// using the store.
#[derive(Args)]
#[command(after_help = "Examples:
  lucid-new upgrade check --data /var/lib/lucid
  lucid-new upgrade check --store mongodb://db/lucid --output json

Exit codes: 0 this binary can serve the store, 2 it cannot (or there is no store).")]
struct CheckArgs {
    #[command(flatten)]
    place: Place,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// What a start does to a part of the store.
fn verdict(part: &PartSchema) -> (&'static str, String) {
    let PartSchema { found, known, .. } = part;
    let Some(found) = *found else {
        return ("new", format!("it was never used: the first start gives it schema {known}"));
    };
    match found.cmp(known) {
        Ordering::Equal => (
            "current",
            format!(
                "schema {found}: nothing is changed, and binaries of this schema may serve it side by side"
            ),
        ),
        Ordering::Less => {
            let words = format!(
                "schema {found}: the first start makes it {known}; binaries of schema {found} refuse it after that: back it up first"
            );
            ("migrates", words)
        }
        Ordering::Greater => (
            "refused",
            format!(
                "schema {found} is newer than {known}: use the binary that wrote it, or a newer one"
            ),
        ),
    }
}

pub fn run(args: &UpgradeArgs) -> Result<ExitCode> {
    let UpgradeCommand::Check(args) = &args.command;
    logs("error", false);
    let (url, _) = args.place.find()?;
    let parts = runtime(1)?.block_on(STORES.of(&url)?.schemas(&url))?;
    let mut out = out::out();
    match args.output {
        Output::Table => {
            for part in &parts {
                let (word, words) = verdict(part);
                writeln!(
                    out,
                    "  {} {}: {words}",
                    if word == "refused" { "✗" } else { "✓" },
                    part.part
                )?;
            }
        }
        Output::Json => {
            let told = |part: &PartSchema| json!({ "part": part.part, "schema": part.found, "known": part.known, "start": verdict(part).0 });
            writeln!(out, "{}", json!({ "parts": parts.iter().map(told).collect::<Vec<_>>() }))?;
        }
    }
    let refused = parts.iter().any(|part| verdict(part).0 == "refused");
    Ok(if refused { ExitCode::from(2) } else { ExitCode::SUCCESS })
}
