//! One calculation's circumstances, typed.

use crate::{Facts, Params, PolicyError, Seconds, abi::RawContext};

/// What is the same for every row of a calculation.
///
/// `P` are the policy's params; `T` are its facts again, each summed over the whole pool (not only over this
/// batch), or `()` where the interface has no totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context<P, T = ()> {
    /// Start of the scoring epoch or settlement period, Unix seconds, UTC.
    pub epoch: Seconds,
    /// Its length.
    pub period: Seconds,
    /// The same for every chunk of one calculation; the only randomness there is.
    pub seed: u64,
    /// What the operator set, or the defaults.
    pub params: P,
    /// Each fact's sum over the pool, saturating.
    pub totals: T,
}

impl<P: Params, T: Facts> Context<P, T> {
    pub(crate) fn from_raw(raw: &RawContext) -> Result<Self, PolicyError> {
        Ok(Self {
            epoch: Seconds::new(raw.epoch),
            period: Seconds::new(i64::from(raw.period_seconds)),
            seed: raw.seed,
            params: P::from_values(&raw.params)?,
            totals: T::from_values(&raw.totals)?,
        })
    }
}
