use std::sync::Arc;

use lucid_foundation::ServiceError;
use lucid_model::policies::{PolicyDifferences, PolicyProfile, PolicyRef, PolicyVersion, Scope};

use super::VersionStanding;
use crate::Policies;

/// What versions said of themselves that is remembered: a version is what it was when it came, and
/// to load one takes the whole component and a turn among those who check bundles, which not
/// everybody who may read should have for every question.
const PROFILES_MAX: usize = 256;

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

impl Policies {
    /// What is another in a version than in the one of the same name and number `against`; without
    /// one, than in what is in force now for its kind in the default scope, whatever that is
    /// called.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if the other is not there, [`ServiceError::NotLoadable`] if one
    /// of them cannot be read here.
    pub async fn compare_policies(
        &self,
        after: &PolicyVersion,
        against: Option<&str>,
    ) -> Result<Comparison, ServiceError> {
        let before = match against {
            Some(version) => self.policy_version(after.kind, &after.policy.name, version).await?,
            None => self.in_force(after).await?,
        };
        let (before, after) = (self.profile(&before.version).await?, self.profile(after).await?);
        Ok(Comparison {
            differences: before.differences(&after),
            before: before.policy.clone(),
            after: after.policy.clone(),
        })
    }

    async fn in_force(&self, like: &PolicyVersion) -> Result<VersionStanding, ServiceError> {
        let (_, active) = self.applicable().await?;
        let now_s = self.parts.clock.now().unix_s_floor();
        // By revision: of those that apply by now the last one decides.
        let decides = active
            .iter()
            .rev()
            .find(|a| a.kind == like.kind && a.scope == Scope::Default && a.from_s <= now_s);
        let policy = &decides.ok_or(ServiceError::no("active policy of this kind"))?.policy;
        self.policy_version(like.kind, &policy.name, &policy.version.to_string()).await
    }

    async fn profile(&self, version: &PolicyVersion) -> Result<Arc<PolicyProfile>, ServiceError> {
        let digest = version.policy.digest;
        let known =
            self.profiles.lock().iter().find(|known| known.policy.digest == digest).cloned();
        if let Some(profile) = known {
            return Ok(profile);
        }
        let stored =
            self.parts.versions.bundle(digest).await?.ok_or(ServiceError::no("policy version"))?;
        let profile = Arc::new(
            self.parts
                .runtime
                .profile(Arc::new(stored))
                .await
                .map_err(ServiceError::NotLoadable)?,
        );
        let mut profiles = self.profiles.lock();
        if profiles.len() == PROFILES_MAX {
            profiles.pop_front();
        }
        profiles.push_back(Arc::clone(&profile));
        Ok(profile)
    }
}
