//! Requests that say nothing but why.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    schema,
};

/// Why something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonRequest {
    /// Why.
    #[schema(value_type = schema::Reason)]
    pub reason: String,
}

impl Request for ReasonRequest {
    type Valid = String;
    fn read(fields: &Fields<'_>) -> Result<String, FieldError> {
        fields.require("reason", fields.text("reason", 1..=500)?)
    }
}
