use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    audit::AuditEntry,
    fleet::pool::PoolStatus,
    id::Digest,
    notifications::event::EventKind,
    policies::{
        Activation, ParamValues, PolicyKind, PolicyVersion, ReportCause, Revision, Scope,
        VersionState, applicable,
    },
};
use lucid_ports::{Activated, TRACE};

use crate::Policies;
use crate::versions::needs_operator;

/// When an activation begins to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the next calculation.
    #[default]
    Now,
    /// With the next epoch; a payout policy with the next settlement period.
    NextPeriod,
}

impl Start {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextPeriod => "next_period",
        }
    }

    /// The start of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "now" => Some(Self::Now),
            "next_period" => Some(Self::NextPeriod),
            _ => None,
        }
    }
}

/// A version to be activated.
#[derive(Debug, Clone)]
pub struct ActivationRequest {
    pub scope: Scope,
    /// Digest of its component.
    pub digest: Digest,
    pub params: ParamValues,
    /// From when on.
    pub start: Start,
    pub reason: String,
}

impl Policies {
    /// Activates a version: checked once more with its params, loaded, then written down as the
    /// truth.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the gate refuses, or somebody else changed what is
    /// active.
    pub async fn activate(
        &self,
        actor: &Actor,
        request: ActivationRequest,
    ) -> Result<Revision, ServiceError> {
        needs_operator(actor)?;
        let version = self
            .parts
            .versions
            .bundle(request.digest)
            .await?
            .ok_or(ServiceError::no("policy version"))?
            .version;
        if version.kind == PolicyKind::Payout
            && self.parts.rules.four_eyes
            && version.uploaded_by == actor.subject
        {
            return Err(ServiceError::Forbidden {
                why: "who uploads a payout policy cannot alone activate it",
            });
        }
        self.activate_all(actor, vec![(version, request)]).await
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "service.activate_policies", skip_all)]
    pub(super) async fn activate_all(
        &self,
        actor: &Actor,
        requests: Vec<(PolicyVersion, ActivationRequest)>,
    ) -> Result<Revision, ServiceError> {
        let (based_on, active) = self.applicable().await?;
        let mut added = Vec::new();
        for ((version, request), number) in requests.into_iter().zip(based_on.0 + 1..) {
            added.push(self.examined(actor, version, request, Revision(number)).await?);
        }
        let audit = added.iter().map(|new| self.audit_of_activation(actor, &active, new)).collect();
        let next = applicable(
            active.into_iter().chain(added.iter().cloned()).collect(),
            self.oldest_open_s().await?,
        );
        // What cannot be found never becomes the truth.
        let bundles = self.bundles_of(&next).await?;
        let revision = added.last().map_or(based_on, |a| a.revision);
        match self.parts.versions.activate(based_on, added.clone(), audit).await? {
            Activated::Conflict => {
                return Err(ServiceError::Changed { what: "set of active policies" });
            }
            Activated::Done(_) => {}
        }
        if let Err(error) = self.parts.runtime.publish(revision, next, bundles).await {
            self.parts.notifications.alert(
                "policies",
                format!(
                    "revision {} is active in the store and could not be loaded here: {error}",
                    revision.0
                ),
            );
            return Err(error.into());
        }
        for activation in added {
            let (kind, scope, policy, revision) =
                (activation.kind, activation.scope, activation.policy, activation.revision);
            tracing::info!(%policy, kind = kind.name(), %scope, revision = revision.0, from_s = activation.from_s, "policy activated");
            self.parts.notifications.emit(EventKind::PolicyActivated {
                kind,
                scope,
                policy,
                revision,
            });
        }
        Ok(revision)
    }

    /// The activation that a request makes, if nothing is against it.
    async fn examined(
        &self,
        actor: &Actor,
        version: PolicyVersion,
        request: ActivationRequest,
        revision: Revision,
    ) -> Result<Activation, ServiceError> {
        if version.state == VersionState::Retired {
            return Err(ServiceError::Retired {
                policy: Box::new(version.policy),
                reason: version.reason.unwrap_or_default(),
            });
        }
        if let Scope::Pool(id) = request.scope {
            self.parts
                .pools
                .pool(id)
                .await?
                .filter(|pool| pool.status != PoolStatus::Inactive)
                .ok_or(ServiceError::no("pool"))?;
        }
        let stored = self
            .parts
            .versions
            .bundle(version.policy.digest)
            .await?
            .ok_or(ServiceError::no("policy version"))?;
        let report = self
            .examine(
                actor,
                Arc::new(stored.bundle),
                &request.params,
                (ReportCause::Activation, "store"),
            )
            .await?;
        if let Some(reason) = report.rejection() {
            return Err(ServiceError::BundleRefused { reason });
        }
        Ok(Activation {
            revision,
            kind: version.kind,
            scope: request.scope,
            policy: version.policy,
            params: request.params,
            from_s: self.begin_s(version.kind, request.start),
            at: self.parts.clock.now(),
            actor: actor.subject.clone(),
            reason: request.reason,
        })
    }

    fn begin_s(&self, kind: PolicyKind, start: Start) -> i64 {
        let length = if kind == PolicyKind::Payout {
            self.parts.rules.settlement
        } else {
            self.parts.rules.epoch
        };
        match start {
            Start::Now => 0,
            Start::NextPeriod => length.period_at(self.parts.clock.now()).end_s(),
        }
    }

    fn audit_of_activation(
        &self,
        actor: &Actor,
        active: &[Activation],
        new: &Activation,
    ) -> AuditEntry {
        let entry = self.parts.audit.entry(
            actor,
            "policy.activate",
            &new.policy,
            format!("{} {}: {}", new.kind.name(), new.scope, new.reason),
        );
        match active.iter().rev().find(|old| (old.kind, old.scope) == (new.kind, new.scope)) {
            Some(old) => entry.changing(old, new),
            None => entry.creating(new),
        }
    }

    /// Activates the version that was activated before the last one, in one call; what is scheduled
    /// counts as the last one, so that rolling back takes it back. Four eyes saw the version when
    /// it was activated first. What was rolled back from is left behind: rolling back again goes
    /// further back, and only an activation brings it again.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there was none.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        kind: PolicyKind,
        scope: Scope,
    ) -> Result<Revision, ServiceError> {
        needs_operator(actor)?;
        let all = self.parts.versions.activations(u32::MAX).await?;
        let mut in_use =
            not_left_behind(all.into_iter().rev().filter(|a| a.kind == kind && a.scope == scope));
        let current = in_use.pop().ok_or(ServiceError::no("activation"))?;
        for before in in_use.into_iter().rev().filter(|before| !is_same(before, &current)) {
            let version = self
                .parts
                .versions
                .bundle(before.policy.digest)
                .await?
                .ok_or(ServiceError::no("policy version"))?
                .version;
            if version.state == VersionState::Checked {
                let (digest, reason) = (version.policy.digest, roll_back_from(&current));
                let request = ActivationRequest {
                    scope,
                    digest,
                    params: before.params,
                    start: Start::Now,
                    reason,
                };
                return self.activate_all(actor, vec![(version, request)]).await;
            }
        }
        Err(ServiceError::no("activation before the current one"))
    }
}

