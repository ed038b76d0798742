use lucid_foundation::{Actor, ServiceError};
use lucid_model::policies::{PolicyVersion, Standing, VersionState};

use crate::{Policies, VersionStanding, versions::needs_operator};

impl Policies {
    /// Withdraws a version for good: it is kept for replays and can never be activated again.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or the version is in force or scheduled somewhere.
    pub async fn retire(
        &self,
        actor: &Actor,
        found: VersionStanding,
        reason: String,
    ) -> Result<PolicyVersion, ServiceError> {
        needs_operator(actor)?;
        if matches!(found.standing, Standing::Active | Standing::Scheduled) {
            let scopes: Vec<_> =
                found.activations.iter().map(|activation| activation.scope.to_string()).collect();
            let reason = format!(
                "{} is {} for {}: activate another version there first",
                found.version.policy,
                found.standing.name(),
                scopes.join(", ")
            );
            return Err(ServiceError::VersionInUse { reason });
        }
        let before = found.version;
        let after = PolicyVersion {
            state: VersionState::Retired,
            reason: Some(reason.clone()),
            ..before.clone()
        };
        let audit = self
            .parts
            .audit
            .entry(actor, "policy.retire", &before.policy, reason.clone())
            .changing(&before, &after);
        if self.parts.versions.retire_version(before.policy.digest, reason, audit).await? {
            tracing::info!(policy = %before.policy, "policy version retired");
            return Ok(after);
        }
        // Somebody else was quicker, and their reason stays.
        let stored = self
            .parts
            .versions
            .bundle(before.policy.digest)
            .await?
            .ok_or(ServiceError::no("policy version"))?;
        Ok(stored.version)
    }
}
