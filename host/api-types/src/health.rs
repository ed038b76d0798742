//! Whether the service is well.

use std::collections::BTreeMap;

use lucid_model::time::TimeMs;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{error::SERVICE, schema};

/// Whether the service is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthBody {
    /// `healthy`, `degraded` or `unhealthy`.
    #[schema(value_type = schema::HealthStatus)]
    pub status: String,
    /// `node-management`.
    pub service: String,
    /// Of the program.
    pub version: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub timestamp: String,
    /// What was looked at: `ok`, or what is wrong.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, String>,
}

impl HealthBody {
    /// Unhealthy if a needed part is wrong, degraded if another one is.
    pub fn new(
        program_version: &str,
        now: TimeMs,
        checks: impl IntoIterator<Item = Check>,
    ) -> Self {
        let (mut status, mut said) = ("healthy", BTreeMap::new());
        for check in checks {
            match (&check.finding, check.needed) {
                (Err(_), true) => status = "unhealthy",
                (Err(_), false) if status == "healthy" => status = "degraded",
                _ => {}
            }
            said.insert(check.name.to_owned(), check.finding.err().unwrap_or_else(|| "ok".into()));
        }
        Self {
            status: status.into(),
            service: SERVICE.into(),
            version: program_version.into(),
            timestamp: now.to_string(),
            checks: said,
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether the service is of no use without it.
    pub needed: bool,
    /// What is wrong, if anything.
    pub finding: Result<(), String>,
}
