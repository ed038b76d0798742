use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use lucid_engine::put_file;
use serde_json::json;

use super::scratch_engine::{ScratchEngine, bundle, grouped, mark, set_in, wrong};
use crate::{
    cli::{out, out::Output},
    printable::Foreign,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy test bundles/steady/1.0.0
  lucid policy test bundles/steady/1.0.0 --golden golden --update    write what comes out as what is expected")]
pub struct TestArgs {
    /// A folder or an archive.
    bundle: PathBuf,
    /// Cases of this folder instead of the bundle's own.
    #[arg(long)]
    golden: Option<PathBuf>,
    /// Write what comes out into the cases that do not hold. Read the difference before you commit
    /// it.
    #[arg(long)]
    update: bool,
    /// How findings are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &TestArgs) -> Result<ExitCode> {
    let bundle = bundle(&args.bundle)?;
    let folder = args.golden.clone().unwrap_or_else(|| args.bundle.join("golden"));
    if args.update && args.bundle.is_file() && args.golden.is_none() {
        return Err(wrong("an archive is not updated: name a folder, or the cases with --golden"));
    }
    let cases = if args.golden.is_some() { cases(&folder)? } else { bundle.golden.clone() };
    if cases.is_empty() {
        return Err(wrong(format!("{}: there is no golden case", folder.display())));
    }
    let scratch = ScratchEngine::open()?;
    let policy = scratch.load(&bundle)?;
    let mut out = out::styled();
    let mut failed = 0;
    for (name, text) in &cases {
        let updated = if args.update {
            Some(policy.golden_updated(name, text).map_err(wrong)?).filter(|new| new != text)
        } else {
            None
        };
        if let Some(new) = &updated {
            put_file(&folder.join(name), new.as_bytes())?;
        }
        let result = policy.golden(name, updated.as_ref().unwrap_or(text));
        failed += usize::from(result.is_err());
        match (args.output, &result) {
            (Output::Json, _) => {
                let (reason, fuel) =
                    (result.as_ref().err(), result.as_ref().ok().map(|answer| answer.fuel));
                writeln!(
                    out,
                    "{}",
                    json!({ "case": name, "passed": result.is_ok(), "reason": reason, "fuel": fuel, "updated": updated.is_some() })
                )?;
            }
            (Output::Table, Ok(answer)) => {
                let changed = if updated.is_some() { "  updated" } else { "" };
                writeln!(
                    out,
                    "  {} {:<40} {:>6} rows {:>12} fuel{changed}",
                    mark(true),
                    Foreign(name),
                    answer.rows,
                    grouped(answer.fuel)
                )?;
            }
            (Output::Table, Err(reason)) => out.lines(format_args!(
                "  {} {}\n    {}",
                mark(false),
                Foreign(name),
                set_in(reason, 4)
            ))?,
        }
    }
    if args.output == Output::Table {
        writeln!(out, "{} of {} cases hold", cases.len() - failed, cases.len())?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The cases of a folder, by name.
pub fn cases(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut cases = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "json") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            cases.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    cases.sort_unstable();
    Ok(cases)
}
