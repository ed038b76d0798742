use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lucid_engine::is_kebab;

use super::scratch_engine::wrong;

use crate::cli::out;

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy new scoring steady
  lucid policy new payout fair-share --dir ~/policies/fair-share --sdk ~/lucid/plugins/sdk

The SDK is published nowhere: the crate refers to it by its path in a checkout of Lucid. Without --sdk it is looked for
beside this program (target/debug/lucid lies in its checkout) and above the current folder.")]
pub struct NewArgs {
    /// What it decides.
    #[arg(value_enum)]
    kind: Kind,
    /// Its name: kebab-case.
    name: String,
    /// Where it goes; a folder of its name by default.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The folder plugins/sdk of a checkout.
    #[arg(long)]
    sdk: Option<PathBuf>,
    /// Who writes it.
    #[arg(long, env = "USER", default_value = "unknown")]
    author: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A multiplier for each node of an epoch.
    Scoring,
    /// Verdicts on what nodes claim.
    Validation,
    /// How a budget is shared.
    Payout,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Scoring => "scoring",
            Self::Validation => "validation",
            Self::Payout => "payout",
        }
    }

    /// `src/lib.rs` and the first golden case.
    fn template(self) -> (&'static str, &'static str) {
        match self {
            Self::Scoring => (include_str!("new/scoring.rs.txt"), include_str!("new/scoring.json")),
            Self::Validation => {
                (include_str!("new/validation.rs.txt"), include_str!("new/validation.json"))
            }
            Self::Payout => (include_str!("new/payout.rs.txt"), include_str!("new/payout.json")),
        }
    }
}

pub fn run(args: &NewArgs) -> Result<ExitCode> {
    if !is_kebab(&args.name) {
        return Err(wrong(format!("{:?} is not kebab-case, such as fair-share", args.name)));
    }
    let dir = args.dir.clone().unwrap_or_else(|| args.name.clone().into());
    if dir.exists() {
        return Err(wrong(format!("{} is there already", dir.display())));
    }
    let sdk = sdk(args.sdk.as_deref())?;
    let (code, case) = args.kind.template();
    let text = |value: &str| toml::Value::from(value).to_string();
    let cargo = include_str!("new/Cargo.toml.txt")
        .replace("{name}", &text(&args.name))
        .replace("{author}", &text(&args.author))
        .replace("{kind}", &text(args.kind.name()))
        .replace("{sdk}", &text(&sdk.display().to_string()));
    let files = [
        ("Cargo.toml", cargo.as_str()),
        ("src/lib.rs", code),
        ("golden/first.json", case),
        (".gitignore", "/target\n/bundles\n*.key\n"),
    ];
    for (name, content) in files {
        let path = dir.join(name);
        let folder = path.parent().unwrap_or(&dir);
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The versions that the SDK was tested with, which are probably here already.
    if let Some(lock) =
        sdk.parent().map(|plugins| plugins.join("Cargo.lock")).filter(|lock| lock.exists())
    {
        fs::copy(&lock, dir.join("Cargo.lock"))
            .with_context(|| format!("cannot copy {}", lock.display()))?;
    }
    let shown = dir.display();
    writeln!(
        out::out(),
        "{shown} is a {} policy. Next: cd {shown} && cargo test && lucid policy build",
        args.kind.name()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The SDK's folder.
fn sdk(named: Option<&Path>) -> Result<PathBuf> {
    let is_sdk = |dir: &Path| {
        dir.join("src/lib.rs").exists()
            && fs::read_to_string(dir.join("Cargo.toml"))
                .is_ok_and(|t| t.contains("lucid-policy-sdk"))
    };
    if let Some(dir) = named {
        let found = dir.canonicalize().ok().filter(|dir| is_sdk(dir));
        return found.ok_or_else(|| {
            wrong(format!("--sdk {} is not the folder plugins/sdk of a checkout", dir.display()))
        });
    }
    let program = std::env::current_exe().ok().and_then(|file| file.canonicalize().ok());
    let here = std::env::current_dir().ok();
    let above = program.iter().chain(here.iter()).flat_map(|start| start.ancestors());
    let found = above.map(|dir| dir.join("plugins/sdk")).find(|dir| is_sdk(dir));
    found.ok_or_else(|| {
        wrong("the SDK is not found: name plugins/sdk of a checkout of Lucid with --sdk")
    })
}
