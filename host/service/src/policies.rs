//! Policies: taking bundles in, activating versions, rolling back. The store is the only truth of what is active;
//! the runtime is told after the store was changed.

use std::sync::Arc;

use lucid_model::{
    audit::AuditEntry,
    canonical::Canonical,
    event::EventKind,
    id::Digest,
    policy::{Activation, Bundle, ParamValues, PolicyKind, PolicyRef, PolicyVersion, Revision, Scope, VersionState},
};
use lucid_ports::{Activated, GateReport, ImportRecord, StoredBundle};

use crate::{Actor, Role, Service, ServiceError};

/// A bundle that went through the gate.
#[derive(Debug, Clone)]
pub struct Staged {
    /// What the gate found.
    pub report: GateReport,
    /// The version, if it passed.
    pub version: Option<PolicyVersion>,
}

/// A version to be activated.
#[derive(Debug, Clone)]
pub struct ActivationRequest {
    /// Where.
    pub scope: Scope,
    /// Digest of its component.
    pub digest: Digest,
    /// Params.
    pub params: ParamValues,
    /// Why.
    pub reason: String,
}

/// An activation as `active.toml` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedActivation {
    /// Of which kind.
    pub kind: PolicyKind,
    /// Name of the policy.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where.
    pub scope: Scope,
    /// Params.
    pub params: ParamValues,
}

impl Service {
    /// Loads what the store says is active. Run at start, and whenever another replica changed it.
    ///
    /// # Errors
    /// [`ServiceError::Publish`] if a version cannot be loaded: the snapshot before stays.
    pub async fn load_policies(&self) -> Result<Revision, ServiceError> {
        let (revision, active) = self.store().active().await?;
        let bundles = self.bundles_of(&active).await?;
        self.ports.policies.publish(revision, active, bundles).await?;
        Ok(revision)
    }

    /// Loads what is active if another replica changed it; answers the new revision, if it did.
    ///
    /// # Errors
    /// As [`Service::load_policies`].
    pub async fn follow_policies(&self) -> Result<Option<Revision>, ServiceError> {
        let (revision, _) = self.store().active().await?;
        // What is published here meanwhile is newer, not older.
        if revision <= self.ports.policies.snapshot().revision() {
            return Ok(None);
        }
        self.load_policies().await.map(Some)
    }

    async fn bundles_of(&self, active: &[Activation]) -> Result<Vec<(Digest, Arc<StoredBundle>)>, ServiceError> {
        let mut bundles: Vec<(Digest, Arc<StoredBundle>)> = Vec::new();
        for activation in active {
            let digest = activation.policy.digest;
            if bundles.iter().all(|(known, _)| *known != digest) {
                let stored = self.store().bundle(digest).await?.ok_or(ServiceError::no("policy version"))?;
                bundles.push((digest, Arc::new(stored)));
            }
        }
        Ok(bundles)
    }

    /// The bundle of an archive.
    ///
    /// # Errors
    /// [`ServiceError::BundleRefused`] if it is none.
    pub fn unpack_bundle(&self, archive: &[u8]) -> Result<Bundle, ServiceError> {
        self.ports.policies.unpack(archive).map_err(|reason| ServiceError::BundleRefused { reason })
    }

