//! Checks what nodes claim: hardware within limits, a payout wallet that is a TRON address, sessions and score
//! claims that can be true.

use lucid_policy_sdk::prelude::*;

mod hardware;
mod score_claim;
mod session;
mod wallet;

facts! {
    /// What this policy reads of a registration.
    pub struct Registration {
        /// 1 if the registration carries hardware.
        hardware_told: Count = "hardware-told",
        /// CPU cores.
        cores: Count = "cores",
        /// Memory.
        memory: Bytes = "memory-bytes",
        /// Storage.
        storage: Bytes = "storage-bytes",
    }
}

texts! {
    /// The texts this policy reads of a registration.
    pub struct RegistrationTexts {
        /// Where payouts would go.
        wallet_address = "wallet-address",
    }
}

facts! {
    /// What this policy reads of an observation session.
    pub struct Session {
        /// Its start.
        start: Millis = "start-ms",
        /// Its end.
        end: Millis = "end-ms",
        /// When the service received it.
        now: Millis = "now-ms",
        /// Claimed quality.
        quality: Ppm = "quality-ppm",
        /// Claimed CPU usage.
        cpu: Ppm = "cpu-ppm",
        /// Claimed memory usage.
        memory: Ppm = "memory-ppm",
        /// Claimed disk usage.
        disk: Ppm = "disk-ppm",
    }
}

facts! {
    /// What this policy reads of a score claim.
    pub struct ScoreClaim {
        /// The claimed score.
        claimed: Centi = "claimed-centi",
        /// The score of the receipt; -1 if there is none.
        receipt: Centi = "receipt-centi",
        /// The service's clock − the claim's timestamp.
        age: Millis = "age-ms",
        /// 1 valid, 0 invalid, -1 not sent.
        signature_ok: Count = "signature-ok",
    }
}

params! {
    /// What an operator may set.
    pub struct Settings {
        /// Fewest CPU cores, before tolerance.
        cores_min: Count = "cores-min", default 1, in 1..=1_024;
        /// Most CPU cores, before tolerance.
        cores_max: Count = "cores-max", default 128, in 1..=1_024;
        /// Least memory, before tolerance.
        memory_min: Bytes = "memory-bytes-min", default 1_000_000_000, in 0..=1_000_000_000_000_000;
        /// Most memory, before tolerance.
        memory_max: Bytes = "memory-bytes-max", default 1_000_000_000_000, in 0..=1_000_000_000_000_000;
        /// Least storage, before tolerance.
        storage_min: Bytes = "storage-bytes-min", default 10_000_000_000, in 0..=1_000_000_000_000_000;
        /// Most storage, before tolerance.
        storage_max: Bytes = "storage-bytes-max", default 100_000_000_000_000, in 0..=1_000_000_000_000_000;
        /// Part of a hardware limit by which it may be missed at either end.
        tolerance: Ppm = "tolerance", default 100_000, in 0..=1_000_000;
        /// Longest observation session.
        session_length_max: Seconds = "session-length-max", default 86_400, in 1..=86_400;
        /// How far ahead of the service's clock a session may end and a score claim may be dated.
        clock_skew_max: Seconds = "clock-skew-max", default 120, in 0..=3_600;
        /// Oldest score claim.
        claim_age_max: Seconds = "claim-age-max", default 86_400, in 1..=2_678_400;
    }
}

/// A limit's minimum is above its maximum.
pub const LIMITS_CROSSED: u32 = 1;

/// The default validation policy.
pub struct HardwareAndIdentity;

impl Validation for HardwareAndIdentity {
    type Registration = Registration;
    type RegistrationTexts = RegistrationTexts;
    type Observation = Session;
    type ScoreClaim = ScoreClaim;
    type Params = Settings;

    fn check(settings: &Settings) -> Result<(), PolicyError> {
        let crossed =
            settings.cores_min > settings.cores_max || settings.memory_min > settings.memory_max || settings.storage_min > settings.storage_max;
        if crossed {
            return Err(PolicyError::new(LIMITS_CROSSED, "a hardware minimum is above its maximum"));
        }
        Ok(())
    }

    fn judge_registration(ctx: &Context<Settings>, claim: &Registration, texts: &RegistrationTexts) -> Result<Verdict, PolicyError> {
        Ok(first_fault([hardware::fault(&ctx.params, claim), texts.wallet_address.as_deref().and_then(wallet::fault).map(Reason::from)]))
    }

    fn judge_observation(ctx: &Context<Settings>, claim: &Session) -> Result<Verdict, PolicyError> {
        Ok(first_fault([session::fault(&ctx.params, claim)]))
    }

    fn judge_score_claim(ctx: &Context<Settings>, claim: &ScoreClaim) -> Result<Verdict, PolicyError> {
        Ok(first_fault([score_claim::fault(&ctx.params, claim)]))
    }
}

fn first_fault<const N: usize>(faults: [Option<Reason>; N]) -> Verdict {
    faults.into_iter().flatten().next().map_or(Verdict::Accept, Verdict::Reject)
}

lucid_policy_sdk::validation!(HardwareAndIdentity);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_cases_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
        assert!(golden::validation::<HardwareAndIdentity>(folder).unwrap() >= 4);
    }
}
