//! Engines, bundles and calls for tests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use lucid_engine::{EngineConfig, PolicyEngine, read_bundle};
use lucid_model::{
    epochs::facts::total_saturating,
    id::{Digest, PoolId},
    policies::{
        Activation, Batch, Bundle, CallContext, ParamValues, PolicyIdentity, PolicyKind, PolicyRef,
        PolicyVersion, Revision, Scope, VersionState,
    },
    time::TimeMs,
};
use lucid_ports::{PolicyRuntime, PublishError, StoredBundle};
use tempfile::TempDir;

pub const BUILT_IN: [&str; 4] =
    ["observation-weighted", "observation-only", "proportional", "hardware-and-identity"];

/// An engine with a cache of its own.
pub struct Rig {
    pub engine: Arc<PolicyEngine>,
    pub config: EngineConfig,
    _dir: TempDir,
}

pub fn rig() -> Rig {
    rig_with(|_| {})
}

/// With other limits.
pub fn rig_with(change: impl FnOnce(&mut EngineConfig)) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let mut config =
        EngineConfig { guest_threads: 2, ..EngineConfig::new(dir.path().join("cache")) };
    change(&mut config);
    Rig { engine: PolicyEngine::new(config.clone()).unwrap(), config, _dir: dir }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn built_in_dir(name: &str) -> PathBuf {
    root().join("policies").join(name).join("1.0.0")
}

pub fn built_in(name: &str) -> Bundle {
    read_bundle(&built_in_dir(name)).unwrap()
}

pub fn hostile(name: &str) -> Bundle {
    read_bundle(&root().join("plugins/hostile/bundles").join(name).join("1.0.0")).unwrap()
}

/// Of all hostile policies that are committed.
pub fn hostile_names() -> BTreeSet<String> {
    let folders = std::fs::read_dir(root().join("plugins/hostile/bundles")).unwrap();
    folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect()
}

/// Bundles of earlier hosts, each with its place.
pub fn legacy_bundles() -> Vec<(String, Bundle)> {
    let folders = |dir: PathBuf| {
        std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect::<Vec<_>>()
    };
    let hosts = folders(root().join("plugins/legacy"));
    let versions = hosts.into_iter().flat_map(folders).flat_map(folders);
    versions.map(|dir| (dir.display().to_string(), read_bundle(&dir).unwrap())).collect()
}

/// The value of a key of a manifest.
pub fn said(bundle: &Bundle, key: &str) -> String {
    let line = bundle.manifest.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

/// The bundle as another version with the same component.
pub fn as_version(bundle: &Bundle, version: &str) -> Bundle {
    let from = format!("version = \"{}\"", said(bundle, "version"));
    Bundle {
        manifest: bundle.manifest.replace(&from, &format!("version = \"{version}\"")),
        ..bundle.clone()
    }
}

pub fn policy_of(bundle: &Bundle) -> PolicyRef {
    PolicyRef {
        name: said(bundle, "name"),
        version: said(bundle, "version").parse().unwrap(),
        digest: said(bundle, "sha256").parse().unwrap(),
    }
}

pub fn activation(
    bundle: &Bundle,
    revision: u64,
    scope: Scope,
    params: &[(&str, i64)],
) -> Activation {
    Activation {
        revision: Revision(revision),
        kind: PolicyKind::from_name(&said(bundle, "kind")).unwrap(),
        scope,
        policy: policy_of(bundle),
        params: params_of(params),
        from_s: 0,
        at: TimeMs::from_unix_s(1_760_000_000),
        actor: "test".into(),
        reason: String::new(),
    }
}

pub fn params_of(params: &[(&str, i64)]) -> ParamValues {
    params.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

pub fn stored(bundle: &Bundle) -> (Digest, Arc<StoredBundle>) {
    let policy = policy_of(bundle);
    let digest = policy.digest;
    let version = PolicyVersion {
        policy,
        kind: PolicyKind::from_name(&said(bundle, "kind")).unwrap(),
        abi: said(bundle, "abi"),
        state: VersionState::Checked,
        reason: None,
        uploaded_at: TimeMs::from_unix_s(1_760_000_000),
        uploaded_by: "test".into(),
        signed_by: Vec::new(),
    };
    (digest, Arc::new(StoredBundle { version, bundle: bundle.clone() }))
}

/// Puts bundles in force, each in its scope.
pub async fn publish(
    engine: &PolicyEngine,
    revision: u64,
    bundles: &[(&Bundle, Scope)],
) -> Result<(), PublishError> {
    let activations =
        bundles.iter().map(|(bundle, scope)| activation(bundle, revision, *scope, &[])).collect();
    engine
        .publish(
            Revision(revision),
            activations,
            bundles.iter().map(|(bundle, _)| stored(bundle)).collect(),
        )
        .await
}

pub fn pool(number: u128) -> Scope {
    Scope::Pool(PoolId(
        format!("00000000-0000-0000-0000-{number:012}").parse::<PoolId>().unwrap().0,
    ))
}

/// Rows of catalogue defaults, seen for half an hour.
pub fn call(identity: &PolicyIdentity, rows: usize) -> (CallContext, Batch) {
    let value = |name: &str, default| if name == "observed-s" { 1_800 } else { default };
    let columns: Vec<Arc<[i64]>> = identity
        .facts
        .iter()
        .map(|fact| vec![value(fact.info().name, fact.info().default); rows].into())
        .collect();
    let totals = columns.iter().map(|column| total_saturating(column)).collect();
    (context(totals), Batch { count: u32::try_from(rows).unwrap(), columns })
}

pub fn context(totals: Vec<i64>) -> CallContext {
    CallContext { epoch_start_s: 1_760_000_400, period_s: 3_600, seed: 1, totals }
}
