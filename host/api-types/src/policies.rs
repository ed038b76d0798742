//! Policies: versions, what is active, what the gate found.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::policies::{
    ARCHIVE_BYTES_MAX, Bundle, BundleSignature, COMPONENT_BYTES_MAX, GOLDEN_BYTES_MAX,
    GOLDEN_FILES_MAX, GOLDEN_NAME_BYTES_MAX, MANIFEST_BYTES_MAX, PolicyKind, PolicyRef,
    SIGNATURES_MAX,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    epochs::poot::PolicyRefBody,
    fields::{FieldError, Fields, Request},
    schema,
};

mod diff;
mod life;
mod shadow;
mod simulation;

pub use diff::{ChangedParamBody, ParamSpecBody, PolicyDiffBody};
pub use life::{
    ActivatePolicy, ActivatePolicyRequest, ActivationBody, ActivationList, ActivePolicies,
    CheckPolicyRequest, InForceBody, PolicyReportBody, PolicyReportList, PolicyVersionBody,
    PolicyVersionList,
};

pub use shadow::{
    BeginShadow, BeginShadowRequest, EarningNodeBody, MoneyComparedBody, PayoutSimulationBody,
    ScoresComparedBody, ShadowBody, ShadowResultBody, ShadowResultList, SimulatedBody, results_csv,
};
pub use simulation::{
    NewSimulation, SimulatePolicyRequest, SimulatedNodeBody, SimulatedSideBody, SimulationBody,
};

/// Where bundles are handed in.
pub const UPLOAD_PATH: &str = "/api/v1/policies";
/// Longest body of an upload, in bytes: the largest archive, written as JSON, where four bytes
/// stand for three.
pub const UPLOAD_BYTES_MAX: usize = ARCHIVE_BYTES_MAX / 3 * 4;
/// Characters of a version.
pub const VERSION_LENGTH_MAX: usize = 128;

/// A version as a query names it.
pub fn version(text: &str) -> Option<String> {
    let fits = text.len() <= VERSION_LENGTH_MAX;
    text.parse::<semver::Version>().ok().filter(|_| fits).map(|version| version.to_string())
}

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
    /// Names of the trusted keys that signed it.
    pub signed_by: Vec<String>,
    /// What is no failure, and worth knowing.
    pub notes: Vec<String>,
}

impl GateReportBody {
    /// From what the gate reports.
    pub fn new(
        policy: Option<&PolicyRef>,
        kind: Option<PolicyKind>,
        abi: &str,
        checks: &[(String, Result<(), String>)],
    ) -> Self {
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
            signed_by: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// With who signed it, and what else is worth knowing.
    #[must_use]
    pub fn with(self, signed_by: Vec<String>, notes: Vec<String>) -> Self {
        Self { signed_by, notes, ..self }
    }
}

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadPolicyRequest {
    /// Text of `policy.toml`.
    #[schema(value_type = schema::ManifestText)]
    pub manifest: String,
    /// `policy.wasm`, standard base64; at most 32 MiB of it.
    #[schema(value_type = schema::ComponentBytes)]
    pub component: String,
    /// Golden cases: file name and text.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub golden: BTreeMap<String, String>,
    /// Who stands for it: as in `policy.sig`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<BundleSignatureBody>>)]
    pub signatures: Vec<BundleSignatureBody>,
}

/// A signature over a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleSignatureBody {
    /// Whose.
    #[schema(value_type = schema::KeyId)]
    pub key: String,
    /// Ed25519, hex.
    #[schema(value_type = schema::SignatureHex)]
    pub signature: String,
}

fn read_signature(fields: &Fields<'_>) -> Result<BundleSignature, FieldError> {
    let key = fields.require("key", fields.parsed("key")?)?;
    let text = fields.require("signature", fields.string("signature")?)?;
    let mut signature = [0; 64];
    hex::decode_to_slice(text, &mut signature)
        .map_err(|_| fields.error("signature", "must be 128 hex digits"))?;
    Ok(BundleSignature { key, signature })
}

impl From<&Bundle> for UploadPolicyRequest {
    fn from(bundle: &Bundle) -> Self {
        let body = |signed: &BundleSignature| BundleSignatureBody {
            key: signed.key.to_string(),
            signature: hex::encode(signed.signature),
        };
        let signatures = bundle.signatures.iter().map(body).collect();
        Self {
            manifest: bundle.manifest.clone(),
            component: STANDARD.encode(&bundle.component),
            golden: bundle.golden.iter().cloned().collect(),
            signatures,
        }
    }
}

impl Request for UploadPolicyRequest {
    type Valid = Bundle;
    fn read(fields: &Fields<'_>) -> Result<Bundle, FieldError> {
        let mut golden = Vec::new();
        if let Some(cases) = fields.object("golden")? {
            for (name, _) in cases.entries().take(GOLDEN_FILES_MAX + 1) {
                let text = cases.require(name, cases.string(name)?)?;
                if name.len() > GOLDEN_NAME_BYTES_MAX {
                    return Err(fields.error(
                        "golden",
                        format!("must have names of at most {GOLDEN_NAME_BYTES_MAX} bytes"),
                    ));
                }
                if text.len() > GOLDEN_BYTES_MAX {
                    return Err(
                        cases.error(name, format!("must have at most {GOLDEN_BYTES_MAX} bytes"))
                    );
                }
                golden.push((name.to_owned(), text.to_owned()));
            }
        }
        if golden.len() > GOLDEN_FILES_MAX {
            return Err(
                fields.error("golden", format!("must have at most {GOLDEN_FILES_MAX} cases"))
            );
        }
        Ok(Bundle {
            manifest: fields
                .require("manifest", fields.text("manifest", 1..=MANIFEST_BYTES_MAX)?)?,
            component: fields
                .require("component", fields.base64("component", 1..=COMPONENT_BYTES_MAX)?)?,
            golden,
            signatures: fields
                .list("signatures", 0..=SIGNATURES_MAX)?
                .unwrap_or_default()
                .iter()
                .map(read_signature)
                .collect::<Result<_, _>>()?,
        })
    }
}
