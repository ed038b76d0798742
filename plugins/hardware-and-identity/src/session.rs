//! Observation sessions: a span of time that can be true.

use lucid_policy_sdk::prelude::*;

use crate::{Session, Settings};

/// The first thing wrong with a session. The sentences name limits, never values, so that a large batch of bad
/// sessions still fits the table of reasons.
pub fn fault(settings: &Settings, claim: &Session) -> Option<Reason> {
    if claim.end <= claim.start {
        return Some("the session does not end after it starts".into());
    }
    if claim.end.saturating_sub(claim.start) > settings.session_length_max.to_millis() {
        return Some(format!("the session is longer than {} s", settings.session_length_max).into());
    }
    if claim.end > claim.now.saturating_add(settings.clock_skew_max.to_millis()) {
        return Some(format!("the session ends more than {} s in the future", settings.clock_skew_max).into());
    }
    let parts = [
        (claim.quality, "quality-ppm is outside 0 to 1000000"),
        (claim.cpu, "cpu-ppm is outside 0 to 1000000"),
        (claim.memory, "memory-ppm is outside 0 to 1000000"),
        (claim.disk, "disk-ppm is outside 0 to 1000000"),
    ];
    let wrong = parts.into_iter().find(|(part, _)| !(Ppm::ZERO..=Ppm::ONE).contains(part));
    wrong.map(|(_, sentence)| sentence.into())
}
