use std::{collections::BTreeMap, fmt};

use lucid_model::{
    id::Digest,
    policies::{MANIFEST_BYTES_MAX, PolicyKind, PolicyRef},
};
use semver::Version;

use crate::{
    abi::Abi,
    bundle::MANIFEST_FILE,
    config::EngineConfig,
    problem::{Problem, meant, shown},
    table::{self, Problems, Table, list},
};

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
    /// Who wrote it.
    pub author: String,
    /// What it does, for people.
    pub description: String,
    /// What built its component.
    pub compiler: String,
    /// What it promises to stay within.
    pub limits: Limits,
    /// Defaults that take the place of the component's own.
    pub params: BTreeMap<String, i64>,
}

/// What a policy promises to stay within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Why a text is not a manifest: every problem, with file, line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAManifest(String);

impl fmt::Display for NotAManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAManifest {}

const KEYS: [&str; 10] = [
    "name",
    "version",
    "kind",
    "abi",
    "sha256",
    "author",
    "description",
    "build",
    "limits",
    "params",
];
/// For whoever builds the component again; not every language has a linker or binding generator to
/// name.
const BUILD_KEYS: [&str; 3] = ["compiler", "linker", "wit_bindgen"];
const LIMIT_KEYS: [&str; 3] = ["memory_bytes_max", "fuel_base", "fuel_per_node"];

impl Manifest {
    /// Reads `policy.toml`.
    ///
    /// # Errors
    /// [`NotAManifest`] with every line that is wrong and what was expected there.
    pub fn parse(text: &str, config: &EngineConfig) -> Result<Self, NotAManifest> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(NotAManifest(format!(
                "{MANIFEST_FILE}: larger than {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        let problems = Problems::default();
        let root = table::parse(text, &problems);
        let read = read(&Table::root(&root, &KEYS, &problems), &problems, config);
        match (read, problems.into_inner()) {
            (Some(manifest), problems) if problems.is_empty() => Ok(manifest),
            (_, problems) => Err(NotAManifest(shown(MANIFEST_FILE, text, problems))),
        }
    }
}

/// Reads every key, whatever became of those before it; none if one that is needed could not be
/// read.
fn read(root: &Table<'_, '_>, problems: &Problems, config: &EngineConfig) -> Option<Manifest> {
    let name = root.parsed("name", "name = \"fair-share\"", |text| {
        if is_kebab(text) {
            Ok(text.to_owned())
        } else {
            Err(format!(
                "expected kebab-case of 1 to {NAME_BYTES_MAX} characters{}",
                like_kebab(text)
            ))
        }
    });
    let version = root.parsed("version", "version = \"1.0.0\"", |text| {
        text.parse::<Version>()
            .map_err(|error| format!("expected a version such as 1.0.0: {error}"))
    });
    let kind = root.parsed("kind", "kind = \"scoring\"", |text| {
        let words: Vec<_> = PolicyKind::ALL.iter().map(|kind| kind.name()).collect();
        PolicyKind::from_name(text).ok_or_else(|| {
            format!("expected {}{}", list(&words), meant(text, words.iter().copied()))
        })
    });
    let abi = root.text("abi", "abi = \"lucid:policy/scoring@1.0.0\"");
    let interface = abi.as_ref().zip(kind.as_ref()).and_then(|(abi, kind)| {
        let served = Abi::of(abi.value, kind.value);
        if served.is_none() {
            let what = format!("{:?} is not served for kind {:?}", abi.value, kind.value.name());
            problems.add(Problem::at(
                abi.span.clone(),
                what,
                format!("this host serves {:?}", Abi::V1.interface(kind.value)),
            ));
        }
        served
    });
    let digest = root.parsed("sha256", "sha256 = \"(64 hex digits)\"", |text| {
        text.parse::<Digest>()
            .map_err(|_| "expected 64 hex digits: sha256sum policy.wasm".to_owned())
    });
    let author = root.text("author", "author = \"Your name\"");
    let description = root.text("description", "description = \"What it rewards.\"");
    let compiler = root
        .table("build", &BUILD_KEYS, "[build] with compiler = \"rustc 1.95.0\"")
        .and_then(|build| {
            build.text_or_none("linker");
            build.text_or_none("wit_bindgen");
            build.text("compiler", "compiler = \"rustc 1.95.0\"")
        });
    let limits = root
        .table("limits", &LIMIT_KEYS, "[limits] with memory_bytes_max, fuel_base and fuel_per_node")
        .and_then(|limits| {
            let memory_bytes_max = limits.number(
                "memory_bytes_max",
                "memory_bytes_max = 16777216",
                config.memory_bytes_max as u64,
            );
            let fuel_base = limits.number("fuel_base", "fuel_base = 2000000", config.fuel_base_max);
            let fuel_per_node =
                limits.number("fuel_per_node", "fuel_per_node = 20000", config.fuel_per_node_max);
            Some(Limits {
                memory_bytes_max: usize::try_from(memory_bytes_max?).ok()?,
                fuel_base: fuel_base?,
                fuel_per_node: fuel_per_node?,
            })
        });
    let params = root.numbers("params").into_iter().map(|(name, value, _)| (name, value)).collect();
    let (kind, abi) = (kind?.value, abi?.value.to_owned());
    let policy = PolicyRef { name: name?.value, version: version?.value, digest: digest?.value };
    let (author, description) = (author?.value.to_owned(), description?.value.to_owned());
    let build = compiler?.value.to_owned();
    Some(Manifest {
        policy,
        kind,
        abi,
        interface: interface?,
        author,
        description,
        compiler: build,
        limits: limits?,
        params,
    })
}

/// The same name as it might be spelt.
fn like_kebab(text: &str) -> String {
    let words: Vec<_> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let name = words.join("-");
    if is_kebab(&name) { format!(", such as {name}") } else { String::new() }
}

/// The newest interface that a policy of a kind exports.
pub fn abi_of(kind: PolicyKind) -> &'static str {
    Abi::V1.interface(kind)
}

/// `a-b2`: lower-case words and digits with single hyphens between.
pub fn is_kebab(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
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
        assert_eq!(
            (manifest.policy.to_string().as_str(), manifest.kind, manifest.limits.fuel(4)),
            ("fair@1.2.3", PolicyKind::Payout, 22)
        );
        assert_eq!(manifest.params["floor"], 7);
    }

