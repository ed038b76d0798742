//! Payout policies: how a budget is shared among the nodes of a pool.

use crate::{
    Context, Facts, MicroUsdt, Params, PolicyError, Ppm, Reason,
    abi::{Batch, Description, RawContext, Weights},
    reason::ReasonColumn,
};

/// A payout policy. Export it with [`payout!`](crate::payout).
///
/// The host alone turns weights into money: a policy can share a budget, it cannot overspend it. Row-wise as
/// scoring is.
pub trait Payout {
    /// What it reads of a node; declare it with [`facts!`](crate::facts).
    type Node: Facts;
    /// What an operator may set; declare it with [`params!`](crate::params), or `()`.
    type Params: Params;

    /// Refuses params that are each in range but make no sense together. Called once a batch.
    ///
    /// # Errors
    /// The policy's own fault, which fails the whole batch.
    fn check(_params: &Self::Params) -> Result<(), PolicyError> {
        Ok(())
    }

    /// Weighs one node.
    ///
    /// # Errors
    /// The policy's own fault, which fails the whole batch.
    fn weigh(ctx: &Context<Self::Params, Self::Node>, node: &Self::Node) -> Result<Weight, PolicyError>;
}

/// A node's part of the budget.
///
/// ```
/// use lucid_policy_sdk::{MicroUsdt, Ppm, Weight};
/// let weight = Weight::new(7).held(Ppm::new(250_000)).capped(MicroUsdt::new(50_000_000));
/// assert_eq!(weight.cap, Some(MicroUsdt::new(50_000_000)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// In any unit: the node's share is its part of the sum.
    pub weight: u64,
    /// The part of the share that is accrued as held, 0–1 000 000 ppm.
    pub held: Ppm,
    /// The most the node may get.
    pub cap: Option<MicroUsdt>,
    /// For the node's owner.
    pub reason: Option<Reason>,
}

impl Weight {
    /// A weight without hold or cap.
    #[must_use]
    pub const fn new(weight: u64) -> Self {
        Self { weight, held: Ppm::ZERO, cap: None, reason: None }
    }

    /// Holds a part of the share back.
    #[must_use]
    pub fn held(self, part: Ppm) -> Self {
        Self { held: part, ..self }
    }

    /// Limits the share; the rest goes to the others.
    #[must_use]
    pub fn capped(self, cap: MicroUsdt) -> Self {
        Self { cap: Some(cap), ..self }
    }

    /// Adds a sentence. A batch may carry 256 different ones, so put no measured values into it.
    #[must_use]
    pub fn because(self, reason: impl Into<Reason>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    fn held_ppm(&self) -> Result<u32, PolicyError> {
        match u32::try_from(self.held.get()) {
            Ok(held) if self.held <= Ppm::ONE => Ok(held),
            _ => Err(PolicyError::range("held part", self.held.get())),
        }
    }

    /// 0 means no cap to the host, so a cap of nothing is not one the ABI can carry.
    fn cap_micro_usdt(&self) -> Result<u64, PolicyError> {
        match self.cap {
            None => Ok(0),
            Some(cap) => match u64::try_from(cap.get()) {
                Ok(micro_usdt) if micro_usdt > 0 => Ok(micro_usdt),
                _ => Err(PolicyError::range("cap", cap.get())),
            },
        }
    }
}

/// What the host is told of the policy.
#[must_use]
pub fn describe<P: Payout>() -> Description {
    Description { facts: P::Node::NAMES, params: P::Params::SPECS }
}

/// Weighs a batch.
///
/// # Errors
/// The policy's fault, or the SDK's if the batch is not as described or a result does not fit.
pub fn weigh<P: Payout>(raw: &RawContext, batch: &Batch) -> Result<Weights, PolicyError> {
    let ctx = Context::from_raw(raw)?;
    P::check(&ctx.params)?;
    let columns = P::Node::columns(batch)?;
    let count = batch.count as usize;
    let mut out = Weights { weights: Vec::with_capacity(count), ..Weights::default() };
    let mut reasons = ReasonColumn::default();
    for row in 0..count {
        let Some(node) = P::Node::row(&columns, row) else {
            break;
        };
        let weight = P::weigh(&ctx, &node)?;
        out.weights.push(weight.weight);
        push_unless_all_zero(&mut out.held_ppm, row, weight.held_ppm()?);
        push_unless_all_zero(&mut out.caps, row, weight.cap_micro_usdt()?);
        reasons.push(row, weight.reason)?;
    }
    (out.reasons, out.reason_table) = reasons.into_parts(count);
    Ok(out)
}

/// Optional columns stay empty until a row needs them.
fn push_unless_all_zero<T: Copy + Default + PartialEq>(column: &mut Vec<T>, row: usize, value: T) {
    if value != T::default() || !column.is_empty() {
        column.resize(row, T::default());
        column.push(value);
    }
}

/// Exports a type that implements [`Payout`](crate::Payout) as a component; natively it only checks that it does.
#[macro_export]
macro_rules! payout {
    ($policy:ty) => {
        const _: fn() = || {
            fn implements<P: $crate::Payout>() {}
            implements::<$policy>();
        };

        #[cfg(target_family = "wasm")]
        mod exported {
            use super::*;
            type Component = $crate::glue::payout::Exported<$policy>;
            $crate::glue::payout::export!(Component with_types_in $crate::glue::payout);
        }
    };
}
