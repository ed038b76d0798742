//! Turns built components into bundles: `builder --help` says how.
//!
//! Which crates are policies, and what the bundle says of them, stands in their own `Cargo.toml`.

mod bundle;
mod manifest;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "\
usage: lucid-policy-builder OPTION VALUE ...
  --plugins DIR      the plugins workspace
  --components DIR   where cargo put the built .wasm files
  --policies DIR     where bundles go, and active.toml if there is none yet
  --hostile DIR      where the bundles of hostile policies go
  --compiler TEXT    rustc -V of the compiler that built them
  --linker TEXT      wasm-component-ld -V";

/// What the command line says.
struct Arguments {
    plugins: PathBuf,
    components: PathBuf,
    policies: PathBuf,
    hostile: PathBuf,
    toolchain: bundle::Toolchain,
}

/// What can go wrong; the first thing that does ends the run.
#[derive(Debug, thiserror::Error)]
enum BuilderError {
    #[error("{0}\n{USAGE}")]
    Usage(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Toml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{path}: {what}")]
    Content { path: PathBuf, what: String },
}

impl BuilderError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, BuilderError> {
    let mut values = std::collections::BTreeMap::new();
    while let Some(option) = given.next() {
        if option == "--help" {
            return Err(BuilderError::Usage(String::new()));
        }
        let value = given.next().ok_or_else(|| BuilderError::Usage(format!("{option} has no value")))?;
        values.insert(option, value);
    }
    let mut take = |option: &str| values.remove(option).ok_or_else(|| BuilderError::Usage(format!("{option} is missing")));
    let plugins = PathBuf::from(take("--plugins")?);
    let arguments = Arguments {
        components: take("--components")?.into(),
        policies: take("--policies")?.into(),
        hostile: take("--hostile")?.into(),
        toolchain: bundle::Toolchain {
            compiler: take("--compiler")?,
            linker: take("--linker")?,
            wit_bindgen: manifest::locked_version(&plugins.join("Cargo.lock"), "wit-bindgen")?,
        },
        plugins,
    };
    match values.keys().next() {
        Some(unknown) => Err(BuilderError::Usage(format!("{unknown} is unknown"))),
        None => Ok(arguments),
    }
}

fn run() -> Result<(), BuilderError> {
    let arguments = arguments(env::args().skip(1))?;
    for policy in manifest::policies(&arguments.plugins)? {
        let bundles = if policy.hostile { &arguments.hostile } else { &arguments.policies };
        let size_bytes = bundle::write(&policy, &arguments.components, bundles, &arguments.toolchain)?;
        println!("{:<24} {:<8} {size_bytes:>7} bytes", policy.name, policy.version);
    }
    bundle::write_active_if_missing(&arguments.policies)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lucid-policy-builder: {error}");
            ExitCode::FAILURE
        }
    }
}
