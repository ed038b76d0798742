use lucid_model::{
    id::Digest,
    policy::{ParamValues, PolicyKind, PolicyVersion, Revision, Scope},
};
use lucid_ports::ImportRecord;

use super::{ActivationRequest, Start};
use crate::{Actor, Service, ServiceError};

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
    /// From when on.
    pub start: Start,
}

impl Service {
    /// Applies an `active.toml` if its content is another than the one applied last: a later change by the API is not
    /// undone at the next start, and changing the file back is a change. Payout policies need a second person where
    /// four eyes are asked for, except the very first one, if it is `trusted` (built in), and
    /// those that two trusted keys have signed.
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
        let (versions, (_, active)) = (self.store().versions().await?, self.applicable().await?);
        let mut requests = Vec::new();
        for activation in wanted {
            let named = |v: &&PolicyVersion| {
                v.kind == activation.kind && v.policy.name == activation.name && v.policy.version.to_string() == activation.version
            };
            let version = versions.iter().find(named).ok_or_else(|| ServiceError::BundleRefused {
                reason: format!("active.toml: no checked bundle {}@{} of kind {}", activation.name, activation.version, activation.kind.name()),
            })?;
            let current = active.iter().rev().find(|a| (a.kind, a.scope) == (activation.kind, activation.scope));
            if current.is_some_and(|a| a.policy == version.policy && a.params == activation.params) {
                continue;
            }
            let first = current.is_none() && trusted.contains(&version.policy.digest);
            if version.kind == PolicyKind::Payout && self.config.four_eyes && !first && !self.two_signed(version).await? {
                let text = "it needs a person to activate it, or the signatures of two whose keys are trusted";
                self.alert("payout-policy", format!("active.toml names payout policy {}: {text}", version.policy));
                continue;
            }
            let (scope, digest, params) = (activation.scope, version.policy.digest, activation.params);
            let request = ActivationRequest { scope, digest, params, start: activation.start, reason: "active.toml".into() };
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
}

/// Under which name the digest of the `active.toml` applied last is kept.
fn last_active_file() -> Digest {
    Digest::of(b"active.toml")
}
