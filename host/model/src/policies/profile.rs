//! What a policy says of itself and needs of a host, and how two of them differ.

use super::{ParamSpec, PolicyKind, PolicyRef};
use crate::id::Digest;

/// A fact that a policy reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactRead {
    /// Of what: a node, a registration, an observation, a score claim.
    pub of: &'static str,
    pub name: &'static str,
    /// Its unit; none for facts of claims, whose catalogue says it.
    pub unit: Option<&'static str>,
    /// What it is when nothing is known.
    pub default: Option<i64>,
}

/// Everything a policy says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProfile {
    /// Name, version and digest.
    pub policy: PolicyRef,
    /// What it decides.
    pub kind: PolicyKind,
    /// The interface it exports.
    pub abi: String,
    /// Who wrote it.
    pub author: String,
    /// What it does, for people.
    pub description: String,
    /// What built its component.
    pub compiler: String,
    /// Bytes of its component.
    pub component_bytes: u64,
    /// What its component needs.
    pub imports: Vec<String>,
    /// Linear memory it promises to stay within.
    pub memory_bytes_max: u64,
    /// Fuel of a call without rows, likewise.
    pub fuel_base: u64,
    /// Fuel of each row on top, likewise.
    pub fuel_per_node: u64,
    /// What it reads.
    pub facts: Vec<FactRead>,
    /// What it can be told.
    pub params: Vec<ParamSpec>,
}

/// Something that is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed<T> {
    pub what: &'static str,
    pub before: T,
    pub after: T,
}

/// What is there now and was not, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved<T> {
    /// New.
    pub added: Vec<T>,
    /// Gone.
    pub removed: Vec<T>,
}

/// A param that is new, gone or another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedParam {
    pub name: String,
    /// As it was; none if it is new.
    pub before: Option<ParamSpec>,
    /// As it is; none if it is gone.
    pub after: Option<ParamSpec>,
}

/// A component by its content and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentSize {
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
}

/// How two policies differ; what is alike is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDifferences {
    /// What the manifests say in words.
    pub manifest: Vec<Changed<String>>,
    /// The components.
    pub component: Option<Changed<ComponentSize>>,
    /// What they promise to stay within.
    pub limits: Vec<Changed<u64>>,
    /// What their components need.
    pub imports: Moved<String>,
    /// What they read.
    pub facts: Moved<FactRead>,
    /// What they can be told, by name.
    pub params: Vec<ChangedParam>,
}

impl PolicyProfile {
    /// What is another in `after`.
    pub fn differences(&self, after: &Self) -> PolicyDifferences {
        let component =
            |of: &Self| ComponentSize { digest: of.policy.digest, bytes: of.component_bytes };
        PolicyDifferences {
            manifest: changed(self.words(), after.words()),
            component: changed([("component", component(self))], [("component", component(after))])
                .pop(),
            limits: changed(self.limits(), after.limits()),
            imports: moved(&self.imports, &after.imports),
            facts: moved(&self.facts, &after.facts),
            params: params(&self.params, &after.params),
        }
    }