fn is_same(one: &Activation, other: &Activation) -> bool {
    (one.policy.digest, &one.params) == (other.policy.digest, &other.params)
}

/// The reason of a roll back, which tells it from other activations.
fn roll_back_from(current: &Activation) -> String {
    format!("roll back from {}", current.policy)
}

/// Of activations in their order those that nobody rolled back from, the current one last.
fn not_left_behind(activations: impl Iterator<Item = Activation>) -> Vec<Activation> {
    let mut in_use: Vec<Activation> = Vec::new();
    for activation in activations {
        let goes_back =
            in_use.last().is_some_and(|current| activation.reason == roll_back_from(current));
        match in_use.iter().rposition(|before| is_same(before, &activation)) {
            Some(place) if goes_back => in_use.truncate(place + 1),
            _ => in_use.push(activation),
        }
    }
    in_use
}

#[cfg(test)]
mod tests {
    use lucid_model::{policies::PolicyRef, time::TimeMs};

    use super::*;

    fn activation(version: u8, reason: &str) -> Activation {
        Activation {
            revision: Revision(1),
            kind: PolicyKind::Payout,
            scope: Scope::Default,
            policy: PolicyRef {
                name: "p".into(),
                version: format!("{version}.0.0").parse().unwrap(),
                digest: Digest([version; 32]),
            },
            params: ParamValues::new(),
            from_s: 0,
            at: TimeMs(0),
            actor: "ben".into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn what_was_rolled_back_from_is_left_behind() {
        let back = |to: u8, from: u8| activation(to, &roll_back_from(&activation(from, "")));
        let new = |version: u8| activation(version, "trial");
        for (history, expected) in [
            (vec![new(1), new(2)], vec![1, 2]),
            (vec![new(1), new(2), back(1, 2)], vec![1]),
            (vec![new(1), new(2), new(3), back(2, 3), back(1, 2)], vec![1]),
            (vec![new(1), new(2), new(1)], vec![1, 2, 1]),
            (vec![new(1), new(2), new(1), back(2, 1)], vec![1, 2]),
            (vec![new(1), new(2), back(1, 2), new(3)], vec![1, 3]),
            (vec![new(1), new(2), back(1, 2), new(2)], vec![1, 2]),
            // One in between was retired: it was left, too.
            (vec![new(1), new(2), new(3), back(1, 3)], vec![1]),
        ] {
            let left: Vec<_> =
                not_left_behind(history.into_iter()).iter().map(|a| a.policy.digest.0[0]).collect();
            assert_eq!(left, expected);
        }
    }
}
