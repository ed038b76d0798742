//! Versions, where they stand, and what is in force.

use std::{collections::HashSet, sync::Arc};

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    id::Digest,
    policies::{
        Activation, Bundle, ParamValues, PolicyKind, PolicyReport, PolicyVersion, ReportCause,
        ReportedCheck, Revision, Standing, applicable,
    },
};
use lucid_ports::{GateReport, StoredBundle};

use crate::Policies;

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

impl Policies {
    /// Loads what the store says is active. Run at start, and whenever another replica changed it.
    ///
    /// # Errors
    /// [`ServiceError::Publish`] if a version cannot be loaded: the snapshot before stays.
    pub async fn load_policies(&self) -> Result<Revision, ServiceError> {
        let (revision, active) = self.applicable().await?;
        let bundles = self.bundles_of(&active).await?;
        self.parts.runtime.publish(revision, active, bundles).await?;
        Ok(revision)
    }

    /// Loads what is active if another replica changed it; answers the new revision, if it did.
    ///
    /// # Errors
    /// As [`Policies::load_policies`].
    pub async fn follow_policies(&self) -> Result<Option<Revision>, ServiceError> {
        let (revision, _) = self.parts.versions.active().await?;
        // What is published here meanwhile is newer, not older.
        if revision <= self.parts.runtime.snapshot().revision() {
            return Ok(None);
        }
        self.load_policies().await.map(Some)
    }

    /// The store's last revision, and every activation that may still decide about something.
    pub(crate) async fn applicable(&self) -> Result<(Revision, Vec<Activation>), ServiceError> {
        let (revision, active) = self.parts.versions.active().await?;
        Ok((revision, applicable(active, self.oldest_open_s().await?)))
    }

    /// The start of the oldest epoch or settlement period that is not calculated yet, Unix seconds.
    pub(crate) async fn oldest_open_s(&self) -> Result<i64, ServiceError> {
        let epoch = self.parts.epoch_records.last_epoch().await?.map(|last| last.epoch.end_s());
        let settled =
            self.parts.settlements.last_settlement().await?.map(|last| last.period.end_s());
        Ok(epoch.zip(settled).map_or(i64::MIN, |(epoch, settled)| epoch.min(settled)))
    }

    pub(crate) async fn bundles_of(
        &self,
        active: &[Activation],
    ) -> Result<Vec<(Digest, Arc<StoredBundle>)>, ServiceError> {
        let mut bundles: Vec<(Digest, Arc<StoredBundle>)> = Vec::new();
        for activation in active {
            let digest = activation.policy.digest;
            if bundles.iter().all(|(known, _)| *known != digest) {
                let stored = self
                    .parts
                    .versions
                    .bundle(digest)
                    .await?
                    .ok_or(ServiceError::no("policy version"))?;
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
        self.parts.runtime.unpack(archive).map_err(|reason| ServiceError::BundleRefused { reason })
    }

    /// Puts a bundle through the gate and keeps what it found.
    pub async fn examine(
        &self,
        actor: &Actor,
        bundle: Arc<Bundle>,
        params: &ParamValues,
        (cause, origin): (ReportCause, &str),
    ) -> Result<GateReport, ServiceError> {
        let report = self.parts.runtime.check(bundle, params.clone()).await;
        let checks = report.checks.iter().map(|(name, finding)| ReportedCheck {
            name: name.clone(),
            failure: finding.clone().err(),
        });
        let kept = PolicyReport {
            id: self.parts.ids.uuid_v7(),
            at: self.parts.clock.now(),
            actor: actor.subject.clone(),
            cause,
            origin: origin.to_owned(),
            policy: report.policy.clone(),
            kind: report.kind,
            params: params.clone(),
            checks: checks.collect(),
        };
        self.parts.versions.add_report(kept).await?;
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
            self.parts.versions.bundle(digest).await?.ok_or(ServiceError::no("policy version"))?;
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
        Ok(self.parts.versions.reports(digest, limit).await?)
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
        let now_s = self.parts.clock.now().unix_s_floor();
        let shadows: HashSet<_> = self
            .parts
            .shadows
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
        Ok(self.parts.versions.versions().await?.into_iter().map(stand).filter(wanted).collect())
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
        Ok((self.parts.runtime.snapshot().revision(), active))
    }

    /// All activations, newest first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn policy_activations(&self, limit: u32) -> Result<Vec<Activation>, ServiceError> {
        Ok(self.parts.versions.activations(limit).await?)
    }

    /// Whether every kind of policy is active.
    pub fn policies_loaded(&self) -> bool {
        use lucid_model::policies::Scope::Default;
        let snapshot = self.parts.runtime.snapshot();
        let now_s = self.parts.clock.now().unix_s_floor();
        snapshot.scoring(Default, now_s).is_some()
            && snapshot.validation(Default, now_s).is_some()
            && snapshot.payout(Default, now_s).is_some()
    }
}

pub fn needs_author(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::PolicyAuthor) || actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role policy-author or operator" })
    }
}

pub(crate) fn needs_operator(actor: &Actor) -> Result<(), ServiceError> {
    if actor.is(Role::Operator) {
        Ok(())
    } else {
        Err(ServiceError::Forbidden { why: "this needs role operator" })
    }
}
