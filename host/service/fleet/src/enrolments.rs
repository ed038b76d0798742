//! Enrolment tokens: made by an owner or an operator, shown once, kept as a digest.

use std::sync::Arc;

use lucid_foundation::{Actor, Role, ServiceError};
use lucid_model::{
    fleet::{
        commands::NewEnrolment,
        enrolment::{Enrolment, EnrolmentScope},
        node::CapReached,
    },
    id::{Digest, EnrolmentId, UserId},
};
use lucid_ports::{EnrolmentFilter, Order, Page, PageRequest};

use crate::Fleet;

/// What every token begins with, so that a leaked one is recognised.
const PREFIX: &str = "lucid_enrol_";

/// How long a token that is expired or revoked is still listed: 30 days.
const OVER_KEPT_MS: i64 = 30 * 24 * 3_600_000;
/// Tokens forgotten in one go.
const FORGOTTEN_MAX: u32 = 500;

/// A token as it is given out.
#[derive(Debug, Clone)]
pub struct GivenEnrolment {
    /// What is kept of it.
    pub enrolment: Enrolment,
    /// The token; none if an earlier try of the same request showed it already.
    pub token: Option<String>,
}

impl Fleet {
    /// Makes a token.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, or there is no such pool.
    pub async fn create_enrolment(
        &self,
        actor: &Actor,
        new: NewEnrolment,
    ) -> Result<GivenEnrolment, ServiceError> {
        let operator = actor.is(Role::Operator);
        if !(operator || actor.is(Role::Owner)) {
            return Err(ServiceError::Forbidden { why: "this needs role owner or operator" });
        }
        let owner = new.owner.unwrap_or(actor.user);
        if !operator && (owner != actor.user || new.scope == EnrolmentScope::Approve) {
            return Err(ServiceError::Forbidden {
                why: "for other owners, or with approval given beforehand, this needs role operator",
            });
        }
        if let Some(pool) = new.pool
            && self.parts.pools.pool(pool).await?.is_none()
        {
            return Err(ServiceError::no("pool"));
        }
        self.check_enrolment_cap(owner).await?;
        let token = format!("{PREFIX}{}", hex::encode(self.parts.entropy.random_32()));
        let now = self.parts.clock.now();
        let enrolment = Enrolment {
            id: EnrolmentId(self.parts.ids.new_id(actor)),
            digest: Digest::of(token.as_bytes()),
            owner,
            name: new.name,
            scope: new.scope,
            pool: new.pool,
            uses_max: new.uses_max,
            uses: 0,
            expires_at: now.plus_ms(i64::from(new.ttl_s) * 1000),
            revoked_at: None,
            created_at: now,
            created_by: actor.subject.clone(),
        };
        let told = format!(
            "{}, {} uses, until {}",
            enrolment.scope.name(),
            enrolment.uses_max,
            enrolment.expires_at
        );
        let audit = self
            .parts
            .audit
            .entry(actor, "enrolment.create", enrolment.id, told)
            .creating(&enrolment);
        if self.parts.enrolments.create_enrolment(enrolment.clone(), audit).await? {
            return Ok(GivenEnrolment { enrolment, token: Some(token) });
        }
        let enrolment = self
            .parts
            .enrolments
            .enrolment(enrolment.id)
            .await?
            .ok_or(ServiceError::no("enrolment token"))?;
        Ok(GivenEnrolment { enrolment, token: None })
    }

    async fn check_enrolment_cap(&self, owner: UserId) -> Result<(), ServiceError> {
        let limit = self.config.enrolments_per_owner_max;
        let first = PageRequest { page: 1, limit: 1, sort: (), order: Order::Ascending };
        let kept = self
            .parts
            .enrolments
            .enrolments(EnrolmentFilter { owner: Some(owner) }, first)
            .await?
            .total;
        if limit > 0 && kept >= limit {
            return Err(ServiceError::CapReached(CapReached {
                what: "enrolment tokens of one owner",
                limit,
            }));
        }
        Ok(())
    }

    /// Forgets tokens that are over for long; whether there may be more.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn forget_enrolments(&self) -> Result<bool, ServiceError> {
        let Some(now) = self.parts.clock.sure_now() else { return Ok(false) };
        Ok(self
            .parts
            .enrolments
            .forget_enrolments(now.plus_ms(-OVER_KEPT_MS), FORGOTTEN_MAX)
            .await?
            >= u64::from(FORGOTTEN_MAX))
    }

    /// A page of tokens: the caller's own, or all for who sees everything.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn enrolments(
        &self,
        actor: &Actor,
        page: PageRequest<()>,
    ) -> Result<Page<Enrolment>, ServiceError> {
        let owner = (!actor.sees_all()).then_some(actor.user);
        Ok(self.parts.enrolments.enrolments(EnrolmentFilter { owner }, page).await?)
    }

    /// One token.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn enrolment(
        &self,
        actor: &Actor,
        id: EnrolmentId,
    ) -> Result<Enrolment, ServiceError> {
        let found = self
            .parts
            .enrolments
            .enrolment(id)
            .await?
            .ok_or(ServiceError::no("enrolment token"))?;
        if actor.sees_all() || (actor.node.is_none() && found.owner == actor.user) {
            Ok(found)
        } else {
            Err(ServiceError::Forbidden { why: "the enrolment token is another's" })
        }
    }

    /// Takes a token back; nodes that were registered with it stay. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn revoke_enrolment(
        &self,
        actor: &Actor,
        id: EnrolmentId,
    ) -> Result<(), ServiceError> {
        let found = self.enrolment(actor, id).await?;
        if !(actor.is(Role::Operator) || (actor.is(Role::Owner) && found.owner == actor.user)) {
            return Err(ServiceError::Forbidden { why: "this needs role owner or operator" });
        }
        let now = self.parts.clock.now();
        let revoked = Enrolment { revoked_at: Some(now), ..found.clone() };
        let audit = self
            .parts
            .audit
            .entry(actor, "enrolment.revoke", id, found.name.clone())
            .changing(&found, &revoked);
        self.parts.enrolments.revoke_enrolment(id, now, audit).await?;
        Ok(())
    }

    /// Who a token speaks for: its owner, for one registration.
    ///
    /// # Errors
    /// [`ServiceError::Unproven`] if it is not known, or not good any more.
    pub async fn enrolled(&self, token: &str) -> Result<Actor, ServiceError> {
        let found = self.parts.enrolments.enrolment_by_digest(Digest::of(token.as_bytes())).await?;
        let enrolment =
            found.ok_or(ServiceError::Unproven { why: "the enrolment token is not known" })?;
        // A token whose last use is a registration whose answer was lost still finds that
        // registration.
        if enrolment.revoked_at.is_some() || enrolment.expires_at <= self.parts.clock.now() {
            return Err(ServiceError::Unproven {
                why: "the enrolment token is expired or revoked",
            });
        }
        Ok(Actor {
            user: enrolment.owner,
            subject: format!("enrolment:{}", enrolment.id),
            roles: vec![Role::Enrolled],
            node: None,
            node_key: None,
            expires_at: Some(enrolment.expires_at),
            enrolment: Some(Arc::new(enrolment)),
            request_id: None,
            creates: None,
            expected: None,
        })
    }
}
