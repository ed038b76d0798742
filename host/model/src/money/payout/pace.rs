//! How often a payout may be sent and looked up.
//!
//! Waits double up to a limit and get up to a quarter longer by a jitter that follows from the
//! payout's id, so that payouts that failed together do not come back together. Two times in the
//! payout keep the pace across restarts: `next_attempt_at` for any contact with the rail,
//! `next_send_at` for the next send.

use super::{Capabilities, Payout};
use crate::{backoff::doubled_ms, id::Digest, time::TimeMs};

/// Longest `Retry-After` that is honoured, in milliseconds: a rail that names a longer one is asked
/// again after an hour.
pub const RETRY_AFTER_MS_MAX: i64 = 3_600_000;

/// Waits between contacts with the rail, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After the first send; doubles with each send up to `send_max_ms`.
    pub send_first_ms: i64,
    /// Longest wait between two sends.
    pub send_max_ms: i64,
    /// Between the first send and the first look-up. The wait grows with the payout's age, so that
    /// it doubles too.
    pub look_first_ms: i64,
    /// Longest wait between two look-ups of a payout that is in doubt or accepted.
    pub look_max_ms: i64,
    /// Between two look-ups of a payout that waits for a person.
    pub manual_look_ms: i64,
}

impl Pace {
    /// The wait after the payout's latest send.
    pub fn after_send(&self, payout: &Payout) -> i64 {
        let doublings = payout.sends.saturating_sub(1);
        jittered(doubled_ms(self.send_first_ms, doublings, self.send_max_ms), payout)
    }

    /// The wait until the payout's next look-up.
    pub fn before_look(&self, payout: &Payout, now: TimeMs) -> i64 {
        let age = payout.submitted_at.map_or(0, |at| now.ms_since(at));
        jittered(age.clamp(self.look_first_ms, self.look_max_ms.max(self.look_first_ms)), payout)
    }

    /// The wait until the next look-up of a payout that waits for a person.
    pub fn before_manual_look(&self, payout: &Payout) -> i64 {
        jittered(self.manual_look_ms, payout)
    }
}

/// Up to a quarter more than `wait_ms`.
fn jittered(wait_ms: i64, payout: &Payout) -> i64 {
    let seed = [
        payout.id.0.as_bytes().as_slice(),
        &payout.sends.to_le_bytes(),
        &payout.version.to_le_bytes(),
    ]
    .concat();
    let [byte, ..] = Digest::of(&seed).0;
    wait_ms.saturating_add(wait_ms.saturating_mul(i64::from(byte)) / 1024)
}

/// What the driver and the machine go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What the rail promises.
    pub can: Capabilities,
    /// When a person looks.
    pub deadlines: Deadlines,
    /// How often the rail is contacted.
    pub pace: Pace,
    /// Whether a request may be sent now: payments are not frozen, and the rail's breaker lets one
    /// through.
    pub may_send: bool,
}

/// How long a payout may stay open after its first send before a person looks, in milliseconds in
/// which it could be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// In `Unknown`.
    pub unknown_ms: i64,
    /// In `Accepted`.
    pub accepted_ms: i64,
}
