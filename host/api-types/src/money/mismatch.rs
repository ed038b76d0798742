//! Payouts that the payment service contradicts, and how treasurers end that.

use lucid_model::money::payout::{Mismatch, Remedy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    schema,
};

/// A payout that the payment service contradicts: two look-ups said the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MismatchBody {
    /// Its id; it follows from the payout and what is said of it.
    #[schema(value_type = schema::Id)]
    pub mismatch_id: String,
    /// The payout.
    #[schema(value_type = schema::Id)]
    pub payout_id: String,
    /// Its payee.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// Its amount.
    #[schema(value_type = schema::Usdt)]
    pub amount_usdt: String,
    /// What contradicts what.
    #[schema(value_type = schema::MismatchKind)]
    pub kind: String,
    /// What the books and the payment service say.
    pub evidence: String,
    /// When it was said first.
    #[schema(value_type = schema::Timestamp)]
    pub first_at: String,
    /// When a later look-up said it again.
    #[schema(value_type = schema::Timestamp)]
    pub confirmed_at: String,
    /// What treasurers did about it; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Remedy>)]
    pub remedy: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub ended_at: Option<String>,
    /// Remedies that fit it.
    #[schema(value_type = Vec<schema::Remedy>)]
    pub remedies: Vec<String>,
}

impl From<&Mismatch> for MismatchBody {
    fn from(mismatch: &Mismatch) -> Self {
        let fitting = Remedy::ALL.iter().filter(|remedy| remedy.fits(mismatch.kind));
        Self {
            mismatch_id: mismatch.id.to_string(),
            payout_id: mismatch.payout.to_string(),
            node_id: mismatch.node.to_string(),
            amount_usdt: mismatch.amount.to_string(),
            kind: mismatch.kind.name().into(),
            evidence: mismatch.evidence.clone(),
            first_at: mismatch.first_at.to_string(),
            confirmed_at: mismatch.confirmed_at.to_string(),
            remedy: mismatch.ended.map(|(_, remedy)| remedy.name().into()),
            ended_at: mismatch.ended.map(|(at, _)| at.to_string()),
            remedies: fitting.map(|remedy| remedy.name().to_owned()).collect(),
        }
    }
}

/// How a mismatch ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RemedyRequest {
    /// `dismiss`: the books are right. `recover`: the payee was paid twice over; what is available
    /// is taken back, the rest is owed. `restore`: the payee was not paid; the amount is available
    /// again.
    #[schema(value_type = schema::Remedy)]
    pub remedy: String,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[schema(value_type = schema::Reason)]
    pub evidence: String,
}

/// A checked remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidRemedy {
    /// What is done.
    pub remedy: Remedy,
    /// How that is known.
    pub evidence: String,
}

impl Request for RemedyRequest {
    type Valid = ValidRemedy;
    fn read(fields: &Fields<'_>) -> Result<ValidRemedy, FieldError> {
        Ok(ValidRemedy {
            remedy: fields.require("remedy", fields.word("remedy", Remedy::ALL, Remedy::name)?)?,
            evidence: fields.require("evidence", fields.text("evidence", 1..=500)?)?,
        })
    }
}
