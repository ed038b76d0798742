//! Work on policies, a file a command; all but `simulate` without a server.

mod bench;
mod build;
mod check;
mod diff;
mod inspect;
mod keygen;
mod new;
mod pack;
mod run;
pub mod scratch_engine;
mod sign;
mod simulate;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::cli::logs;

/// Works on policies; only `simulate` needs a server.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

const EXAMPLES: &str = "\
A bundle is a folder (policy.toml, policy.wasm, golden/*.json, policy.sig) or its archive (NAME-VERSION.tar).
Exit codes: 0 done, 1 failed, 2 the arguments or a bundle are wrong.

From nothing to a signed archive:
  lucid policy new scoring steady
  cd steady && lucid policy build
  lucid policy check bundles/steady/1.0.0
  lucid policy keygen alice.key
  lucid policy sign bundles/steady/1.0.0 --key alice.key
  lucid policy pack bundles/steady/1.0.0";

#[derive(Subcommand)]
enum PolicyCommand {
    /// Make a crate that is a policy, and builds and tests at once.
    New(new::NewArgs),
    /// Build a crate for WebAssembly and write its bundle.
    Build(build::BuildArgs),
    /// Put bundles through the gate: exit 0 if all pass, 2 if one is refused.
    Check(check::CheckArgs),
    /// Run golden cases: exit 0 if all hold, 2 if one does not.
    Test(test::TestArgs),
    /// Ask a policy about the nodes of a file.
    Run(run::RunArgs),
    /// Measure calls: time and fuel a node.
    Bench(bench::BenchArgs),
    /// Show what a bundle says of itself, reads, needs and promises.
    Inspect(inspect::InspectArgs),
    /// Compare two bundles and what they answer: exit 0 if they answer alike, 1 if not.
    Diff(diff::DiffArgs),
    /// Ask a version that a service keeps how it would have scored epochs that are over.
    Simulate(simulate::SimulateArgs),
    /// Make an archive of a bundle's folder.
    Pack(pack::PackArgs),
    /// Make a key to sign with.
    Keygen(keygen::KeygenArgs),
    /// Sign a bundle; other signatures stay.
    Sign(sign::SignArgs),
}

pub fn run(args: PolicyArgs) -> Result<ExitCode> {
    logs("error", false);
    match args.command {
        PolicyCommand::New(args) => new::run(&args),
        PolicyCommand::Build(args) => build::run(&args),
        PolicyCommand::Check(args) => check::run(args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Run(args) => run::run(&args),
        PolicyCommand::Bench(args) => bench::run(&args),
        PolicyCommand::Inspect(args) => inspect::run(&args),
        PolicyCommand::Diff(args) => diff::run(&args),
        PolicyCommand::Simulate(args) => simulate::run(&args),
        PolicyCommand::Pack(args) => pack::run(&args),
        PolicyCommand::Keygen(args) => keygen::run(&args),
        PolicyCommand::Sign(args) => sign::run(&args),
    }
}
