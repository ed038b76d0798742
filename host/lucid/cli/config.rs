use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    cli::{LINKS_END, logs, out, out::Output, runtime},
    compose,
    config::{Config, Flags, From, Setting, service_links, settings},
};

/// Reads the configuration as `lucid serve` does.
#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether a service could start with it, and what is in force: exit 0, or 2 with the
    /// setting that is wrong.
    Check(CheckArgs),
}

/// Reads file, variables and flags, the files they name, amounts and addresses. Nothing is started,
/// created or called; `lucid doctor` looks at what the service calls, too.
#[derive(Args)]
#[command(after_help = "Examples:
  lucid config check                                  with the environment and lucid.toml of this folder
  lucid config check --config /etc/lucid/lucid.toml --all
  lucid config check --output json | jq '.settings[] | select(.from == \"environment\")'

Exit codes: 0 it can be used, 2 it cannot.")]
struct CheckArgs {
    /// Where state is kept.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A configuration file instead of lucid.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Show what nobody set, too.
    #[arg(long)]
    all: bool,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: ConfigArgs) -> Result<ExitCode> {
    let ConfigCommand::Check(args) = args.command;
    logs("error", false);
    let flags = Flags { file: args.config, data: args.data, port: None };
    let config = Config::serve(&flags)?;
    // Clients are built, and call nobody.
    runtime(1)?.block_on(async { compose::check(&config) })?;
    if let Some(text) = service_links() {
        note!("lucid: {text}: {LINKS_END}");
    }
    let mut found = settings(&config, &flags)?;
    found.retain(|setting| args.all || setting.from != From::Default);
    let mut out = out::out();
    match args.output {
        Output::Table => table(&mut out, &found)?,
        Output::Json => writeln!(out, "{}", json!({ "settings": found }))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(out: &mut impl Write, settings: &[Setting]) -> std::io::Result<()> {
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    for Setting { key, value, from } in settings {
        let from = match from {
            From::Default => "default",
            From::File => "file",
            From::Environment => "environment",
            From::Flag => "flag",
        };
        let value = match value {
            Value::Null => "(not set)".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        writeln!(out, "  {key:<width$}  {from:<11}  {value}")?;
    }
    writeln!(out, "  ✓ a service could start with this")
}
