//! How two versions differ.

use lucid_model::policies::{
    Changed, ChangedParam, ComponentSize, FactRead, ParamSpec, PolicyDifferences, PolicyRef,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{epochs::poot::PolicyRefBody, schema};

/// How two versions differ; what is alike is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDiffBody {
    /// The version that is compared with.
    pub before: PolicyRefBody,
    /// The version that was asked about.
    pub after: PolicyRefBody,
    /// What the manifests say in words.
    pub manifest: Vec<ChangedTextBody>,
    /// The components, if they are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<ChangedComponentBody>,
    /// What they promise to stay within.
    pub limits: Vec<ChangedLimitBody>,
    /// What their components import.
    pub imports: MovedImportsBody,
    /// What they read.
    pub facts: MovedFactsBody,
    /// What they can be told, by name.
    pub params: Vec<ChangedParamBody>,
}

/// A field of two manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedTextBody {
    /// Its name.
    pub field: String,
    /// As it was.
    pub before: String,
    /// As it is.
    pub after: String,
}

/// Two components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedComponentBody {
    /// As it was.
    pub before: ComponentSizeBody,
    /// As it is.
    pub after: ComponentSizeBody,
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComponentSizeBody {
    /// SHA-256 of it, hex.
    #[schema(value_type = schema::Digest)]
    pub digest: String,
    /// Its size.
    pub bytes: u64,
}

/// A limit that two versions promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedLimitBody {
    /// Its name in the manifest.
    pub limit: String,
    /// As it was.
    pub before: u64,
    /// As it is.
    pub after: u64,
}

/// Imports of two components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedImportsBody {
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
}

/// Facts that two versions read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovedFactsBody {
    /// New.
    pub added: Vec<FactReadBody>,
    /// Gone.
    pub removed: Vec<FactReadBody>,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactReadBody {
    /// Of what: a node, a registration, an observation, a score claim.
    pub of: String,
    /// Its name.
    pub name: String,
}

/// A param of two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedParamBody {
    /// Its name.
    pub name: String,
    /// As it was; not there if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<ParamSpecBody>,
    /// As it is; not there if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<ParamSpecBody>,
}

/// What a policy takes for a param.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParamSpecBody {
    /// Unit of its values.
    pub unit: String,
    /// Its value when none is set.
    #[schema(value_type = schema::ParamValue)]
    pub default: i64,
    /// Smallest value.
    #[schema(value_type = schema::ParamValue)]
    pub min: i64,
    /// Largest value.
    #[schema(value_type = schema::ParamValue)]
    pub max: i64,
    /// For the operator.
    pub doc: String,
}

impl PolicyDiffBody {
    /// Two policies and how they differ.
    pub fn new(before: &PolicyRef, after: &PolicyRef, differences: &PolicyDifferences) -> Self {
        let text = |found: &Changed<String>| ChangedTextBody {
            field: found.what.into(),
            before: found.before.clone(),
            after: found.after.clone(),
        };
        let limit = |found: &Changed<u64>| ChangedLimitBody {
            limit: found.what.into(),
            before: found.before,
            after: found.after,
        };
        let component = |found: &Changed<ComponentSize>| ChangedComponentBody {
            before: (&found.before).into(),
            after: (&found.after).into(),
        };
        let (imports, facts) = (&differences.imports, &differences.facts);
        Self {
            before: before.into(),
            after: after.into(),
            manifest: differences.manifest.iter().map(text).collect(),
            component: differences.component.as_ref().map(component),
            limits: differences.limits.iter().map(limit).collect(),
            imports: MovedImportsBody {
                added: imports.added.clone(),
                removed: imports.removed.clone(),
            },
            facts: MovedFactsBody {
                added: facts.added.iter().map(Into::into).collect(),
                removed: facts.removed.iter().map(Into::into).collect(),
            },
            params: differences.params.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ComponentSize> for ComponentSizeBody {
    fn from(component: &ComponentSize) -> Self {
        Self { digest: component.digest.to_string(), bytes: component.bytes }
    }
}

impl From<&FactRead> for FactReadBody {
    fn from(fact: &FactRead) -> Self {
        Self { of: fact.of.into(), name: fact.name.into() }
    }
}

impl From<&ChangedParam> for ChangedParamBody {
    fn from(param: &ChangedParam) -> Self {
        let spec = |spec: &ParamSpec| ParamSpecBody {
            unit: spec.unit.clone(),
            default: spec.default,
            min: spec.min,
            max: spec.max,
            doc: spec.doc.clone(),
        };
        Self {
            name: param.name.clone(),
            before: param.before.as_ref().map(spec),
            after: param.after.as_ref().map(spec),
        }
    }
}
