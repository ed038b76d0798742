//! Policies: versions, what is active, what the gate found.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::policy::{Bundle, PolicyKind, PolicyRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    poot::PolicyRefBody,
    schema,
};

mod life;

pub use life::{
    ActivatePolicy, ActivatePolicyRequest, ActivationBody, ActivationList, ActivePolicies, CheckPolicyRequest, InForceBody, PolicyReportBody,
    PolicyReportList, PolicyVersionBody, PolicyVersionList, RetirePolicyRequest,
};

/// Bytes of a component.
pub const COMPONENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Characters of a manifest.
pub const MANIFEST_LENGTH_MAX: usize = 64 * 1024;
/// Golden cases of a bundle.
pub const GOLDEN_MAX: usize = 100;

/// One check of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateCheckBody {
    /// What was checked.
    pub check: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateReportBody {
    /// Which version, if its manifest could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRefBody>,
    /// What it decides, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PolicyKind>)]
    pub kind: Option<String>,
    /// The interface it exports.
    pub abi: String,
    /// Whether every check passed.
    pub passed: bool,
    /// The checks; the first failure ends the list.
    pub checks: Vec<GateCheckBody>,
}

impl GateReportBody {
    /// From what the gate reports.
    pub fn new(policy: Option<&PolicyRef>, kind: Option<PolicyKind>, abi: &str, checks: &[(String, Result<(), String>)]) -> Self {
        let check = |(check, finding): &(String, Result<(), String>)| GateCheckBody {
            check: check.clone(),
            passed: finding.is_ok(),
            reason: finding.clone().err(),
        };
        Self {
            policy: policy.map(Into::into),
            kind: kind.map(|kind| kind.name().into()),
            abi: abi.into(),
            passed: checks.iter().all(|(_, finding)| finding.is_ok()),
            checks: checks.iter().map(check).collect(),
        }
    }
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadPolicyRequest {
    /// Text of `policy.toml`.
    #[schema(value_type = schema::ManifestText)]
    pub manifest: String,
    /// `policy.wasm`, standard base64; at most 16 MiB of it.
    #[schema(value_type = schema::ComponentBytes)]
    pub component: String,
    /// Golden cases: file name and text.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub golden: BTreeMap<String, String>,
}

impl From<&Bundle> for UploadPolicyRequest {
    fn from(bundle: &Bundle) -> Self {
        Self { manifest: bundle.manifest.clone(), component: STANDARD.encode(&bundle.component), golden: bundle.golden.iter().cloned().collect() }
    }
}

impl Request for UploadPolicyRequest {
    type Valid = Bundle;
    fn read(fields: &Fields<'_>) -> Result<Bundle, FieldError> {
        let mut golden = Vec::new();
        if let Some(cases) = fields.object("golden")? {
            for (name, _) in cases.entries().take(GOLDEN_MAX + 1) {
                golden.push((name.to_owned(), cases.require(name, cases.string(name)?)?.to_owned()));
            }
        }
        if golden.len() > GOLDEN_MAX {
            return Err(fields.error("golden", format!("must have at most {GOLDEN_MAX} cases")));
        }
        Ok(Bundle {
            manifest: fields.require("manifest", fields.text("manifest", 1..=MANIFEST_LENGTH_MAX)?)?,
            component: fields.require("component", fields.base64("component", 1..=COMPONENT_BYTES_MAX)?)?,
            golden,
        })
    }
}
