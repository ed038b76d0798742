//! Payouts and earnings.

use lucid_model::{
    money::{
        MicroUsdt,
        ledger::Balances,
        payout::{Found, Outcome, Payout},
    },
    time::TimeMs,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fields::{FieldError, Fields, Request},
    number::ExactNumber,
    schema,
};

/// What payouts are made in.
pub const CURRENCY: &str = "USDT";
/// Most of one deposit: a sum of many still is a number of the ledger.
pub const DEPOSIT_MAX: MicroUsdt = MicroUsdt(999_999_999_999_999);
/// How payouts are made.
pub const PAYMENT_METHOD: &str = "tron_network";

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CalculationPeriodBody {
    /// First instant.
    #[schema(value_type = schema::Timestamp)]
    pub start_date: String,
    /// First instant after it.
    #[schema(value_type = schema::Timestamp)]
    pub end_date: String,
}

/// A payout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayoutBody {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub payout_id: String,
    /// To which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// The node's owner.
    #[schema(value_type = schema::Id)]
    pub user_id: String,
    /// How much, six digits after the point.
    #[schema(value_type = schema::Amount)]
    pub amount: ExactNumber,
    /// `USDT`.
    #[schema(value_type = schema::Currency)]
    pub currency: String,
    /// `pending`, `processing`, `completed`, `failed`, `cancelled`.
    #[schema(value_type = schema::PayoutStatus)]
    pub status: String,
    /// Planned.
    #[schema(value_type = schema::Timestamp)]
    pub created_at: String,
    /// Last change.
    #[schema(value_type = schema::Timestamp)]
    pub updated_at: String,
    /// When it became final.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Timestamp>)]
    pub processed_at: Option<String>,
    /// The transaction, once seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// `tron_network`.
    #[schema(value_type = schema::PaymentMethod)]
    pub payment_method: String,
    /// The node's score at the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Score>)]
    pub poot_score: Option<ExactNumber>,
    /// Credited seconds it pays for.
    pub observation_time: u64,
    /// What it pays for.
    pub calculation_period: CalculationPeriodBody,
    /// The run that planned it.
    #[schema(value_type = schema::Id)]
    pub run_id: String,
    /// Exactly where it is; finer than `status`.
    #[schema(value_type = schema::PayoutState)]
    pub state: String,
    /// Counts tries of the same node and cycle.
    pub attempt: u32,
    /// Where the money goes.
    #[schema(value_type = schema::TronAddress)]
    pub wallet_address: String,
    /// The rail's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Why it is where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the payment service told of it since it waits for a person: offered as the resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundBody>,
}

/// What the payment service told of a payout that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundBody {
    /// What became of it.
    #[schema(value_type = schema::PayoutOutcome)]
    pub outcome: String,
    /// The transaction that paid it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// When that was told first.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
}

impl From<&Found> for FoundBody {
    fn from(found: &Found) -> Self {
        let (outcome, transaction_id) = match &found.outcome {
            Outcome::Paid { txid } => ("paid", Some(txid.clone())),
            Outcome::NotPaid => ("not_paid", None),
        };
        Self { outcome: outcome.into(), transaction_id, at: found.at.to_string() }
    }
}

impl From<&Payout> for PayoutBody {
    fn from(payout: &Payout) -> Self {
        Self {
            payout_id: payout.id.to_string(),
            node_id: payout.node.to_string(),
            user_id: payout.owner.to_string(),
            amount: payout.amount.into(),
            currency: CURRENCY.into(),
            status: payout.state.status().name().into(),
            created_at: payout.created_at.to_string(),
            updated_at: payout.updated_at.to_string(),
            processed_at: payout.processed_at.map(|at| at.to_string()),
            transaction_id: payout.txid.clone(),
            payment_method: PAYMENT_METHOD.into(),
            poot_score: payout.score.map(Into::into),
            observation_time: payout.observed_s,
            calculation_period: CalculationPeriodBody {
                start_date: TimeMs::from_unix_s(payout.period_start_s).to_string(),
                end_date: TimeMs::from_unix_s(payout.period_end_s).to_string(),
            },
            run_id: payout.run.to_string(),
            state: payout.state.name().into(),
            attempt: payout.attempt,
            wallet_address: payout.address.to_string(),
            external_id: payout.external_id.clone(),
            reason: payout.reason.clone(),
            found: payout.found.as_ref().map(Into::into),
        }
    }
}