    #[test]
    fn what_no_host_serves_is_shown_where_it_stands() {
        let text = TEXT
            .replace("payout@1.0.0", "payout@2.0.0")
            .replace("name = \"fair\"", "name = \"Fair Share\"")
            .replace("4989", "zzzz");
        insta::assert_snapshot!(parse(&text.replace("65536", "1000000000000")).unwrap_err());
    }

    #[test]
    fn every_wrong_line_is_told_at_once_with_what_was_meant() {
        let text = TEXT
            .replace("fuel_base = 10", "fuel_bas = 10\nfuel_per_node = \"many\"")
            .replace("fuel_per_node = 3\n", "")
            .replace("kind = \"payout\"", "kind = \"payouts\"")
            .replace("author = \"A\"", "autor = \"A\"\nsurprise = true")
            .replace("\"1.2.3\"", "1.2")
            .replace("floor = 7", "floor = \"seven\"");
        insta::assert_snapshot!(parse(&text).unwrap_err());
    }

    #[test]
    fn a_text_that_is_no_toml_is_shown_where_it_stops_being() {
        insta::assert_snapshot!(
            parse(&TEXT.replace("name = \"fair\"", "name = \"fair")).unwrap_err()
        );
        insta::assert_snapshot!(
            parse(&TEXT.replace("fuel_base = 10", "fuel_base = 10\nfuel_base = 11")).unwrap_err()
        );
        insta::assert_snapshot!(parse("").unwrap_err());
    }
}