    /// Checks a bundle and keeps what passes. A refused one is reported, and changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or another version has its name and number.
    pub async fn stage(&self, actor: &Actor, bundle: Bundle, origin: &str) -> Result<Staged, ServiceError> {
        if !(actor.is(Role::PolicyAuthor) || actor.is(Role::Operator)) {
            return Err(ServiceError::Forbidden { why: "this needs role policy-author or operator" });
        }
        let bundle = Arc::new(bundle);
        let report = self.ports.policies.check(Arc::clone(&bundle), ParamValues::new()).await;
        if let Some(reason) = report.rejection() {
            let name = report.policy.as_ref().map_or_else(|| origin.to_owned(), ToString::to_string);
            tracing::warn!(bundle = origin, reason, "policy bundle refused");
            self.store().add_audit(self.audit_entry(actor, "policy.reject", &name, reason.clone())).await?;
            self.emit(EventKind::PolicyRejected { bundle: name, reason });
            return Ok(Staged { report, version: None });
        }
        let (Some(policy), Some(kind)) = (report.policy.clone(), report.kind) else {
            return Err(ServiceError::Internal { detail: "a bundle passed the gate without a name".into() });
        };
        let known = self.store().versions().await?;
        if known.iter().any(|v| v.policy.name == policy.name && v.policy.version == policy.version && v.policy.digest != policy.digest) {
            return Err(ServiceError::BundleRefused { reason: format!("version: {policy} exists with another content; give it a new version") });
        }
        let version = PolicyVersion {
            policy: policy.clone(),
            kind,
            abi: report.abi.clone(),
            state: VersionState::Checked,
            reason: None,
            uploaded_at: self.now(),
            uploaded_by: actor.subject.clone(),
            signed_by: report.signed_by.clone(),
        };
        if known.iter().any(|v| v.policy == policy) {
            let version = self.add_signatures(actor, version, &bundle).await?;
            return Ok(Staged { report, version: Some(version) });
        }
        let stored = StoredBundle { version: version.clone(), bundle: bundle.as_ref().clone() };
        let audit = self.audit_entry(actor, "policy.upload", &policy, origin).creating(&version);
        self.store().add_version(stored, audit).await?;
        Ok(Staged { report, version: Some(version) })
    }

    /// A version that is known already gets the signatures it is handed in with on top of those it has, if the whole
    /// bundle is the same.
    async fn add_signatures(&self, actor: &Actor, handed_in: PolicyVersion, bundle: &Bundle) -> Result<PolicyVersion, ServiceError> {
        let policy = &handed_in.policy;
        let Some(StoredBundle { version, bundle: mut kept }) = self.store().bundle(policy.digest).await? else { return Ok(handed_in) };
        let before = kept.signatures.clone();
        if kept.content_digest() == bundle.content_digest() {
            kept.add_signatures(&bundle.signatures);
        }
        if kept.signatures == before {
            return Ok(version);
        }
        let signers = self.ports.policies.signers(&kept).map_err(|error| ServiceError::BundleRefused { reason: error.to_string() })?;
        let signed = PolicyVersion { signed_by: signers.trusted, ..version.clone() };
        let audit = self.audit_entry(actor, "policy.sign", policy, signed.signed_by.join(", ")).changing(&version, &signed);
        self.store().sign_version(policy.digest, kept.signatures, signed.signed_by.clone(), audit).await?;
        Ok(signed)
    }

    /// Takes a bundle in that was found in a file: once for each content, refused ones too, so that they are not
    /// checked again at every start. None if it was taken in before.
    ///
    /// # Errors
    /// As [`Service::stage`].
    pub async fn stage_file(&self, bundle: Bundle, origin: &str) -> Result<Option<Staged>, ServiceError> {
        // With its signatures: what was refused without them is looked at again once it has them.
        let start = Canonical::tagged("lucid/v1/bundle-file").fixed(&bundle.content_digest().0);
        let content = Digest::of(&bundle.signatures.iter().fold(start, |bytes, signed| bytes.fixed(&signed.key.0).fixed(&signed.signature)).finish());
        if self.store().import(content).await?.is_some() {
            return Ok(None);
        }
        let staged = self.stage(&Actor::file(), bundle, origin).await;
        let outcome = match &staged {
            Ok(Staged { version: Some(version), .. }) => version.policy.to_string(),
            Ok(Staged { report, .. }) => format!("refused: {}", report.rejection().unwrap_or_default()),
            Err(ServiceError::BundleRefused { reason }) => format!("refused: {reason}"),
            Err(_) => return staged.map(Some),
        };
        self.store().record_import(ImportRecord { digest: content, outcome }).await?;
        staged.map(Some)
    }

