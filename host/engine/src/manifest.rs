use std::{collections::BTreeMap, fmt};

use lucid_model::{
    id::Digest,
    policy::{PolicyKind, PolicyRef},
};
use semver::Version;
use serde::Deserialize;

use crate::{abi::Abi, bundle::MANIFEST_BYTES_MAX, config::EngineConfig};

const NAME_BYTES_MAX: usize = 64;

/// `policy.toml`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name, version and digest.
    pub policy: PolicyRef,
    /// What it decides.
    pub kind: PolicyKind,
    /// The interface it exports, as it is spelt.
    pub abi: String,
    /// The same, understood.
    pub(crate) interface: Abi,
    /// What it promises to stay within.
    pub limits: Limits,
    /// Defaults that take the place of the component's own.
    pub params: BTreeMap<String, i64>,
}

/// What a policy promises to stay within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory.
    pub memory_bytes_max: usize,
    /// Fuel of a call without rows.
    pub fuel_base: u64,
    /// Fuel of each row on top.
    pub fuel_per_node: u64,
}

impl Limits {
    /// Fuel for a call with `rows` rows.
    pub fn fuel(&self, rows: u32) -> u64 {
        self.fuel_per_node.saturating_mul(u64::from(rows)).saturating_add(self.fuel_base)
    }
}

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAManifest(String);

impl fmt::Display for NotAManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: Version,
    kind: Kind,
    abi: String,
    sha256: String,
    #[serde(rename = "author")]
    _author: String,
    #[serde(rename = "description")]
    _description: String,
    #[serde(rename = "build")]
    _build: Build,
    limits: Limits,
    #[serde(default)]
    params: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Scoring,
    Validation,
    Payout,
}

/// For whoever builds the component again; not every language has a linker or binding generator to name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "compiler")]
    _compiler: String,
    #[serde(rename = "linker")]
    _linker: Option<String>,
    #[serde(rename = "wit_bindgen")]
    _wit_bindgen: Option<String>,
}

impl Manifest {
    /// Reads `policy.toml`.
    ///
    /// # Errors
    /// [`NotAManifest`] with the line and what was expected there.
    pub fn parse(text: &str, config: &EngineConfig) -> Result<Self, NotAManifest> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(NotAManifest(format!("larger than {MANIFEST_BYTES_MAX} bytes")));
        }
        let file: File = toml::from_str(text).map_err(|error| NotAManifest(error.to_string().trim_end().to_owned()))?;
        if !is_kebab(&file.name) {
            return Err(NotAManifest(format!("name {:?} is not kebab-case of 1 to {NAME_BYTES_MAX} characters", file.name)));
        }
        let digest = file.sha256.parse::<Digest>().map_err(|_| NotAManifest(format!("sha256 {:?} is not 64 hex digits", file.sha256)))?;
        let kind = match file.kind {
            Kind::Scoring => PolicyKind::Scoring,
            Kind::Validation => PolicyKind::Validation,
            Kind::Payout => PolicyKind::Payout,
        };
        let interface = Abi::of(&file.abi, kind).ok_or_else(|| {
            NotAManifest(format!("abi {:?} is not served for kind {:?}; this host serves {:?}", file.abi, kind.name(), Abi::V1.interface(kind)))
        })?;
        within("memory_bytes_max", file.limits.memory_bytes_max, config.memory_bytes_max)?;
        within("fuel_base", file.limits.fuel_base, config.fuel_base_max)?;
        within("fuel_per_node", file.limits.fuel_per_node, config.fuel_per_node_max)?;
        let policy = PolicyRef { name: file.name, version: file.version, digest };
        Ok(Self { policy, kind, abi: file.abi, interface, limits: file.limits, params: file.params })
    }
}

fn within<N: PartialOrd + fmt::Display>(limit: &str, value: N, max: N) -> Result<(), NotAManifest> {
    if value <= max { Ok(()) } else { Err(NotAManifest(format!("limits.{limit} is {value}; this host allows at most {max}"))) }
}

/// `a-b2`: lower-case words and digits with single hyphens between.
pub fn is_kebab(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && name.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
name = "fair"
version = "1.2.3"
kind = "payout"
abi = "lucid:policy/payout@1.0.0"
sha256 = "498941e7a5c41a966264db0d3fd1788b907768161aa37d5b86fd6ef866ab67a2"
author = "A"
description = "D"
[build]
compiler = "rustc"
[limits]
memory_bytes_max = 65536
fuel_base = 10
fuel_per_node = 3
[params]
floor = 7
"#;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, &EngineConfig::new("cache")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_manifest_says_what_a_policy_promises() {
        let manifest = parse(TEXT).unwrap();
        assert_eq!((manifest.policy.to_string().as_str(), manifest.kind, manifest.limits.fuel(4)), ("fair@1.2.3", PolicyKind::Payout, 22));
        assert_eq!(manifest.params["floor"], 7);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_shows_the_line() {
        let error = parse(&TEXT.replace("fuel_base = 10", "fuel_base = 10\nfuel_bas = 3")).unwrap_err();
        assert!(error.contains("line 14") && error.contains("unknown field `fuel_bas`") && error.contains("fuel_base"), "{error}");
    }

    #[test]
    fn what_no_host_serves_is_named() {
        for (from, to, named) in [
            ("payout@1.0.0", "payout@2.0.0", "payout@2.0.0"),
            ("kind = \"payout\"", "kind = \"scoring\"", "scoring"),
            ("name = \"fair\"", "name = \"Fair Share\"", "kebab-case"),
            ("65536", "1000000000000", "limits.memory_bytes_max"),
            ("4989", "zzzz", "64 hex digits"),
        ] {
            let error = parse(&TEXT.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
