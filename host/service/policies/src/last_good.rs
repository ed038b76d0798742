//! Which version takes the place of one that failed.
//!
//! The one that was active before in the same scope, else the default's, else the one that comes
//! with the binary. Never one that was activated later than what failed, so that the same failure
//! finds the same version everywhere.

use std::{collections::VecDeque, sync::Arc};

use lucid_foundation::ServiceError;
use lucid_model::{
    id::Digest,
    policies::{ParamValues, PolicyIdentity, PolicyKind, PolicyRef, Revision, Scope, VersionState},
};
use lucid_ports::{CallError, PublishError, ScoringPolicy, StoredBundle, ValidationPolicy};

use crate::Policies;

/// Versions that are loaded in the place of one.
const LOADED_MAX: usize = 4;
/// Activations that are looked through.
const HISTORY_MAX: u32 = 10_000;

/// Versions that may take the place of one, the best first; each is asked for when the one before
/// failed too.
pub struct LastGood<'a> {
    service: &'a Policies,
    kind: PolicyKind,
    wanted: VecDeque<(Digest, ParamValues)>,
    /// Component and params of what was handed out, the failing one first.
    tried: Vec<(Digest, Digest)>,
}

impl Policies {
    /// What may take the place of `failing`, which was to be used in `scope` when `revision` was
    /// active.
    pub async fn last_good(
        &self,
        failing: &PolicyIdentity,
        scope: Scope,
        revision: Revision,
    ) -> Result<LastGood<'_>, ServiceError> {
        let mut history = self.parts.versions.activations(HISTORY_MAX).await?;
        // What is only scheduled has never been good.
        let now_s = self.parts.clock.now().unix_s_floor();
        history.retain(|a| a.kind == failing.kind && a.revision <= revision && a.from_s <= now_s);
        let of = |scope: Scope| {
            history
                .iter()
                .filter(move |a| a.scope == scope)
                .map(|a| (a.policy.digest, a.params.clone()))
        };
        let mut wanted: VecDeque<_> = of(scope).collect();
        if scope != Scope::Default {
            wanted.extend(of(Scope::Default));
        }
        wanted.extend(self.config.built_in.iter().map(|digest| (*digest, ParamValues::new())));
        Ok(LastGood {
            service: self,
            kind: failing.kind,
            wanted,
            tried: vec![(failing.policy.digest, failing.params_digest())],
        })
    }
}

/// Which version answered in the place of the active one, and how that failed.
pub type ReplacedBy = Option<(PolicyRef, CallError)>;

impl Policies {
    /// Asks the validation policy of a scope, and the last good version if that fails.
    pub async fn ask_validation<T, F>(
        &self,
        scope: Scope,
        ask: impl Fn(Arc<dyn ValidationPolicy>) -> F + Send + Sync,
    ) -> Result<(T, ReplacedBy), ServiceError>
    where
        T: Send,
        F: Future<Output = Result<T, CallError>> + Send,
    {
        let snapshot = self.parts.runtime.snapshot();
        let active = snapshot
            .validation(scope, self.parts.clock.now().unix_s_floor())
            .ok_or(ServiceError::NoPolicy { kind: "validation" })?;
        let failure = match ask(Arc::clone(&active)).await {
            Ok(answer) => return Ok((answer, None)),
            Err(error @ CallError::Host { .. }) => return Err(error.into()),
            Err(error) => error,
        };
        let mut last_good = self.last_good(active.identity(), scope, snapshot.revision()).await?;
        while let Some(policy) = last_good.validation().await? {
            let by = policy.identity().policy.clone();
            match ask(policy).await {
                Ok(answer) => {
                    metrics::counter!("lucid_policy_replaced_total", "kind" => "validation")
                        .increment(1);
                    return Ok((answer, Some((by, failure))));
                }
                Err(error @ CallError::Host { .. }) => return Err(error.into()),
                Err(CallError::Policy { .. }) => {}
            }
        }
        Err(failure.into())
    }
}

impl LastGood<'_> {
    /// The next scoring policy.
    pub async fn scoring(&mut self) -> Result<Option<Arc<dyn ScoringPolicy>>, ServiceError> {
        while let Some((stored, params)) = self.next().await? {
            let loaded = self.service.parts.runtime.load_scoring(stored, params).await;
            if let Some(policy) = usable(loaded).filter(|policy| self.is_other(policy.identity())) {
                return Ok(Some(policy));
            }
        }
        Ok(None)
    }

    /// The next validation policy.
    pub async fn validation(&mut self) -> Result<Option<Arc<dyn ValidationPolicy>>, ServiceError> {
        while let Some((stored, params)) = self.next().await? {
            let loaded = self.service.parts.runtime.load_validation(stored, params).await;
            if let Some(policy) = usable(loaded).filter(|policy| self.is_other(policy.identity())) {
                return Ok(Some(policy));
            }
        }
        Ok(None)
    }

    async fn next(&mut self) -> Result<Option<(Arc<StoredBundle>, ParamValues)>, ServiceError> {
        while self.tried.len() <= LOADED_MAX
            && let Some((digest, params)) = self.wanted.pop_front()
        {
            let stored = self.service.parts.versions.bundle(digest).await?;
            let fits = |stored: &StoredBundle| {
                stored.version.kind == self.kind && stored.version.state == VersionState::Checked
            };
            if let Some(stored) = stored.filter(fits) {
                return Ok(Some((Arc::new(stored), params)));
            }
        }
        Ok(None)
    }

    /// Only what is loaded says which params it has: those that were not set have the version's
    /// defaults.
    fn is_other(&mut self, identity: &PolicyIdentity) -> bool {
        let this = (identity.policy.digest, identity.params_digest());
        let other = !self.tried.contains(&this);
        if other {
            self.tried.push(this);
        }
        other
    }
}

/// A version of long ago may not load any more; the one after it may.
fn usable<T>(loaded: Result<T, PublishError>) -> Option<T> {
    loaded
        .inspect_err(
            |error| tracing::warn!(%error, "cannot take the place of a policy that failed"),
        )
        .ok()
}
