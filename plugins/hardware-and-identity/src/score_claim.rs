//! Score claims: what a node says it scored must be what the service's own receipt says.

use lucid_policy_sdk::prelude::*;

use crate::{ScoreClaim, Settings};

/// The first thing wrong with a score claim.
pub fn fault(settings: &Settings, claim: &ScoreClaim) -> Option<Reason> {
    // Only a signature that was sent and is wrong speaks against a claim.
    if claim.signature_ok == Count::ZERO {
        return Some("the claim's signature is not valid".into());
    }
    if claim.age < Millis::ZERO.saturating_sub(settings.clock_skew_max.to_millis()) {
        return Some(format!("the claim is dated more than {} s in the future", settings.clock_skew_max).into());
    }
    if claim.age > settings.claim_age_max.to_millis() {
        return Some(format!("the claim is older than {} s", settings.claim_age_max).into());
    }
    if claim.receipt < Centi::ZERO {
        return Some("there is no receipt for the claimed time".into());
    }
    if claim.receipt != claim.claimed {
        return Some("the claimed score is not the receipt's".into());
    }
    None
}
