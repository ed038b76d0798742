use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::scratch_engine::{ScratchEngine, bundle, columns, grouped, wrong};
use crate::cli::{out, out::Output};

/// Rows of the calls that are measured.
const ROWS: [usize; 4] = [1, 100, 1_000, 10_000];

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy bench bundles/steady/1.0.0
  lucid policy bench bundles/steady/1.0.0 --output json

Times are medians of calls on fresh instances with made-up rows, on this machine and in this build. Fuel is the same everywhere.")]
pub struct BenchArgs {
    /// A folder or an archive.
    bundle: PathBuf,
    /// How figures are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &BenchArgs) -> Result<ExitCode> {
    let scratch = ScratchEngine::open()?;
    let policy = scratch.load(&bundle(&args.bundle)?)?;
    let instance_ns = policy.instance_ns().map_err(wrong)?;
    let figures = policy.measure(&ROWS).map_err(wrong)?;
    let each = |total: u64, rows: usize| total / u64::try_from(rows).unwrap_or(u64::MAX).max(1);
    let mut out = out::out();
    if args.output == Output::Json {
        let calls: Vec<_> = figures
            .iter()
            .map(|f| json!({ "call": f.call, "rows": f.rows, "call_ns": f.call_ns, "node_ns": each(f.call_ns, f.rows), "fuel": f.fuel, "fuel_promised": f.promised, "runs": f.runs }))
            .collect();
        writeln!(
            out,
            "{}",
            json!({ "policy": policy.identity().policy.to_string(), "instance_ns": instance_ns, "calls": calls })
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = figures
        .iter()
        .map(|f| {
            let used = f.fuel.saturating_mul(100) / f.promised.max(1);
            let numbers = [f.rows as u64, f.call_ns, each(f.call_ns, f.rows), each(f.fuel, f.rows)]
                .map(grouped);
            let [rows, call, node, fuel] = numbers;
            vec![f.call.to_owned(), rows, call, node, fuel, format!("{used} %")]
        })
        .collect();
    out.lines(format_args!("{}\n", policy.identity().policy))?;
    writeln!(out)?;
    out.lines(columns(
        &["call", "nodes", "ns a call", "ns a node", "fuel a node", "of the promise"],
        &rows,
    ))?;
    writeln!(out, "a fresh instance costs {} ns", grouped(instance_ns))?;
    Ok(ExitCode::SUCCESS)
}
