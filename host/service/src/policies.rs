//! Policies: what versions there are, what is in force, what the gate found. The store is the only
//! truth of what is active; the runtime is told after the store was changed.

mod activate;
mod compare;
mod file;
mod retire;
mod stage;

use std::{collections::HashSet, sync::Arc};

use lucid_model::{
    id::Digest,
    policies::{
        Activation, Bundle, ParamValues, PolicyKind, PolicyReport, PolicyVersion, ReportCause,
        ReportedCheck, Revision, Standing, applicable,
    },
};
use lucid_ports::{GateReport, StoredBundle};

pub use self::{
    activate::{ActivationRequest, Start},
    compare::Comparison,
    file::{ActiveFile, NamedActivation},
    stage::Staged,
};
use crate::{Actor, Role, Service, ServiceError};

/// A version, where it stands, and its activations that still count.
#[derive(Debug, Clone)]
pub struct VersionStanding {
    pub version: PolicyVersion,
    /// In force, scheduled, …
    pub standing: Standing,
    /// Where it is or will be in force.
    pub activations: Vec<Activation>,
}

/// Which versions.
#[derive(Debug, Clone, Default)]
pub struct VersionFilter {
    /// Of this kind.
    pub kind: Option<PolicyKind>,
    /// Of this name.
    pub name: Option<String>,
    /// That stand there.
    pub standing: Option<Standing>,
}

impl Service {
    /// Loads what the store says is active. Run at start, and whenever another replica changed it.
    ///
    /// # Errors
    /// [`ServiceError::Publish`] if a version cannot be loaded: the snapshot before stays.
    pub async fn load_policies(&self) -> Result<Revision, ServiceError> {
        let (revision, active) = self.applicable().await?;
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

    /// The store's last revision, and every activation that may still decide about something.
    async fn applicable(&self) -> Result<(Revision, Vec<Activation>), ServiceError> {
        let (revision, active) = self.store().active().await?;
        Ok((revision, applicable(active, self.oldest_open_s().await?)))
    }

    /// The start of the oldest epoch or settlement period that is not calculated yet, Unix seconds.
    async fn oldest_open_s(&self) -> Result<i64, ServiceError> {
        let epoch = self.store().last_epoch().await?.map(|last| last.epoch.end_s());
        let settled = self.store().last_settlement().await?.map(|last| last.period.end_s());
        Ok(epoch.zip(settled).map_or(i64::MIN, |(epoch, settled)| epoch.min(settled)))
    }

    async fn bundles_of(
        &self,
        active: &[Activation],
    ) -> Result<Vec<(Digest, Arc<StoredBundle>)>, ServiceError> {
        let mut bundles: Vec<(Digest, Arc<StoredBundle>)> = Vec::new();
        for activation in active {
            let digest = activation.policy.digest;
            if bundles.iter().all(|(known, _)| *known != digest) {
                let stored =
                    self.store().bundle(digest).await?.ok_or(ServiceError::no("policy version"))?;
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

    /// Puts a bundle through the gate and keeps what it found.
    pub(crate) async fn examine(
        &self,
        actor: &Actor,
        bundle: Arc<Bundle>,
        params: &ParamValues,
        (cause, origin): (ReportCause, &str),
    ) -> Result<GateReport, ServiceError> {
        let report = self.ports.policies.check(bundle, params.clone()).await;
        let checks = report.checks.iter().map(|(name, finding)| ReportedCheck {
            name: name.clone(),
            failure: finding.clone().err(),
        });
        let kept = PolicyReport {
            id: self.uuid_v7(),
            at: self.now(),
            actor: actor.subject.clone(),
            cause,
            origin: origin.to_owned(),
            policy: report.policy.clone(),
            kind: report.kind,
            params: params.clone(),
            checks: checks.collect(),
        };
        self.store().add_report(kept).await?;
        Ok(report)
    }

    /// Puts a version that is kept through the gate once more, with params of the caller's.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is no such version.
    pub async fn check_version(
        &self,
        actor: &Actor,
        digest: Digest,
        params: &ParamValues,
    ) -> Result<GateReport, ServiceError> {
        needs_author(actor)?;
        let stored =
            self.store().bundle(digest).await?.ok_or(ServiceError::no("policy version"))?;
        self.examine(actor, Arc::new(stored.bundle), params, (ReportCause::Check, "store")).await
    }

    /// What the gate found, newest first; with a digest, of one component.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn policy_reports(
        &self,
        digest: Option<Digest>,
        limit: u32,
    ) -> Result<Vec<PolicyReport>, ServiceError> {
        Ok(self.store().reports(digest, limit).await?)
    }

    /// Versions and where they stand, newest first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn policy_versions(
        &self,
        filter: &VersionFilter,
    ) -> Result<Vec<VersionStanding>, ServiceError> {
        let (_, active) = self.applicable().await?;
        let now_s = self.now().unix_s_floor();
        let shadows: HashSet<_> = self
            .store()
            .running_shadows()
            .await?
            .into_iter()
            .map(|shadow| (shadow.policy.digest, shadow.kind))
            .collect();
        let stand = |version: PolicyVersion| {
            let of = |activation: &&Activation| {
                activation.policy.digest == version.policy.digest && activation.kind == version.kind
            };
            let activations = active.iter().filter(of).cloned().collect();
            let is_shadow = shadows.contains(&(version.policy.digest, version.kind));
            VersionStanding {
                standing: version.standing(&active, is_shadow, now_s),
                activations,
                version,
            }
        };
        let wanted = |found: &VersionStanding| {
            filter.kind.is_none_or(|kind| kind == found.version.kind)
                && filter.name.as_ref().is_none_or(|name| *name == found.version.policy.name)
                && filter.standing.is_none_or(|standing| standing == found.standing)
        };
        Ok(self.store().versions().await?.into_iter().map(stand).filter(wanted).collect())
    }

    /// The version of a name and number.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn policy_version(
        &self,
        kind: PolicyKind,
        name: &str,
        version: &str,
    ) -> Result<VersionStanding, ServiceError> {
        let filter =
            VersionFilter { kind: Some(kind), name: Some(name.to_owned()), standing: None };
        let found = self
            .policy_versions(&filter)
            .await?
            .into_iter()
            .find(|found| found.version.policy.version.to_string() == version);
        found.ok_or(ServiceError::no("policy version"))
    }

    /// What is in force or scheduled, as the store says, with the revision that this process runs.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn active_policies(&self) -> Result<(Revision, Vec<Activation>), ServiceError> {
        let (_, active) = self.applicable().await?;
        Ok((self.ports.policies.snapshot().revision(), active))
    }

    /// All activations, newest first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn policy_activations(&self, limit: u32) -> Result<Vec<Activation>, ServiceError> {
        Ok(self.store().activations(limit).await?)
    }
}

pub(crate) fn needs_author(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::PolicyAuthor) || actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role policy-author or operator" })
    }
}

fn needs_operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role operator" })
    }
}
