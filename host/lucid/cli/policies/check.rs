use std::{io::Write, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;
use clap::Args;
use lucid_model::policies::ParamValues;
use lucid_ports::{GateReport, PolicyRuntime};
use serde_json::json;

use super::scratch_engine::{ScratchEngine, grouped, mark, set_in};
use crate::{
    cli::{out, out::Output, runtime},
    config::Policies,
    printable::Foreign,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy check policies/observation-weighted/1.0.0
  lucid policy check steady-1.0.0.tar --require-signed --trusted-keys policies/trusted-keys.toml
  lucid policy check bundles/*/* --output json | jq .passed")]
pub struct CheckArgs {
    /// Bundles: folders or archives.
    #[arg(required = true)]
    bundles: Vec<PathBuf>,
    /// Refuse what no trusted key has signed, as `lucid serve` does.
    #[arg(long)]
    require_signed: bool,
    /// A file of trusted keys.
    #[arg(long)]
    trusted_keys: Option<PathBuf>,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: CheckArgs) -> Result<ExitCode> {
    let policies = Policies {
        require_signed: args.require_signed,
        trusted_keys_file: args.trusted_keys,
        ..Policies::default()
    };
    let (scratch, runtime) = (ScratchEngine::trusting(policies)?, runtime(1)?);
    let mut refused = false;
    for path in args.bundles {
        let report = match lucid_engine::read_bundle(&path) {
            Ok(bundle) => {
                runtime.block_on(scratch.engine.check(Arc::new(bundle), ParamValues::new()))
            }
            Err(error) => {
                let reason = format!("{:#}", anyhow::Error::from(error));
                GateReport {
                    checks: vec![("bundle".into(), Err(reason))],
                    costs: vec![Default::default()],
                    ..GateReport::default()
                }
            }
        };
        refused |= report.rejection().is_some();
        match args.output {
            Output::Json => {
                writeln!(out::out(), "{}", as_json(&path.display().to_string(), &report))?
            }
            Output::Table => table(&path.display().to_string(), &report)?,
        }
    }
    Ok(if refused { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn as_json(bundle: &str, report: &GateReport) -> serde_json::Value {
    let checks = report.checks.iter().zip(&report.costs).map(|((check, finding), cost)| {
        json!({ "check": check, "passed": finding.is_ok(), "reason": finding.as_ref().err(), "micros": cost.micros, "fuel": cost.fuel })
    });
    let policy = report.policy.as_ref().map(|p| json!({ "name": p.name, "version": p.version.to_string(), "digest": p.digest.to_string() }));
    json!({
        "bundle": bundle, "policy": policy, "kind": report.kind.map(|kind| kind.name()), "passed": report.rejection().is_none(),
        "checks": checks.collect::<Vec<_>>(), "signed_by": report.signed_by, "notes": report.notes,
    })
}

fn table(bundle: &str, report: &GateReport) -> Result<()> {
    let mut out = out::styled();
    writeln!(out, "{}", Foreign(bundle))?;
    for ((check, finding), cost) in report.checks.iter().zip(&report.costs) {
        match finding {
            Ok(()) => {
                let fuel = if cost.fuel > 0 {
                    format!("  {:>12} fuel", grouped(cost.fuel))
                } else {
                    String::new()
                };
                let ms = format!("{}.{:01}", cost.micros / 1_000, cost.micros % 1_000 / 100);
                writeln!(out, "  {} {check:<18} {ms:>8} ms{fuel}", mark(true))?;
            }
            Err(reason) => {
                out.lines(format_args!("  {} {check}: {}", mark(false), set_in(reason, 4)))?
            }
        }
    }
    if !report.signed_by.is_empty() {
        writeln!(out, "  signed by {}", Foreign(report.signed_by.join(", ")))?;
    }
    for note in &report.notes {
        writeln!(out, "  note: {}", Foreign(note))?;
    }
    Ok(())
}
