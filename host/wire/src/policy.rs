//! Policies: versions, what is active, what the gate found.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::policy::{
    Activation, Bundle, BundleSignature, ParamValues, PolicyKind, PolicyRef, PolicyVersion, SIGNATURES_MAX, Scope, VersionState,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    poot::PolicyRefBody,
    schema,
};

/// Bytes of a component.
pub const COMPONENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Characters of a manifest.
pub const MANIFEST_LENGTH_MAX: usize = 64 * 1024;
/// Golden cases of a bundle.
pub const GOLDEN_MAX: usize = 100;
/// Params of an activation.
pub const PARAMS_MAX: usize = 64;

/// A version that was handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersionBody {
    /// Which.
    pub policy: PolicyRefBody,
    /// `scoring`, `validation`, `payout`.
    #[schema(value_type = schema::PolicyKind)]
    pub kind: String,
    /// The interface it exports.
    pub abi: String,
    /// `checked` (passed the gate) or `rejected`.
    #[schema(value_type = schema::PolicyState)]
    pub state: String,
    /// The gate's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was handed in.
    #[schema(value_type = schema::Timestamp)]
    pub uploaded_at: String,
    /// By whom.
    pub uploaded_by: String,
    /// Names of the trusted keys that signed it.
    pub signed_by: Vec<String>,
}

impl From<&PolicyVersion> for PolicyVersionBody {
    fn from(version: &PolicyVersion) -> Self {
        let state = match version.state {
            VersionState::Checked => "checked",
            VersionState::Rejected => "rejected",
        };
        Self {
            policy: (&version.policy).into(),
            kind: version.kind.name().into(),
            abi: version.abi.clone(),
            state: state.into(),
            reason: version.reason.clone(),
            uploaded_at: version.uploaded_at.to_string(),
            uploaded_by: version.uploaded_by.clone(),
            signed_by: version.signed_by.clone(),
        }
    }
}

/// An activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivationBody {
    /// The revision it made.
    pub revision: u64,
    /// `scoring`, `validation`, `payout`.
    #[schema(value_type = schema::PolicyKind)]
    pub kind: String,
    /// `default` or a pool's id.
    #[schema(value_type = schema::Scope)]
    pub scope: String,
    /// Which version.
    pub policy: PolicyRefBody,
    /// Params that are set.
    pub params: BTreeMap<String, i64>,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub activated_at: String,
    /// By whom.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl From<&Activation> for ActivationBody {
    fn from(activation: &Activation) -> Self {
        Self {
            revision: activation.revision.0,
            kind: activation.kind.name().into(),
            scope: activation.scope.to_string(),
            policy: (&activation.policy).into(),
            params: activation.params.clone(),
            activated_at: activation.at.to_string(),
            actor: activation.actor.clone(),
            reason: activation.reason.clone(),
        }
    }
}

/// All versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersionList {
    /// Newest first.
    pub policies: Vec<PolicyVersionBody>,
}

/// What is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivePolicies {
    /// The last revision.
    pub revision: u64,
    /// The newest activation of each kind and scope.
    pub active: Vec<ActivationBody>,
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
    /// `policy.wasm`, standard base64; at most 16 MiB of it.
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
    hex::decode_to_slice(text, &mut signature).map_err(|_| fields.error("signature", "must be 128 hex digits"))?;
    Ok(BundleSignature { key, signature })
}

impl From<&Bundle> for UploadPolicyRequest {
    fn from(bundle: &Bundle) -> Self {
        let body = |signed: &BundleSignature| BundleSignatureBody { key: signed.key.to_string(), signature: hex::encode(signed.signature) };
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
            signatures: fields.list("signatures", 0..=SIGNATURES_MAX)?.unwrap_or_default().iter().map(read_signature).collect::<Result<_, _>>()?,
        })
    }
}

/// Makes a version active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivatePolicyRequest {
    /// `default` (default) or a pool's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Scope>)]
    pub scope: Option<String>,
    /// Params to set; the others have the policy's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, schema::ParamValue>>)]
    pub params: BTreeMap<String, i64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::OptionalReason>)]
    pub reason: Option<String>,
}

/// A checked activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatePolicy {
    /// Where.
    pub scope: Scope,
    /// With which params.
    pub params: ParamValues,
    /// Why.
    pub reason: Option<String>,
}

impl Request for ActivatePolicyRequest {
    type Valid = ActivatePolicy;
    fn read(fields: &Fields<'_>) -> Result<ActivatePolicy, FieldError> {
        let mut params = ParamValues::new();
        if let Some(values) = fields.object("params")? {
            for (name, _) in values.entries().take(PARAMS_MAX + 1) {
                params.insert(name.to_owned(), values.require(name, values.signed(name)?)?);
            }
        }
        if params.len() > PARAMS_MAX {
            return Err(fields.error("params", format!("must have at most {PARAMS_MAX} entries")));
        }
        let scope = match fields.string("scope")? {
            None => Scope::Default,
            Some(text) => text.parse().map_err(|_| fields.error("scope", "must be default or a pool's id"))?,
        };
        Ok(ActivatePolicy { scope, params, reason: fields.text("reason", 0..=500)? })
    }
}
