use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::{
    cli::{logs, out, out::Output, runtime},
    config::Flags,
    doctor::{self, Finding, Level},
};

/// Looks at configuration, store, disk, clocks and everything that the service calls, and says what
/// to do. It reads the settings as `lucid serve` does, changes nothing, and may be run beside the
/// service.
#[derive(Args)]
#[command(after_help = "Examples:
  lucid doctor                                 with the environment and lucid.toml of this folder
  lucid doctor --data /var/lib/lucid           beside the running service
  lucid doctor --output json | jq '.findings[] | select(.level != \"ok\")'

Exit codes: 0 nothing fails (there may be warnings), 1 something does, 2 wrong arguments.")]
pub struct DoctorArgs {
    /// Where state is kept.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A configuration file instead of lucid.toml.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How the findings are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: DoctorArgs) -> Result<ExitCode> {
    logs("off", false);
    let findings = runtime(1)?.block_on(doctor::examine(&Flags {
        file: args.config,
        data: args.data,
        port: None,
    }));
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let mut out = out::out();
    match args.output {
        Output::Table => table(&mut out, &findings)?,
        Output::Json => writeln!(out, "{}", json!({ "level": worst, "findings": findings }))?,
    }
    Ok(if worst == Level::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn table(out: &mut impl Write, findings: &[Finding]) -> std::io::Result<()> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for finding in findings {
        let sign = match finding.level {
            Level::Ok => "✓",
            Level::Warn => "!",
            Level::Fail => "✗",
        };
        writeln!(out, "  {sign} {:<width$}  {}", finding.check, finding.found)?;
        if let Some(todo) = &finding.todo {
            writeln!(out, "    {:<width$}  → {todo}", "")?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    writeln!(
        out,
        "  {} ok, {} to look at, {} failed",
        count(Level::Ok),
        count(Level::Warn),
        count(Level::Fail)
    )
}
