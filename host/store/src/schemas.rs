//! Which schema a store has, beside the one this binary reads and writes; nothing is changed.

use std::path::Path;

use crate::{
    OpenError,
    mongo::schema_of,
    sqlite::{CORE, TELEMETRY, schema_found},
};

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

/// The schemas of the store of a URL, also while services use it. What is in memory has none.
///
/// # Errors
/// [`OpenError`] if the URL names nothing that can be read.
pub async fn schemas(url: &str) -> Result<Vec<PartSchema>, OpenError> {
    if url.starts_with("mongodb") {
        return Ok(vec![schema_of(url).await?]);
    }
    let Some(dir) = url.strip_prefix("sqlite://").map(Path::new) else { return Ok(Vec::new()) };
    [("core", CORE), ("telemetry", TELEMETRY)]
        .into_iter()
        .map(|(name, steps)| schema_found(dir, name, steps))
        .collect()
}