/// What a node has earned and not been paid yet; decimal strings of USDT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarningsBody {
    /// Whose.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// May be paid.
    #[schema(value_type = schema::Usdt)]
    pub available_usdt: String,
    /// Held back.
    #[schema(value_type = schema::Usdt)]
    pub held_usdt: String,
    /// Set aside for a payout.
    #[schema(value_type = schema::Usdt)]
    pub reserved_usdt: String,
    /// Owed by the node.
    #[schema(value_type = schema::Usdt)]
    pub receivable_usdt: String,
    /// Earned since the last settlement, about: it is settled with the period, and may be more or
    /// less.
    #[schema(value_type = schema::Usdt)]
    pub estimated_usdt: String,
    /// Paid so far, in all.
    #[schema(value_type = schema::Usdt)]
    pub paid_usdt: String,
}

impl EarningsBody {
    /// Of a node with these balances, and what is estimated and was paid beside them.
    pub fn new(
        node: lucid_model::id::NodeId,
        balances: &Balances,
        estimated: MicroUsdt,
        paid: MicroUsdt,
    ) -> Self {
        Self {
            estimated_usdt: estimated.to_string(),
            paid_usdt: paid.to_string(),
            node_id: node.to_string(),
            available_usdt: balances.available.to_string(),
            held_usdt: balances.held.to_string(),
            reserved_usdt: balances.reserved.to_string(),
            receivable_usdt: balances.receivable.to_string(),
        }
    }
}
/// Money that came into the treasury.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DepositRequest {
    /// Names the deposit: the same reference twice is one deposit. 1–100 characters.
    #[schema(value_type = schema::Reference)]
    pub reference: String,
    /// USDT, a decimal string above zero.
    #[schema(value_type = schema::UsdtAmount)]
    pub amount_usdt: String,
}

/// A checked deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Names it.
    pub reference: String,
    /// How much.
    pub amount: MicroUsdt,
}

impl Request for DepositRequest {
    type Valid = Deposit;
    fn read(fields: &Fields<'_>) -> Result<Deposit, FieldError> {
        Ok(Deposit {
            reference: fields.require("reference", fields.text("reference", 1..=100)?)?,
            amount: fields.require("amount_usdt", amount(fields)?)?,
        })
    }
}

pub(crate) fn amount(fields: &Fields<'_>) -> Result<Option<MicroUsdt>, FieldError> {
    let Some(amount) = fields.parsed::<MicroUsdt>("amount_usdt")? else { return Ok(None) };
    let may_be = MicroUsdt::ZERO < amount && amount <= DEPOSIT_MAX;
    may_be.then_some(Some(amount)).ok_or_else(|| {
        fields.error("amount_usdt", format!("must be above zero and at most {DEPOSIT_MAX}"))
    })
}

/// What the treasury holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TreasuryBody {
    /// USDT not yet promised to anybody.
    #[schema(value_type = schema::Usdt)]
    pub available_usdt: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::parse;

    #[test]
    fn a_deposit_is_above_zero_and_leaves_room_for_many_more() {
        let read = |amount: &str| {
            let body = format!(r#"{{"reference":"r","amount_usdt":"{amount}"}}"#);
            parse::<DepositRequest>(body.as_bytes())
                .map(|deposit| deposit.amount.0)
                .map_err(|error| error.to_string())
        };
        assert_eq!((read("0.000001"), read("999999999.999999")), (Ok(1), Ok(DEPOSIT_MAX.0)));
        for amount in ["0", "-1", "1000000000"] {
            assert_eq!(
                read(amount),
                Err("amount_usdt: must be above zero and at most 999999999.999999".into()),
                "{amount}"
            );
        }
    }
}
