//! Versions that are asked about every period beside the active one. They decide nothing: what they
//! would have decided is kept beside what was.
//!
//! A shadow is asked about the recorded frame of an epoch once that is closed, or about the totals
//! of a settlement period once that is settled, in order and once each, whichever replica comes by.

use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    epochs::epoch::Period,
    fleet::pool::PoolStatus,
    id::{PoolScope, ShadowId},
    notifications::event::EventKind,
    policies::{
        Findings, ParamValues, PolicyKind, PolicyVersion, ReportCause, Shadow, ShadowEnd,
        ShadowResult, VersionState,
    },
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_policies::needs_author;
use lucid_ports::{CallError, EpochFilter, Order, Page, PageRequest, StoredBundle};

use crate::Review;

/// Shadows that run at once: each costs as much as scoring does.
const SHADOWS_MAX: usize = 8;
/// Nodes that gain most, and that lose most, kept of each period.
const EXTREMES_KEPT: usize = 20;

/// A shadow to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewShadow {
    /// Params; the others have their defaults.
    pub params: ParamValues,
    /// Of which pool; none: of all.
    pub pool: Option<PoolScope>,
    pub reason: String,
}

impl Review {
    /// Begins to ask a version beside the active one, from the period on that runs now.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, the version is one for validation, is retired, does
    /// not pass the gate with these params or runs there already, there is no such pool, or as many
    /// run as may.
    pub async fn begin_shadow(
        &self,
        actor: &Actor,
        version: &PolicyVersion,
        new: NewShadow,
    ) -> Result<Shadow, ServiceError> {
        needs_author(actor)?;
        if version.kind == PolicyKind::Validation {
            return Err(ServiceError::invalid(
                "kind",
                "only scoring and payout policies run as shadows",
            ));
        }
        let stored = self
            .parts
            .versions
            .bundle(version.policy.digest)
            .await?
            .ok_or(ServiceError::no("policy version"))?;
        if stored.version.state == VersionState::Retired {
            return Err(ServiceError::Retired {
                policy: Box::new(stored.version.policy),
                reason: stored.version.reason.unwrap_or_default(),
            });
        }
        if let Some(PoolScope::Pool(id)) = new.pool {
            self.parts
                .pools
                .pool(id)
                .await?
                .filter(|pool| pool.status != PoolStatus::Inactive)
                .ok_or(ServiceError::no("pool"))?;
        }
        let running = self.parts.shadows.running_shadows().await?;
        let same = |s: &&Shadow| {
            (s.policy.digest, s.kind, s.pool, &s.params)
                == (version.policy.digest, version.kind, new.pool, &new.params)
        };
        if let Some(same) = running.iter().find(same) {
            return Err(ServiceError::IsShadow { policy: version.policy.clone(), shadow: same.id });
        }
        if running.len() >= SHADOWS_MAX {
            return Err(ServiceError::TooManyShadows { running: SHADOWS_MAX });
        }
        let report = self
            .parts
            .policies
            .examine(actor, Arc::new(stored.bundle), &new.params, (ReportCause::Check, "store"))
            .await?;
        if let Some(reason) = report.rejection() {
            return Err(ServiceError::BundleRefused { reason });
        }
        let now = self.parts.clock.now();
        let length = if version.kind == PolicyKind::Payout {
            self.parts.rules.settlement
        } else {
            self.parts.rules.epoch
        };
        let shadow = Shadow {
            id: ShadowId(self.parts.ids.new_id(actor)),
            kind: version.kind,
            policy: version.policy.clone(),
            params: new.params,
            pool: new.pool,
            from_s: length.period_at(now).start_s,
            started_at: now,
            actor: actor.subject.clone(),
            reason: new.reason,
            ended: None,
        };
        let detail = format!("{} {}: {}", shadow.kind.name(), shadow.id, shadow.reason);
        let audit = self
            .parts
            .audit
            .entry(actor, "policy.shadow", &shadow.policy, detail)
            .creating(&shadow);
        if !self.parts.shadows.add_shadow(shadow.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "shadow" });
        }
        Ok(shadow)
    }

    /// Ends a shadow; what it said stays.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is none.
    pub async fn end_shadow(
        &self,
        actor: &Actor,
        id: ShadowId,
        reason: String,
    ) -> Result<Shadow, ServiceError> {
        needs_author(actor)?;
        let before = self.shadow(id).await?;
        if before.ended.is_some() {
            return Ok(before);
        }
        self.ended(actor, before, reason).await
    }

    async fn ended(
        &self,
        actor: &Actor,
        before: Shadow,
        reason: String,
    ) -> Result<Shadow, ServiceError> {
        let end = ShadowEnd { at: self.parts.clock.now(), by: actor.subject.clone(), reason };
        let after = Shadow { ended: Some(end.clone()), ..before.clone() };
        let detail = format!("{} {}: {}", before.kind.name(), before.id, end.reason);
        let audit = self
            .parts
            .audit
            .entry(actor, "policy.shadow_end", &before.policy, detail)
            .changing(&before, &after);
        self.parts.shadows.end_shadow(before.id, end, audit).await?;
        // Somebody else may have been quicker, and their reason stays.
        self.shadow(before.id).await
    }

    /// One shadow.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn shadow(&self, id: ShadowId) -> Result<Shadow, ServiceError> {
        self.parts.shadows.shadow(id).await?.ok_or(ServiceError::no("shadow"))
    }

    /// Shadows, by when they were begun.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn shadows(&self, page: PageRequest<()>) -> Result<Page<Shadow>, ServiceError> {
        Ok(self.parts.shadows.shadows(page).await?)
    }

    /// What a shadow said, by period.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none.
    pub async fn shadow_results(
        &self,
        id: ShadowId,
        page: PageRequest<()>,
    ) -> Result<(Shadow, Page<ShadowResult>), ServiceError> {
        Ok((self.shadow(id).await?, self.parts.shadows.shadow_results(id, page).await?))
    }

    /// Asks each shadow about the next period that it was not asked about; whether there was one.
    ///
    /// # Errors
    /// The first [`ServiceError`], if something is missing now; the others were asked all the same,
    /// and the next call goes on.
    pub async fn ask_shadows(&self) -> Result<bool, ServiceError> {
        let mut outcome = Ok(false);
        for shadow in self.parts.shadows.running_shadows().await? {
            match (self.ask_shadow(shadow).await, &mut outcome) {
                (Ok(asked), Ok(any)) => *any |= asked,
                (Err(error), Ok(_)) => outcome = Err(error),
                (_, Err(_)) => {}
            }
        }
        outcome
    }

    async fn ask_shadow(&self, shadow: Shadow) -> Result<bool, ServiceError> {
        let newest = PageRequest { page: 1, limit: 1, sort: (), order: Order::Descending };
        let last = self.parts.shadows.shadow_results(shadow.id, newest).await?.items.pop();
        let from_s = last.map_or(shadow.from_s, |last| last.period.start_s + 1);
        let Some(period) = self.next_asked(shadow.kind, from_s).await? else { return Ok(false) };
        let stored = self
            .parts
            .versions
            .bundle(shadow.policy.digest)
            .await?
            .ok_or(ServiceError::no("policy version"))?;
        if stored.version.state == VersionState::Retired {
            self.ended(&Actor::system(), shadow, "the version was retired".into()).await?;
            return Ok(true);
        }
        let findings = match self.findings(&shadow, Arc::new(stored), period).await {
            Ok(findings) => findings,
            Err(ServiceError::Publish(error)) => Findings::Failed(error.to_string()),
            Err(ServiceError::Call(error)) if matches!(*error, CallError::Policy { .. }) => {
                Findings::Failed(error.to_string())
            }
            Err(error) => return Err(error),
        };
        let result =
            ShadowResult { shadow: shadow.id, period, at: self.parts.clock.now(), findings };
        if self.parts.shadows.add_shadow_result(result.clone()).await? {
            self.parts.notifications.emit(EventKind::ShadowAsked {
                shadow: shadow.id,
                policy: shadow.policy,
                period,
                findings: Box::new(result.findings),
            });
        }
        Ok(true)
    }

    /// The first period from a moment on that is decided.
    async fn next_asked(
        &self,
        kind: PolicyKind,
        from_s: i64,
    ) -> Result<Option<Period>, ServiceError> {
        if kind == PolicyKind::Payout {
            let range = Interval { from: TimeMs::from_unix_s(from_s), to: self.parts.clock.now() };
            return Ok(self.parts.money.settled_in(range).await?.into_iter().next());
        }
        let first = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
        let filter = EpochFilter { from_s: Some(from_s), to_s: None };
        Ok(self
            .parts
            .epoch_records
            .epochs(filter, first)
            .await?
            .items
            .pop()
            .map(|record| record.epoch))
    }

    async fn findings(
        &self,
        shadow: &Shadow,
        stored: Arc<StoredBundle>,
        period: Period,
    ) -> Result<Findings, ServiceError> {
        let policies = &self.parts.runtime;
        if shadow.kind == PolicyKind::Payout {
            let policy = policies.load_payout(stored, shadow.params.clone()).await?;
            return Ok(Findings::Money(
                self.parts
                    .money
                    .share_again(policy.as_ref(), period, shadow.pool)
                    .await?
                    .summary(EXTREMES_KEPT),
            ));
        }
        let policy = policies.load_scoring(stored, shadow.params.clone()).await?;
        Ok(Findings::Scores(
            self.parts
                .epochs
                .simulate_scores(policy.as_ref(), &[period], shadow.pool)
                .await?
                .summary(EXTREMES_KEPT),
        ))
    }
}