    fn words(&self) -> [(&'static str, String); 7] {
        [
            ("name", self.policy.name.clone()),
            ("version", self.policy.version.to_string()),
            ("kind", self.kind.name().to_owned()),
            ("abi", self.abi.clone()),
            ("author", self.author.clone()),
            ("description", self.description.clone()),
            ("compiler", self.compiler.clone()),
        ]
    }

    fn limits(&self) -> [(&'static str, u64); 3] {
        [
            ("memory_bytes_max", self.memory_bytes_max),
            ("fuel_base", self.fuel_base),
            ("fuel_per_node", self.fuel_per_node),
        ]
    }
}

fn changed<T: PartialEq, const N: usize>(
    before: [(&'static str, T); N],
    after: [(&'static str, T); N],
) -> Vec<Changed<T>> {
    let pairs = before.into_iter().zip(after).filter(|((_, before), (_, after))| before != after);
    pairs.map(|((what, before), (_, after))| Changed { what, before, after }).collect()
}

fn moved<T: PartialEq + Clone>(before: &[T], after: &[T]) -> Moved<T> {
    let lacking =
        |from: &[T], all: &[T]| all.iter().filter(|one| !from.contains(one)).cloned().collect();
    Moved { added: lacking(before, after), removed: lacking(after, before) }
}

fn params(before: &[ParamSpec], after: &[ParamSpec]) -> Vec<ChangedParam> {
    let find =
        |specs: &[ParamSpec], name: &str| specs.iter().find(|spec| spec.name == name).cloned();
    let mut names: Vec<_> = before.iter().chain(after).map(|spec| &spec.name).collect();
    names.sort_unstable();
    names.dedup();
    let both = names.into_iter().map(|name| ChangedParam {
        name: name.clone(),
        before: find(before, name),
        after: find(after, name),
    });
    both.filter(|param| param.before != param.after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, default: i64) -> ParamSpec {
        ParamSpec {
            name: name.into(),
            unit: "ppm".into(),
            default,
            min: 0,
            max: 10,
            doc: String::new(),
        }
    }

    fn profile() -> PolicyProfile {
        PolicyProfile {
            policy: PolicyRef {
                name: "fair".into(),
                version: semver::Version::new(1, 0, 0),
                digest: Digest::of(b"1"),
            },
            kind: PolicyKind::Scoring,
            abi: "abi".into(),
            author: "alice".into(),
            description: "shares".into(),
            compiler: "rustc".into(),
            component_bytes: 7,
            imports: vec!["a".into(), "b".into()],
            memory_bytes_max: 1,
            fuel_base: 2,
            fuel_per_node: 3,
            facts: vec![FactRead { of: "node", name: "uptime-ppm", unit: None, default: None }],
            params: vec![param("floor", 1), param("gone", 2)],
        }
    }

    #[test]
    fn a_policy_does_not_differ_from_itself() {
        let none = PolicyDifferences {
            manifest: Vec::new(),
            component: None,
            limits: Vec::new(),
            imports: Moved { added: Vec::new(), removed: Vec::new() },
            facts: Moved { added: Vec::new(), removed: Vec::new() },
            params: Vec::new(),
        };
        assert_eq!(profile().differences(&profile()), none);
    }

    #[test]
    fn only_what_is_another_is_told_with_both_sides() {
        let (before, mut after) = (profile(), profile());
        after.policy = PolicyRef {
            version: semver::Version::new(1, 1, 0),
            digest: Digest::of(b"2"),
            ..after.policy
        };
        after.fuel_base = 20;
        after.imports = vec!["b".into(), "c".into()];
        after.facts.clear();
        after.params = vec![param("new", 3), param("floor", 5)];
        let found = before.differences(&after);
        assert_eq!(
            found.manifest,
            [Changed { what: "version", before: "1.0.0".into(), after: "1.1.0".into() }]
        );
        let size = |content: &[u8]| ComponentSize { digest: Digest::of(content), bytes: 7 };
        assert_eq!(
            found.component,
            Some(Changed { what: "component", before: size(b"1"), after: size(b"2") })
        );
        assert_eq!(found.limits, [Changed { what: "fuel_base", before: 2, after: 20 }]);
        assert_eq!(found.imports, Moved { added: vec!["c".into()], removed: vec!["a".into()] });
        assert_eq!(found.facts, Moved { added: Vec::new(), removed: before.facts.clone() });
        let defaults = |param: &ChangedParam| {
            (
                param.name.clone(),
                param.before.as_ref().map(|s| s.default),
                param.after.as_ref().map(|s| s.default),
            )
        };
        let params: Vec<_> = found.params.iter().map(defaults).collect();
        assert_eq!(
            params,
            [
                ("floor".into(), Some(1), Some(5)),
                ("gone".into(), Some(2), None),
                ("new".into(), None, Some(3))
            ]
        );
    }
}
