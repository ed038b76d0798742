//! Observation sessions as they were claimed, with what became of the claim.

use crate::{
    epochs::score::Ppm,
    id::{NodeId, SessionId},
    telemetry::{credit::Interval, metric::Usage},
    time::TimeMs,
};

/// Who vouches for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observer {
    /// The node itself: worth what the service witnessed, no more.
    Itself,
    /// A principal with role `observer`.
    Observer,
}

/// What the validation policy said, or an operator after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Counts.
    Accepted,
    /// Does not count, for a reason.
    Rejected(String),
    /// An operator took it back, for a reason: it does not count, and whatever is claimed of it
    /// later changes nothing.
    Voided(String),
    /// The policy could not answer; it is asked again before the epoch closes.
    Unverified,
}

/// A session: what a node was observed doing, from when to when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The session; sent again with a later end, it grows.
    pub session: SessionId,
    pub node: NodeId,
    /// From when to when.
    pub span: Interval,
    /// Claimed quality.
    pub quality: Ppm,
    /// Claimed usage, if sent.
    pub usage: Option<Usage>,
    /// Who says so.
    pub by: Observer,
    /// When it arrived.
    pub received_at: TimeMs,
    /// What became of it.
    pub verdict: Verdict,
}

/// Sessions weighed by their length: the quality that observers vouch for, none if no observer did.
pub fn mean_observed_quality(observations: &[Observation], period: Interval) -> Option<Ppm> {
    let (mut weighed, mut total) = (0_u128, 0_u128);
    for observation in
        observations.iter().filter(|o| o.by == Observer::Observer && o.verdict == Verdict::Accepted)
    {
        let length = u128::from(observation.span.clip(period).length_ms().unsigned_abs());
        weighed += length * u128::from(observation.quality.0);
        total += length;
    }
    weighed.checked_div(total).and_then(|q| u32::try_from(q).ok()).map(Ppm)
}
