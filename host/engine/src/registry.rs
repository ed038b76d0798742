//! What is in force: an immutable snapshot, swapped whole.

use std::{collections::HashMap, sync::Arc};

use lucid_model::{
    id::Digest,
    policies::{Activation, ParamValues, PolicyKind, PolicyRef, Revision, Scope, applicable},
};
use lucid_ports::{
    PayoutPolicy, PolicySnapshot, PublishError, ScoringPolicy, StoredBundle, ValidationPolicy,
};

use crate::{
    active::ActivePolicy,
    load::{Checks, Programs},
    loaded::LoadedPolicy,
    threads::GuestThreads,
};

/// From when on each is in force, by time.
type Timeline = Vec<(i64, Arc<ActivePolicy>)>;

/// What is in force at one moment.
#[derive(Default)]
pub struct Snapshot {
    revision: Revision,
    policies: HashMap<(PolicyKind, Scope), Timeline>,
}

impl Snapshot {
    /// Nothing.
    pub fn empty(revision: Revision) -> Self {
        Self { revision, policies: HashMap::new() }
    }

    /// The policy of a scope, else the default one, for a period that starts at `at_s`.
    pub fn find(&self, kind: PolicyKind, scope: Scope, at_s: i64) -> Option<Arc<ActivePolicy>> {
        let of = |scope| {
            let timeline = self.policies.get(&(kind, scope))?;
            timeline
                .iter()
                .rev()
                .find(|(from_s, _)| *from_s <= at_s)
                .map(|(_, policy)| Arc::clone(policy))
        };
        of(scope).or_else(|| of(Scope::Default))
    }
}

impl PolicySnapshot for Snapshot {
    fn revision(&self) -> Revision {
        self.revision
    }

    fn scoring(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ScoringPolicy>> {
        self.find(PolicyKind::Scoring, scope, at_s).map(|policy| policy as _)
    }

    fn validation(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn ValidationPolicy>> {
        self.find(PolicyKind::Validation, scope, at_s).map(|policy| policy as _)
    }

    fn payout(&self, scope: Scope, at_s: i64) -> Option<Arc<dyn PayoutPolicy>> {
        self.find(PolicyKind::Payout, scope, at_s).map(|policy| policy as _)
    }
}

/// Loads everything a snapshot needs, on this thread; all of it or nothing.
pub fn load(
    programs: &Programs,
    threads: &Arc<GuestThreads>,
    revision: Revision,
    activations: Vec<Activation>,
    bundles: &[(Digest, Arc<StoredBundle>)],
) -> Result<Snapshot, PublishError> {
    let mut policies: HashMap<_, Timeline> = HashMap::new();
    // By revision, which is by time: what a later decision replaces is left out.
    for activation in applicable(activations, i64::MIN) {
        let failed = |detail| PublishError { policy: Box::new(activation.policy.clone()), detail };
        let stored = bundles
            .iter()
            .find(|(digest, _)| *digest == activation.policy.digest)
            .map(|(_, stored)| stored);
        let stored = stored.ok_or_else(|| {
            failed(format!("its bundle {} is not there", activation.policy.digest))
        })?;
        let policy =
            load_one(programs, (activation.kind, &activation.policy, &activation.params), stored)
                .map_err(failed)?;
        let active =
            Arc::new(ActivePolicy { policy: Arc::new(policy), threads: Arc::clone(threads) });
        policies
            .entry((activation.kind, activation.scope))
            .or_default()
            .push((activation.from_s, active));
    }
    Ok(Snapshot { revision, policies })
}

/// Loads a version that the store keeps to be called on guest threads, on this thread.
pub fn load_stored(
    programs: &Programs,
    threads: &Arc<GuestThreads>,
    kind: PolicyKind,
    stored: &StoredBundle,
    params: &ParamValues,
) -> Result<ActivePolicy, PublishError> {
    let policy = load_version(programs, kind, stored, params)?;
    Ok(ActivePolicy { policy: Arc::new(policy), threads: Arc::clone(threads) })
}

/// Loads a version that the store keeps, on this thread.
pub fn load_version(
    programs: &Programs,
    kind: PolicyKind,
    stored: &StoredBundle,
    params: &ParamValues,
) -> Result<LoadedPolicy, PublishError> {
    let wanted = &stored.version.policy;
    load_one(programs, (kind, wanted, params), stored)
        .map_err(|detail| PublishError { policy: Box::new(wanted.clone()), detail })
}

fn load_one(
    programs: &Programs,
    (kind, wanted, params): (PolicyKind, &PolicyRef, &ParamValues),
    stored: &StoredBundle,
) -> Result<LoadedPolicy, String> {
    let bundle = &stored.bundle;
    let mut checks = Checks::default();
    let Some(manifest) = programs.manifest(bundle, &mut checks) else {
        return Err(checks.failure());
    };
    if manifest.policy != *wanted || manifest.kind != kind {
        let (found, asked) = (manifest.kind.name(), kind.name());
        return Err(format!(
            "the bundle is {found} policy {}, what is asked for is {asked} policy {wanted}",
            manifest.policy
        ));
    }
    // Once more: the keys that are trusted may have changed since it was handed in.
    if programs.signers(bundle, &mut checks).is_none() {
        return Err(checks.failure());
    }
    let policy = programs.load(bundle, manifest, &mut checks).ok_or_else(|| checks.failure())?;
    policy.with_params(params).map_err(|error| error.to_string())
}