    /// Activates a version: checked once more with its params, loaded, then written down as the truth.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the gate refuses, or somebody else changed what is active.
    pub async fn activate(&self, actor: &Actor, request: ActivationRequest) -> Result<Revision, ServiceError> {
        if !actor.is(Role::Operator) {
            return Err(ServiceError::Forbidden { why: "this needs role operator" });
        }
        let stored = self.store().bundle(request.digest).await?.ok_or(ServiceError::no("policy version"))?;
        let version = stored.version.clone();
        if version.kind == PolicyKind::Payout && self.config.four_eyes && version.uploaded_by == actor.subject {
            return Err(ServiceError::Forbidden { why: "who uploads a payout policy cannot alone activate it" });
        }
        self.activate_all(actor, vec![(version, request)]).await
    }

    async fn activate_all(&self, actor: &Actor, requests: Vec<(PolicyVersion, ActivationRequest)>) -> Result<Revision, ServiceError> {
        let (based_on, active) = self.store().active().await?;
        let mut added = Vec::new();
        for ((version, request), number) in requests.into_iter().zip(based_on.0 + 1..) {
            let stored = self.store().bundle(version.policy.digest).await?.ok_or(ServiceError::no("policy version"))?;
            let report = self.ports.policies.check(Arc::new(stored.bundle), request.params.clone()).await;
            if let Some(reason) = report.rejection() {
                return Err(ServiceError::BundleRefused { reason });
            }
            added.push(Activation {
                revision: Revision(number),
                kind: version.kind,
                scope: request.scope,
                policy: version.policy,
                params: request.params,
                at: self.now(),
                actor: actor.subject.clone(),
                reason: request.reason,
            });
        }
        let replaced = |old: &Activation| added.iter().any(|new| (new.kind, new.scope) == (old.kind, old.scope));
        let audit = added.iter().map(|new| self.audit_of_activation(actor, &active, new)).collect();
        let next: Vec<_> = active.into_iter().filter(|old| !replaced(old)).chain(added.iter().cloned()).collect();
        // What cannot be loaded never becomes the truth.
        let bundles = self.bundles_of(&next).await?;
        let revision = added.last().map_or(based_on, |a| a.revision);
        match self.store().activate(based_on, added.clone(), audit).await? {
            Activated::Conflict => return Err(ServiceError::Changed { what: "set of active policies" }),
            Activated::Done(_) => {}
        }
        if let Err(error) = self.ports.policies.publish(revision, next, bundles).await {
            self.alert("policies", format!("revision {} is active in the store and could not be loaded here: {error}", revision.0));
            return Err(error.into());
        }
        for activation in added {
            let (kind, scope, policy, revision) = (activation.kind, activation.scope, activation.policy, activation.revision);
            tracing::info!(%policy, kind = kind.name(), %scope, revision = revision.0, "policy activated");
            self.emit(EventKind::PolicyActivated { kind, scope, policy, revision });
        }
        Ok(revision)
    }

    fn audit_of_activation(&self, actor: &Actor, active: &[Activation], new: &Activation) -> AuditEntry {
        let entry = self.audit_entry(actor, "policy.activate", &new.policy, format!("{} {}: {}", new.kind.name(), new.scope, new.reason));
        match active.iter().find(|old| (old.kind, old.scope) == (new.kind, new.scope)) {
            Some(old) => entry.changing(old, new),
            None => entry.creating(new),
        }
    }

    /// Activates the version that was active before, in one call.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there was none.
    pub async fn roll_back(&self, actor: &Actor, kind: PolicyKind, scope: Scope) -> Result<Revision, ServiceError> {
        let all = self.store().activations(u32::MAX).await?;
        let mut of_scope = all.into_iter().filter(|a| a.kind == kind && a.scope == scope);
        let current = of_scope.next().ok_or(ServiceError::no("activation"))?;
        let differs = |a: &Activation| (a.policy.digest, &a.params) != (current.policy.digest, &current.params);
        let before = of_scope.find(differs).ok_or(ServiceError::no("activation before the current one"))?;
        let reason = format!("roll back from {}", current.policy);
        self.activate(actor, ActivationRequest { scope, digest: before.policy.digest, params: before.params, reason }).await
    }

