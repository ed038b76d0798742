//! What is in force: an immutable snapshot, swapped whole.

use std::{collections::HashMap, sync::Arc};

use lucid_model::{
    id::Digest,
    policy::{Activation, PolicyKind, Revision, Scope},
};
use lucid_ports::{PayoutPolicy, PolicySnapshot, PublishError, ScoringPolicy, StoredBundle, ValidationPolicy};

use crate::{
    active::ActivePolicy,
    load::{Checks, Programs},
    loaded::LoadedPolicy,
    threads::GuestThreads,
};

/// What is in force at one moment.
#[derive(Default)]
pub struct Snapshot {
    revision: Revision,
    policies: HashMap<(PolicyKind, Scope), Arc<ActivePolicy>>,
}

impl Snapshot {
    /// Nothing.
    pub fn empty(revision: Revision) -> Self {
        Self { revision, policies: HashMap::new() }
    }

    /// The policy of a scope, else the default one.
    pub fn find(&self, kind: PolicyKind, scope: Scope) -> Option<Arc<ActivePolicy>> {
        self.policies.get(&(kind, scope)).or_else(|| self.policies.get(&(kind, Scope::Default))).cloned()
    }
}

impl PolicySnapshot for Snapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn scoring(&self, scope: Scope) -> Option<Arc<dyn ScoringPolicy>> {
        self.find(PolicyKind::Scoring, scope).map(|policy| policy as _)
    }

    fn validation(&self, scope: Scope) -> Option<Arc<dyn ValidationPolicy>> {
        self.find(PolicyKind::Validation, scope).map(|policy| policy as _)
    }

    fn payout(&self, scope: Scope) -> Option<Arc<dyn PayoutPolicy>> {
        self.find(PolicyKind::Payout, scope).map(|policy| policy as _)
    }
}

/// Loads everything a snapshot needs, on this thread; all of it or nothing.
pub fn load(
    programs: &Programs,
    threads: &Arc<GuestThreads>,
    revision: Revision,
    mut activations: Vec<Activation>,
    bundles: &[(Digest, Arc<StoredBundle>)],
) -> Result<Snapshot, PublishError> {
    // In order of revision, so that the newest of a kind and scope is the one that stays.
    activations.sort_by_key(|activation| activation.revision);
    let newest: HashMap<_, _> = activations.iter().map(|activation| ((activation.kind, activation.scope), activation)).collect();
    let mut policies = HashMap::with_capacity(newest.len());
    for (place, activation) in newest {
        let policy = load_one(programs, activation, bundles).map_err(|detail| PublishError { policy: activation.policy.clone(), detail })?;
        policies.insert(place, Arc::new(ActivePolicy { policy: Arc::new(policy), threads: Arc::clone(threads) }));
    }
    Ok(Snapshot { revision, policies })
}

fn load_one(programs: &Programs, activation: &Activation, bundles: &[(Digest, Arc<StoredBundle>)]) -> Result<LoadedPolicy, String> {
    let stored = bundles.iter().find(|(digest, _)| *digest == activation.policy.digest).map(|(_, stored)| stored);
    let bundle = &stored.ok_or_else(|| format!("its bundle {} is not there", activation.policy.digest))?.bundle;
    let mut checks = Checks::default();
    let Some(manifest) = programs.manifest(bundle, &mut checks) else { return Err(checks.failure()) };
    if manifest.policy != activation.policy || manifest.kind != activation.kind {
        let (found, wanted) = (manifest.kind.name(), activation.kind.name());
        return Err(format!("the bundle is {found} policy {}, the activation asks for {wanted} policy {}", manifest.policy, activation.policy));
    }
    // Once more: the keys that are trusted may have changed since it was handed in.
    if programs.signers(bundle, &mut checks).is_none() {
        return Err(checks.failure());
    }
    let policy = programs.load(bundle, manifest, &mut checks).ok_or_else(|| checks.failure())?;
    policy.with_params(&activation.params).map_err(|error| error.to_string())
}
