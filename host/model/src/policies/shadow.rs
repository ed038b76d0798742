//! A version that is asked about every period beside the active one, and decides nothing.

use uuid::Uuid;

use super::{ParamValues, PolicyKind, PolicyRef};
use crate::{
    epochs::epoch::Period,
    id::{PoolScope, ShadowId, ShadowResultId},
    review::simulation::{Change, Earned, Summary},
    time::TimeMs,
};

/// A version running beside the active one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    pub id: ShadowId,
    /// What it would decide: scores or payouts.
    pub kind: PolicyKind,
    pub policy: PolicyRef,
    /// With which params.
    pub params: ParamValues,
    /// Of which pool; none: of all.
    pub pool: Option<PoolScope>,
    /// It is asked about periods that start then or later, Unix seconds.
    pub from_s: i64,
    /// When it was begun.
    pub started_at: TimeMs,
    pub actor: String,
    pub reason: String,
    /// When, by whom and why it was ended, if it was.
    pub ended: Option<ShadowEnd>,
}

/// The end of a shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowEnd {
    pub at: TimeMs,
    /// Who: a subject, or `system`.
    pub by: String,
    pub reason: String,
}

/// What a shadow said about one period, compared with what was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowResult {
    /// Of which shadow.
    pub shadow: ShadowId,
    /// About which epoch or settlement period.
    pub period: Period,
    /// When it was asked.
    pub at: TimeMs,
    /// What came out.
    pub findings: Findings,
}

impl ShadowResult {
    /// Its id, which follows from shadow and period: a shadow says something about a period once.
    pub fn id(&self) -> ShadowResultId {
        ShadowResultId(Uuid::new_v5(&self.shadow.0, &self.period.start_s.to_le_bytes()))
    }
}

/// What came out of asking a shadow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Findings {
    /// Of a scoring policy.
    Scores(Summary<Change>),
    /// Of a payout policy.
    Money(Summary<Earned>),
    /// It failed: the active version would have been replaced, or the period held.
    Failed(String),
}
