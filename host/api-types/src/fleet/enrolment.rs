//! Enrolment tokens on the wire.

use lucid_model::{
    fleet::{
        commands::NewEnrolment,
        enrolment::{Enrolment, EnrolmentScope},
    },
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    fleet::node::NAME_LENGTH,
    schema,
};

/// Nodes that may be registered with one token.
const USES: std::ops::RangeInclusive<u32> = 1..=10_000;
/// Hours that a token may be good for: a year.
const HOURS: std::ops::RangeInclusive<u32> = 1..=8_760;
/// Hours that it is good for unless it is said.
const HOURS_DEFAULT: u32 = 24;

/// Asks for a token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreateEnrolmentRequest {
    /// For people.
    #[schema(value_type = schema::Name)]
    pub name: String,
    /// What it lets its bearer do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::EnrolmentScope>)]
    pub scope: Option<String>,
    /// Whose nodes are registered with it; the caller's, unless an operator says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub owner_id: Option<String>,
    /// The pool that its nodes are put into while that has room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub pool_id: Option<String>,
    /// How many nodes may be registered with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000, default = 1)]
    pub uses_max: Option<u32>,
    /// For how long it is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 8_760, default = 24)]
    pub expires_in_hours: Option<u32>,
}

impl Request for CreateEnrolmentRequest {
    type Valid = NewEnrolment;
    fn read(fields: &Fields<'_>) -> Result<NewEnrolment, FieldError> {
        Ok(NewEnrolment {
            name: fields.require("name", fields.text("name", NAME_LENGTH)?)?,
            scope: fields
                .word("scope", EnrolmentScope::ALL, EnrolmentScope::name)?
                .unwrap_or(EnrolmentScope::Register),
            owner: fields.parsed("owner_id")?,
            pool: fields.parsed("pool_id")?,
            uses_max: fields.integer("uses_max", USES)?.unwrap_or(1),
            ttl_s: fields.integer("expires_in_hours", HOURS)?.unwrap_or(HOURS_DEFAULT) * 3_600,
        })
    }
}

/// A token: what is known of it, and once itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentBody {
    /// Names it.
    #[schema(value_type = schema::Id)]
    pub enrolment_id: String,
    /// The token: only in the answer that makes it, and not in a repeat of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// For people.
    pub name: String,
    /// What it lets its bearer do.
    #[schema(value_type = schema::EnrolmentScope)]
    pub scope: String,
    /// Whose nodes are registered with it.
    #[schema(value_type = schema::Id)]
    pub owner_id: String,
    /// The pool of its nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub pool_id: Option<String>,
    /// How many nodes may be registered with it.
    pub uses_max: u32,
    /// How many were.
    pub uses: u32,
    /// Whether it is good for one more.
    pub usable: bool,
    /// Not good from then on.
    #[schema(value_type = schema::Timestamp)]
    pub expires_at: String,
    /// When it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub revoked_at: Option<String>,
    /// When it was made.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// By whom.
    pub created_by: String,
}

impl EnrolmentBody {
    /// What is known of a token.
    pub fn new(enrolment: &Enrolment, now: TimeMs) -> Self {
        Self {
            enrolment_id: enrolment.id.to_string(),
            token: None,
            name: enrolment.name.clone(),
            scope: enrolment.scope.name().into(),
            owner_id: enrolment.owner.to_string(),
            pool_id: enrolment.pool.map(|pool| pool.to_string()),
            uses_max: enrolment.uses_max,
            uses: enrolment.uses,
            usable: enrolment.is_good(now),
            expires_at: enrolment.expires_at.to_string(),
            revoked_at: enrolment.revoked_at.map(|at| at.to_string()),
            created_at: enrolment.created_at.to_string(),
            created_by: enrolment.created_by.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::parse;

    #[test]
    fn a_token_is_good_for_one_node_and_one_day_unless_it_is_said() {
        let asked = parse::<CreateEnrolmentRequest>(br#"{"name":"rack 7"}"#).unwrap();
        assert_eq!(
            (asked.uses_max, asked.ttl_s, asked.scope, asked.pool),
            (1, 86_400, EnrolmentScope::Register, None)
        );
        let refusal =
            |json: &str| parse::<CreateEnrolmentRequest>(json.as_bytes()).unwrap_err().field;
        assert_eq!(refusal("{}"), "name");
        assert_eq!(refusal(r#"{"name":"x","uses_max":0}"#), "uses_max");
        assert_eq!(refusal(r#"{"name":"x","expires_in_hours":8761}"#), "expires_in_hours");
        assert_eq!(refusal(r#"{"name":"x","scope":"root"}"#), "scope");
    }
}
