use std::sync::Arc;

use lucid_model::policy::{PolicyDifferences, PolicyProfile, PolicyRef, PolicyVersion, Scope};

use super::VersionStanding;
use crate::{Service, ServiceError};

/// Two versions, and how they differ.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The one it is compared with.
    pub before: PolicyRef,
    /// The one that was asked about.
    pub after: PolicyRef,
    /// What is another.
    pub differences: PolicyDifferences,
}

impl Service {
    /// What is another in a version than in the one of the same name and number `against`; without one, than in what is in
    /// force now for its kind in the default scope, whatever that is called.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if the other is not there, [`ServiceError::NotLoadable`] if one of them cannot be read here.
    pub async fn compare_policies(&self, after: &PolicyVersion, against: Option<&str>) -> Result<Comparison, ServiceError> {
        let before = match against {
            Some(version) => self.policy_version(after.kind, &after.policy.name, version).await?,
            None => self.in_force(after).await?,
        };
        let (before, after) = (self.profile(&before.version).await?, self.profile(after).await?);
        Ok(Comparison { differences: before.differences(&after), before: before.policy, after: after.policy })
    }

    async fn in_force(&self, like: &PolicyVersion) -> Result<VersionStanding, ServiceError> {
        let (_, active) = self.applicable().await?;
        let now_s = self.now().unix_s_floor();
        // By revision: of those that apply by now the last one decides.
        let decides = active.iter().rev().find(|a| a.kind == like.kind && a.scope == Scope::Default && a.from_s <= now_s);
        let policy = &decides.ok_or(ServiceError::no("active policy of this kind"))?.policy;
        self.policy_version(like.kind, &policy.name, &policy.version.to_string()).await
    }

    async fn profile(&self, version: &PolicyVersion) -> Result<PolicyProfile, ServiceError> {
        let stored = self.store().bundle(version.policy.digest).await?.ok_or(ServiceError::no("policy version"))?;
        self.ports.policies.profile(Arc::new(stored)).await.map_err(ServiceError::NotLoadable)
    }
}
