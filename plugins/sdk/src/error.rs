//! Why a policy could not answer.

use core::fmt;

/// Why a policy could not answer: its own number for the fault, and one sentence.
///
/// The host records it and its failure rules decide what follows. Numbers from
/// [`PolicyError::FIRST_RESERVED`] up are the SDK's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The policy's own number for the fault.
    pub code: u32,
    /// One sentence.
    pub message: String,
}

impl PolicyError {
    /// The smallest number that means a fault found by the SDK.
    pub const FIRST_RESERVED: u32 = 0xFFFF_FF00;
    /// Columns, params or totals are not what `describe` asked for.
    pub const SHAPE: u32 = Self::FIRST_RESERVED;
    /// The policy computed a number the ABI cannot carry.
    pub const RANGE: u32 = Self::FIRST_RESERVED + 1;
    /// More than 256 different sentences in one batch.
    pub const REASONS: u32 = Self::FIRST_RESERVED + 2;
    /// `explain` named other contributions for one row than for another.
    pub const NAMES: u32 = Self::FIRST_RESERVED + 3;

    /// A fault with the policy's own number.
    #[must_use]
    pub fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn range(what: &str, value: i64) -> Self {
        Self::new(Self::RANGE, format!("{what} {value} cannot be returned"))
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy error {}: {}", self.code, self.message)
    }
}

impl core::error::Error for PolicyError {}
