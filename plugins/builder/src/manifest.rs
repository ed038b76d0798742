//! Reads the workspace's manifests: which crates are policies, and what is said of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::BuilderError;

/// A crate that is a policy.
pub struct Policy {
    pub name: String,
    pub version: String,
    pub kind: Kind,
    pub hostile: bool,
    pub author: String,
    pub description: String,
    pub limits: Limits,
    /// The crate's folder, which may hold `golden/`.
    pub folder: PathBuf,
}

/// Which interface it exports.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Scoring,
    Validation,
    Payout,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scoring => "scoring",
            Self::Validation => "validation",
            Self::Payout => "payout",
        }
    }

    pub const fn abi(self) -> &'static str {
        match self {
            Self::Scoring => "lucid:policy/scoring@1.0.0",
            Self::Validation => "lucid:policy/validation@1.0.0",
            Self::Payout => "lucid:policy/payout@1.0.0",
        }
    }
}

/// What the policy promises to stay within; a crate may set its own under `[package.metadata.policy.limits]`.
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
struct Root {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    members: Vec<String>,
    package: WorkspacePackage,
}

#[derive(Deserialize)]
struct WorkspacePackage {
    authors: Vec<String>,
}

#[derive(Deserialize)]
struct Member {
    package: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    description: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    policy: Option<PolicyMetadata>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyMetadata {
    kind: Kind,
    #[serde(default)]
    hostile: bool,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
}

/// The workspace's policies, in the order of its members.
pub fn policies(plugins: &Path) -> Result<Vec<Policy>, BuilderError> {
    let root: Root = read(&plugins.join("Cargo.toml"))?;
    let author = root.workspace.package.authors.join(", ");
    let mut policies = Vec::new();
    for member in root.workspace.members {
        let folder = plugins.join(member);
        let path = folder.join("Cargo.toml");
        let Package { name, version, description, metadata } = read::<Member>(&path)?.package;
        let Some(policy) = metadata.policy else {
            continue;
        };
        let description = description.ok_or_else(|| BuilderError::Content { path, what: "a policy needs a description".to_owned() })?;
        policies.push(Policy {
            name,
            version,
            kind: policy.kind,
            hostile: policy.hostile,
            author: author.clone(),
            description,
            limits: policy.limits,
            folder,
        });
    }
    Ok(policies)
}

/// The version of a dependency that the lock file pins.
pub fn locked_version(lock: &Path, name: &str) -> Result<String, BuilderError> {
    let packages = read::<Lock>(lock)?.package;
    let locked = packages.into_iter().find(|package| package.name == name);
    locked.map(|package| package.version).ok_or_else(|| BuilderError::Content { path: lock.to_owned(), what: format!("{name} is not locked") })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, BuilderError> {
    let text = fs::read_to_string(path).map_err(BuilderError::io(path))?;
    toml::from_str(&text).map_err(|source| BuilderError::Toml { path: path.to_owned(), source: Box::new(source) })
}
