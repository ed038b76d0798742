//! Which crates are policies, and what is said of them: `cargo metadata`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use lucid_model::policies::PolicyKind;
use serde::Deserialize;

use super::super::scratch_engine::wrong;

const SDK: &str = "lucid-policy-sdk";
const WIT_BINDGEN: &str = "wit-bindgen";

/// A crate, or a workspace of them.
pub struct Project {
    /// Where cargo runs.
    pub root: PathBuf,
    /// Whether it has more than one crate.
    pub is_workspace: bool,
    /// Whether its lock file may not change.
    pub locked: bool,
    /// The workspace of the SDK that it is written with.
    pub sdk: Option<PathBuf>,
    /// Version of the binding generator, if it is used.
    pub wit_bindgen: Option<String>,
    /// The policies in it.
    pub policies: Vec<PolicyCrate>,
}

/// A crate that is a policy.
pub struct PolicyCrate {
    pub name: String,
    pub version: String,
    pub kind: PolicyKind,
    pub hostile: bool,
    pub authors: Vec<String>,
    pub description: String,
    pub limits: Limits,
    pub params: BTreeMap<String, i64>,
    /// The crate's folder, which may hold `golden/`.
    pub folder: PathBuf,
}

/// What a policy promises to stay within.
#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub memory_bytes_max: u64,
    pub fuel_base: u64,
    pub fuel_per_node: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes_max: 16 * 1024 * 1024, fuel_base: 2_000_000, fuel_per_node: 20_000 }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    source: Option<String>,
    authors: Vec<String>,
    description: Option<String>,
    manifest_path: PathBuf,
    metadata: Option<Tables>,
}

#[derive(Deserialize)]
struct Tables {
    policy: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyTable {
    kind: String,
    #[serde(default)]
    hostile: bool,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    params: BTreeMap<String, i64>,
}

impl Project {
    /// Reads the crate or workspace of a folder.
    pub fn read(dir: &Path, locked: bool) -> Result<Self> {
        if !dir.join("Cargo.toml").exists() {
            return Err(wrong(format!(
                "{} has no Cargo.toml; `lucid policy new` makes a crate",
                dir.display()
            )));
        }
        let mut cargo = Command::new("cargo");
        cargo
            .args(["metadata", "--format-version", "1"])
            .args(locked.then_some("--locked"))
            .current_dir(dir);
        let output = cargo.output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!(
                "cargo cannot read {}: {}",
                dir.join("Cargo.toml").display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .context("cargo metadata says what is not understood")?;
        let (mut policies, mut sdk, mut wit_bindgen) = (Vec::new(), None, None);
        let members = metadata.workspace_members.len();
        for package in metadata.packages {
            let folder = package.manifest_path.parent().unwrap_or(dir).to_owned();
            if package.name == SDK && package.source.is_none() {
                sdk = folder.parent().map(Path::to_owned);
            }
            if package.name == WIT_BINDGEN {
                wit_bindgen = Some(package.version.clone());
            }
            if metadata.workspace_members.contains(&package.id) {
                policies.extend(policy(package, folder)?);
            }
        }
        if policies.is_empty() {
            return Err(wrong(format!(
                "{}: no crate has [package.metadata.policy]",
                dir.display()
            )));
        }
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            root: metadata.workspace_root,
            is_workspace: members > 1,
            locked,
            sdk,
            wit_bindgen,
            policies,
        })
    }

    /// Where sources of the registry's crates are.
    pub fn registries(&self) -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        if let Ok(entries) = fs::read_dir(cargo_home()?.join("registry/src")) {
            for entry in entries {
                folders.push(entry?.path());
            }
        }
        folders.sort();
        Ok(folders)
    }

    /// Folders whose names must not be in a component.
    pub fn homes(&self) -> Result<Vec<PathBuf>> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let checkout = self.sdk.as_ref().and_then(|sdk| sdk.parent()).map(Path::to_owned);
        Ok([Some(self.root.clone()), checkout, Some(cargo_home()?), home]
            .into_iter()
            .flatten()
            .collect())
    }
}

fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

fn policy(package: Package, folder: PathBuf) -> Result<Option<PolicyCrate>> {
    let place = package.manifest_path.display().to_string();
    let Some(table) = package.metadata.and_then(|tables| tables.policy) else { return Ok(None) };
    let table: PolicyTable = serde_json::from_value(table)
        .map_err(|error| wrong(format!("{place}: [package.metadata.policy]: {error}")))?;
    let kind = PolicyKind::from_name(&table.kind);
    let kind = kind.ok_or_else(|| {
        wrong(format!("{place}: kind {:?} is none of scoring, validation, payout", table.kind))
    })?;
    let description = package
        .description
        .ok_or_else(|| wrong(format!("{place}: a policy needs a description")))?;
    let PolicyTable { hostile, limits, params, .. } = table;
    let (name, version, authors) = (package.name, package.version, package.authors);
    Ok(Some(PolicyCrate {
        name,
        version,
        kind,
        hostile,
        authors,
        description,
        limits,
        params,
        folder,
    }))
}
