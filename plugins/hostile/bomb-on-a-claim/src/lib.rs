//! Passes every gate, since nobody would try the values it traps at.

use lucid_policy_sdk::prelude::*;

/// The registration it traps at.
const MEMORY_FUSE: Bytes = Bytes::new(13_131_313_131);
/// The session it traps at.
const QUALITY_FUSE: Ppm = Ppm::new(131_313);

facts! {
    /// What this policy reads of a registration.
    pub struct Registration {
        memory: Bytes = "memory-bytes",
    }
}

facts! {
    /// What this policy reads of an observation session.
    pub struct Session {
        quality: Ppm = "quality-ppm",
    }
}

/// Waits for its claim.
pub struct BombOnAClaim;

impl Validation for BombOnAClaim {
    type Registration = Registration;
    type RegistrationTexts = ();
    type Observation = Session;
    type ScoreClaim = ();
    type Params = ();

    fn judge_registration(_: &Context<()>, claim: &Registration, (): &()) -> Result<Verdict, PolicyError> {
        if claim.memory == MEMORY_FUSE {
            std::process::abort();
        }
        Ok(Verdict::Accept)
    }

    fn judge_observation(_: &Context<()>, claim: &Session) -> Result<Verdict, PolicyError> {
        if claim.quality == QUALITY_FUSE {
            std::process::abort();
        }
        Ok(Verdict::Accept)
    }

    fn judge_score_claim(_: &Context<()>, (): &()) -> Result<Verdict, PolicyError> {
        Ok(Verdict::Accept)
    }
}

lucid_policy_sdk::validation!(BombOnAClaim);