    /// Applies an `active.toml` if its content is another than the one applied last: a later change by the API is not
    /// undone at the next start, and changing the file back is a change. Payout policies need a second person where four eyes are asked for, except the very first one, if
    /// it is `trusted` (built in), and those that two trusted keys have signed.
    ///
    /// # Errors
    /// [`ServiceError`] if a version is not there or is refused: nothing of the file is applied then.
    pub async fn apply_active_file(
        &self,
        content: Digest,
        wanted: Vec<NamedActivation>,
        trusted: &[Digest],
    ) -> Result<Option<Revision>, ServiceError> {
        let last = self.store().import(last_active_file()).await?;
        if last.is_some_and(|last| last.outcome == content.to_string()) {
            return Ok(None);
        }
        let (versions, (_, active)) = (self.store().versions().await?, self.store().active().await?);
        let mut requests = Vec::new();
        for activation in wanted {
            let named = |v: &&PolicyVersion| {
                v.kind == activation.kind && v.policy.name == activation.name && v.policy.version.to_string() == activation.version
            };
            let version = versions.iter().find(named).ok_or_else(|| ServiceError::BundleRefused {
                reason: format!("active.toml: no checked bundle {}@{} of kind {}", activation.name, activation.version, activation.kind.name()),
            })?;
            let current = active.iter().find(|a| (a.kind, a.scope) == (activation.kind, activation.scope));
            if current.is_some_and(|a| a.policy == version.policy && a.params == activation.params) {
                continue;
            }
            let first = current.is_none() && trusted.contains(&version.policy.digest);
            if version.kind == PolicyKind::Payout && self.config.four_eyes && !first && !self.two_signed(version).await? {
                let text = "it needs a person to activate it, or the signatures of two whose keys are trusted";
                self.alert("payout-policy", format!("active.toml names payout policy {}: {text}", version.policy));
                continue;
            }
            let request =
                ActivationRequest { scope: activation.scope, digest: version.policy.digest, params: activation.params, reason: "active.toml".into() };
            requests.push((version.clone(), request));
        }
        let revision = if requests.is_empty() { None } else { Some(self.activate_all(&Actor::file(), requests).await?) };
        self.store().record_import(ImportRecord { digest: last_active_file(), outcome: content.to_string() }).await?;
        Ok(revision)
    }

    /// Whether two people stand for a version, by the keys that are trusted now.
    async fn two_signed(&self, version: &PolicyVersion) -> Result<bool, ServiceError> {
        let Some(stored) = self.store().bundle(version.policy.digest).await? else { return Ok(false) };
        Ok(self.ports.policies.signers(&stored.bundle).is_ok_and(|signers| signers.trusted.len() >= 2))
    }

    /// All versions, newest first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn policy_versions(&self) -> Result<Vec<PolicyVersion>, ServiceError> {
        Ok(self.store().versions().await?)
    }

    /// What is active, as the store says, with the revision that this process runs.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn active_policies(&self) -> Result<(Revision, Vec<Activation>), ServiceError> {
        let (_, active) = self.store().active().await?;
        Ok((self.ports.policies.snapshot().revision(), active))
    }

    /// The version of a name and number.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn policy_version(&self, kind: PolicyKind, name: &str, version: &str) -> Result<PolicyRef, ServiceError> {
        let named = |v: &PolicyVersion| v.kind == kind && v.policy.name == name && v.policy.version.to_string() == version;
        self.store().versions().await?.into_iter().find(named).map(|v| v.policy).ok_or(ServiceError::no("policy version"))
    }
}

/// Under which name the digest of the `active.toml` applied last is kept.
fn last_active_file() -> Digest {
    Digest::of(b"active.toml")
}
