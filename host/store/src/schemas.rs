//! Which schema a store has, beside the one this binary reads and writes; nothing is changed.

/// A part of a store that has a schema of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSchema {
    /// A file, or a database.
    pub part: String,
    /// What it has; none: it was never used.
    pub found: Option<i64>,
    /// What this binary reads and writes.
    pub known: i64,
}
