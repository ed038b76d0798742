//! Scoring policies: a multiplier for each node of an epoch.

use crate::{
    Context, Facts, Params, PolicyError, Ppm, Reason,
    abi::{Batch, Description, Explanation, RawContext, Scores},
    reason::ReasonColumn,
    wrong_shape,
};

/// A scoring policy. Export it with [`scoring!`](crate::scoring).
///
/// Row-wise: a row's result may depend on that row and the context alone, so that the host may cut and
/// reorder batches; the methods get nothing else.
pub trait Scoring {
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

    /// Scores one node.
    ///
    /// # Errors
    /// The policy's own fault, which fails the whole batch.
    fn score(ctx: &Context<Self::Params, Self::Node>, node: &Self::Node) -> Result<Score, PolicyError>;

    /// Names what the multiplier of one node is made of, weight × value, each 0–1 000 000 ppm; the same names
    /// in the same order for every row. [`factor`] has the names that fill the API's `factors`.
    ///
    /// # Errors
    /// The policy's own fault, which fails the whole batch.
    fn explain(_ctx: &Context<Self::Params, Self::Node>, _node: &Self::Node) -> Result<Vec<Contribution>, PolicyError> {
        Ok(Vec::new())
    }
}

/// A named part of a multiplier.
pub type Contribution = (&'static str, Ppm);

/// Names of contributions that fill the API's `factors`.
pub mod factor {
    /// How long the node was observed.
    pub const OBSERVATION_TIME: &str = "observation-time-weight";
    /// How good its sessions were.
    pub const SESSION_QUALITY: &str = "session-quality-weight";
    /// How steadily it reported.
    pub const UPTIME: &str = "uptime-weight";
    /// How much room it had left.
    pub const RESOURCE_EFFICIENCY: &str = "resource-efficiency-weight";
    /// How much it moved.
    pub const NETWORK_PERFORMANCE: &str = "network-performance-weight";
}

/// A node's multiplier, and a sentence if there is something to say.
///
/// ```
/// use lucid_policy_sdk::{Ppm, Score};
/// let score = Score::new(Ppm::ZERO).because("uptime is below the minimum");
/// assert_eq!(score.multiplier, Ppm::ZERO);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// Not negative; at most what the host allows (10.0 unless it is configured otherwise).
    pub multiplier: Ppm,
    /// For the node's owner.
    pub reason: Option<Reason>,
}

impl Score {
    /// A multiplier with nothing to say about it.
    #[must_use]
    #[inline]
    pub const fn new(multiplier: Ppm) -> Self {
        Self { multiplier, reason: None }
    }

    /// Adds a sentence. A batch may carry 256 different ones, so put no measured values into it.
    #[must_use]
    pub fn because(self, reason: impl Into<Reason>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }
}

/// What the host is told of the policy.
#[must_use]
pub fn describe<P: Scoring>() -> Description {
    Description { facts: P::Node::NAMES, params: P::Params::SPECS }
}

/// Scores a batch.
///
/// # Errors
/// The policy's fault, or the SDK's if the batch is not as described or a result does not fit.
pub fn score<P: Scoring>(raw: &RawContext, batch: &Batch) -> Result<Scores, PolicyError> {
    let ctx = Context::from_raw(raw)?;
    P::check(&ctx.params)?;
    let columns = P::Node::columns(batch)?;
    let count = batch.count as usize;
    // Filling what is there, unlike pushing, asks nothing about capacity for each row.
    let mut multipliers = vec![0; count];
    let mut reasons = ReasonColumn::default();
    for (row, slot) in multipliers.iter_mut().enumerate() {
        let Some(node) = P::Node::row(&columns, row) else {
            return Err(wrong_shape("column lengths"));
        };
        let Score { multiplier, reason } = P::score(&ctx, &node)?;
        match u32::try_from(multiplier.get()) {
            Ok(multiplier) => *slot = multiplier,
            Err(_) => return Err(PolicyError::range("multiplier", multiplier.get())),
        }
        reasons.push(row, reason)?;
    }
    let (reasons, reason_table) = reasons.into_parts(count);
    Ok(Scores { multipliers, reasons, reason_table })
}

/// Explains a batch.
///
/// # Errors
/// As [`score`]; also if rows name different contributions, or one is not 0–1 000 000 ppm.
pub fn explain<P: Scoring>(raw: &RawContext, batch: &Batch) -> Result<Explanation, PolicyError> {
    let ctx = Context::from_raw(raw)?;
    P::check(&ctx.params)?;
    let columns = P::Node::columns(batch)?;
    let mut named: Vec<(&'static str, Vec<u32>)> = Vec::new();
    for row in 0..batch.count as usize {
        let Some(node) = P::Node::row(&columns, row) else {
            break;
        };
        let parts = P::explain(&ctx, &node)?;
        if row == 0 {
            named = parts.iter().map(|(name, _)| (*name, Vec::with_capacity(batch.count as usize))).collect();
        }
        if parts.len() != named.len() || parts.iter().zip(&named).any(|(part, (name, _))| part.0 != *name) {
            return Err(PolicyError::new(PolicyError::NAMES, "rows name different contributions"));
        }
        for ((_, value), (_, column)) in parts.into_iter().zip(&mut named) {
            match u32::try_from(value.get()) {
                Ok(fits) if value <= Ppm::ONE => column.push(fits),
                _ => return Err(PolicyError::range("contribution", value.get())),
            }
        }
    }
    let (names, contributions) = named.into_iter().map(|(name, column)| (name.to_owned(), column)).unzip();
    Ok(Explanation { names, contributions })
}

/// Exports a type that implements [`Scoring`](crate::Scoring) as a component; natively it only checks that it does.
#[macro_export]
macro_rules! scoring {
    ($policy:ty) => {
        const _: fn() = || {
            fn implements<P: $crate::Scoring>() {}
            implements::<$policy>();
        };

        #[cfg(target_family = "wasm")]
        mod exported {
            use super::*;
            type Component = $crate::glue::scoring::Exported<$policy>;
            $crate::glue::scoring::export!(Component with_types_in $crate::glue::scoring);
        }
    };
}
