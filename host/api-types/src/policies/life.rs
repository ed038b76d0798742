//! The life of a version: where it stands, what makes it active, what the gate found of it.

use std::collections::BTreeMap;

use lucid_model::{
    policies::{Activation, ParamValues, PolicyReport, PolicyVersion, Scope, Standing},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::GateCheckBody;
use crate::{
    epochs::poot::PolicyRefBody,
    fields::{FieldError, Fields, Request},
    schema,
};

/// Params of an activation.
pub const PARAMS_MAX: usize = 64;

/// A version that was handed in and passed the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersionBody {
    /// Which.
    pub policy: PolicyRefBody,
    /// `scoring`, `validation`, `payout`.
    #[schema(value_type = schema::PolicyKind)]
    pub kind: String,
    /// The interface it exports.
    pub abi: String,
    /// `checked`, `scheduled`, `active` or `retired`.
    #[schema(value_type = schema::PolicyState)]
    pub state: String,
    /// Why it was retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it is in force, or will be.
    pub in_force: Vec<InForceBody>,
    /// When it was handed in.
    #[schema(value_type = schema::Timestamp)]
    pub uploaded_at: String,
    /// By whom.
    pub uploaded_by: String,
    /// Names of the trusted keys that signed it.
    pub signed_by: Vec<String>,
}

impl PolicyVersionBody {
    /// A version that stands somewhere.
    pub fn new(version: &PolicyVersion, standing: Standing, activations: &[Activation]) -> Self {
        Self {
            policy: (&version.policy).into(),
            kind: version.kind.name().into(),
            abi: version.abi.clone(),
            state: standing.name().into(),
            reason: version.reason.clone(),
            in_force: activations.iter().map(InForceBody::from).collect(),
            uploaded_at: version.uploaded_at.to_string(),
            uploaded_by: version.uploaded_by.clone(),
            signed_by: version.signed_by.clone(),
        }
    }
}

/// Where a version is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InForceBody {
    /// `default` or a pool's id.
    #[schema(value_type = schema::Scope)]
    pub scope: String,
    /// By which activation.
    pub revision: u64,
    /// Only for periods that start then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub starts_at: Option<String>,
}

impl From<&Activation> for InForceBody {
    fn from(activation: &Activation) -> Self {
        Self {
            scope: activation.scope.to_string(),
            revision: activation.revision.0,
            starts_at: starts_at(activation),
        }
    }
}

fn starts_at(activation: &Activation) -> Option<String> {
    (activation.from_s != 0).then(|| TimeMs::from_unix_s(activation.from_s).to_string())
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
    /// Only for epochs or settlement periods that start then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub starts_at: Option<String>,
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
            starts_at: starts_at(activation),
            activated_at: activation.at.to_string(),
            actor: activation.actor.clone(),
            reason: activation.reason.clone(),
        }
    }
}

/// Versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyVersionList {
    /// Newest first.
    pub policies: Vec<PolicyVersionBody>,
}

/// What is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivePolicies {
    /// The revision that the process which answers runs.
    pub revision: u64,
    /// What is in force for each kind and scope, and what is scheduled to follow it.
    pub active: Vec<ActivationBody>,
}

/// Activations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivationList {
    /// Newest first.
    pub activations: Vec<ActivationBody>,
}

/// What the gate found, some time ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyReportBody {
    /// Which report.
    #[schema(value_type = schema::Id)]
    pub report_id: String,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
    /// For whom.
    pub actor: String,
    /// `upload`, `check` or `activation`.
    #[schema(value_type = schema::ReportCause)]
    pub cause: String,
    /// Where the bundle came from.
    pub origin: String,
    /// Which version, if its manifest could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRefBody>,
    /// What it decides, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::PolicyKind>)]
    pub kind: Option<String>,
    /// Params that were set.
    pub params: BTreeMap<String, i64>,
    /// Whether every check passed.
    pub passed: bool,
    /// The checks; the first failure ends the list.
    pub checks: Vec<GateCheckBody>,
}

impl From<&PolicyReport> for PolicyReportBody {
    fn from(report: &PolicyReport) -> Self {
        let checks = report.checks.iter();
        let checks = checks.map(|check| GateCheckBody {
            check: check.name.clone(),
            passed: check.failure.is_none(),
            reason: check.failure.clone(),
        });
        Self {
            report_id: report.id.to_string(),
            at: report.at.to_string(),
            actor: report.actor.clone(),
            cause: report.cause.name().into(),
            origin: report.origin.clone(),
            policy: report.policy.as_ref().map(Into::into),
            kind: report.kind.map(|kind| kind.name().into()),
            params: report.params.clone(),
            passed: report.passed(),
            checks: checks.collect(),
        }
    }
}

/// Reports of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyReportList {
    /// Newest first.
    pub reports: Vec<PolicyReportBody>,
}

/// Makes a version active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActivatePolicyRequest {
    /// `default` (default) or a pool's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Scope>)]
    pub scope: Option<String>,
    /// `now` (default): the next calculation uses it; `next_period`: the next epoch does, or, if it
    /// is a payout policy, the next settlement period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::ActivationStart>)]
    pub start: Option<String>,
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
    /// Not before the next period.
    pub next_period: bool,
    /// With which params.
    pub params: ParamValues,
    /// Why.
    pub reason: Option<String>,
}

impl Request for ActivatePolicyRequest {
    type Valid = ActivatePolicy;
    fn read(fields: &Fields<'_>) -> Result<ActivatePolicy, FieldError> {
        let scope = match fields.string("scope")? {
            None => Scope::Default,
            Some(text) => {
                text.parse().map_err(|_| fields.error("scope", "must be default or a pool's id"))?
            }
        };
        let next_period = match fields.string("start")? {
            None | Some("now") => false,
            Some("next_period") => true,
            Some(_) => return Err(fields.error("start", "must be one of now, next_period")),
        };
        Ok(ActivatePolicy {
            scope,
            next_period,
            params: params(fields)?,
            reason: fields.text("reason", 0..=500)?,
        })
    }
}

pub(super) fn params(fields: &Fields<'_>) -> Result<ParamValues, FieldError> {
    let mut params = ParamValues::new();
    if let Some(values) = fields.object("params")? {
        for (name, _) in values.entries().take(PARAMS_MAX + 1) {
            params.insert(name.to_owned(), values.require(name, values.signed(name)?)?);
        }
    }
    if params.len() > PARAMS_MAX {
        return Err(fields.error("params", format!("must have at most {PARAMS_MAX} entries")));
    }
    Ok(params)
}

/// Puts a version through the gate as it would be activated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckPolicyRequest {
    /// Params to set; the others have the policy's defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, schema::ParamValue>>)]
    pub params: BTreeMap<String, i64>,
}

impl Request for CheckPolicyRequest {
    type Valid = ParamValues;
    fn read(fields: &Fields<'_>) -> Result<ParamValues, FieldError> {
        params(fields)
    }
}
