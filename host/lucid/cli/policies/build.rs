mod bundles;
mod crates;
mod toolchain;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{crates::Project, toolchain::Toolchain};
use super::scratch_engine::{grouped, wrong};

use crate::cli::out;

#[derive(Args)]
#[command(after_help = "Examples:
  cd steady && lucid policy build                        writes bundles/steady/1.0.0
  lucid policy build ~/policies/steady --out /tmp/bundles
  lucid policy build plugins --out policies              every policy of a workspace

The compiler's target wasm32-unknown-unknown is fetched if it is not there. What is built is kept in CARGO_TARGET_DIR, by default
~/.cache/lucid/policy-target. A crate is a policy if its Cargo.toml has [package.metadata.policy] with kind = \"scoring\",
\"validation\" or \"payout\", and perhaps limits and params.")]
pub struct BuildArgs {
    /// The crate's folder, or a workspace's.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where bundles go, as NAME/VERSION; DIR/bundles by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fail if Cargo.lock would have to change.
    #[arg(long)]
    locked: bool,
    /// Where bundles go whose crate says hostile = true; without it they are not written.
    #[arg(long, hide = true)]
    hostile: Option<PathBuf>,
}

pub fn run(args: &BuildArgs) -> Result<ExitCode> {
    let dir = args
        .dir
        .canonicalize()
        .map_err(|error| wrong(format!("{}: {error}", args.dir.display())))?;
    let target_dir = target_dir()?;
    let toolchain = Toolchain::prepare()?;
    let project = Project::read(&dir, args.locked)?;
    let components = components(&toolchain, &project, &target_dir)?;
    let out = args.out.clone().unwrap_or_else(|| args.dir.join("bundles"));
    for policy in &project.policies {
        let Some(folder) =
            (if policy.hostile { args.hostile.as_deref() } else { Some(out.as_path()) })
        else {
            continue;
        };
        let (bundle, place) = bundles::write(policy, &components, folder, &toolchain, &project)?;
        let size = grouped(u64::try_from(bundle.component.len()).unwrap_or(u64::MAX));
        writeln!(
            out::out(),
            "{}  {size} bytes, {} golden cases",
            place.display(),
            bundle.golden.len()
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One for all policies of a person, so that what they share is built once.
fn target_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(std::path::absolute(dir)?);
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(cache.context("neither CARGO_TARGET_DIR nor XDG_CACHE_HOME nor HOME is set: there is no place to build in")?.join("lucid/policy-target"))
}

/// Builds, and says where the components are.
fn components(toolchain: &Toolchain, project: &Project, target_dir: &Path) -> Result<PathBuf> {
    let sources = toolchain.sources();
    let mut remap = vec![(sources.clone(), "/rust")];
    remap.extend(project.sdk.iter().map(|sdk| (sdk.clone(), "/plugins")));
    remap.extend(sources.canonicalize().ok().map(|real| (real, "/rust")));
    remap.extend(project.registries()?.into_iter().map(|registry| (registry, "/crates")));
    // Panic messages carry source paths, which must be the same everywhere. A remap also tells
    // Cargo to leave the flags out of a crate's identity. Where two prefixes match, the last one
    // wins.
    let flags = remap.iter().fold(toolchain.flags.clone(), |flags, (from, to)| {
        format!("{flags} --remap-path-prefix={}={to}", from.display())
    });
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", toolchain::TARGET]).current_dir(&project.root);
    cargo
        .env("CARGO_TARGET_DIR", target_dir)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
    if project.is_workspace {
        cargo.arg("--workspace");
    }
    if project.locked {
        cargo.arg("--locked");
    }
    toolchain.apply(&mut cargo);
    if !toolchain.std_is_official()? {
        note(
            "std carries paths of the machine that built it: building it again (about 90 s once, kept in the target folder)",
        );
        cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    let status = cargo.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build it ({status})");
    }
    Ok(target_dir.join(toolchain::TARGET).join("release"))
}

fn note(text: &str) {
    note!("lucid policy build: {text}");
}
