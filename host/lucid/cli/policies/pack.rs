use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_engine::{pack, put_file};
use lucid_model::id::Digest;

use super::scratch_engine::{ScratchEngine, bundle, wrong};

use crate::cli::out;

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy pack bundles/steady/1.0.0                  writes steady-1.0.0.tar
  curl -H 'content-type: application/x-tar' --data-binary @steady-1.0.0.tar …/api/v1/policies

The same bundle gives the same bytes: names in order, no times, no owners.")]
pub struct PackArgs {
    /// A bundle's folder.
    bundle: PathBuf,
    /// The archive; NAME-VERSION.tar by default.
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(args: &PackArgs) -> Result<ExitCode> {
    let bundle = bundle(&args.bundle)?;
    let policy = ScratchEngine::open()?.engine.manifest(&bundle).map_err(wrong)?.policy;
    let archive = pack(&bundle).map_err(wrong)?;
    let file = args
        .out
        .clone()
        .unwrap_or_else(|| format!("{}-{}.tar", policy.name, policy.version).into());
    put_file(&file, &archive)?;
    writeln!(
        out::out(),
        "{}  {} bytes, sha256 {}",
        file.display(),
        archive.len(),
        Digest::of(&archive)
    )?;
    Ok(ExitCode::SUCCESS)
}
