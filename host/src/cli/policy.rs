use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Result;
use clap::{Args, Subcommand};
use lucid_model::policy::ParamValues;
use lucid_ports::PolicyRuntime;

use super::{logs, runtime};
use crate::{compose, config::Config};

/// Works on policies without a server.
#[derive(Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Put bundles through the gate: exit 0 if all pass, 2 if one is refused.
    Check {
        /// Bundle folders: policy.toml, policy.wasm, golden/*.json.
        #[arg(required = true)]
        bundles: Vec<PathBuf>,
    },
}

pub fn run(args: PolicyArgs) -> Result<ExitCode> {
    logs("error", false);
    let PolicyCommand::Check { bundles } = args.command;
    let cache = tempdir()?;
    let mut config = Config::default();
    config.policies.require_signed = false;
    let engine = compose::engine(&config, cache.clone())?;
    let runtime = runtime(0)?;
    let mut refused = false;
    for dir in bundles {
        println!("{}", dir.display());
        let bundle = match lucid_engine::read_bundle(&dir) {
            Ok(bundle) => bundle,
            Err(error) => {
                println!("  ✗ bundle: {:#}", anyhow::Error::from(error));
                refused = true;
                continue;
            }
        };
        let report = runtime.block_on(engine.check(Arc::new(bundle), ParamValues::new()));
        for (check, finding) in &report.checks {
            match finding {
                Ok(()) => println!("  ✓ {check}"),
                Err(reason) => println!("  ✗ {check}: {reason}"),
            }
        }
        refused |= report.rejection().is_some();
    }
    std::fs::remove_dir_all(cache)?;
    Ok(if refused { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

/// A cache of this run's own: a check must not depend on what an earlier one left.
fn tempdir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("lucid-check-{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir(&dir)?;
    Ok(dir)
}
