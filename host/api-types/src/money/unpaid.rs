//! Money that was not paid: whose, since when, and why not.

use lucid_model::money::MicroUsdt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{csv, page::Pagination, schema};

/// A part of a node's balance that one reason keeps from being paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnpaidBody {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub user_id: Option<String>,
    /// `available`, `held` or `reserved`.
    #[schema(value_type = schema::Balance)]
    pub balance: String,
    /// How much, a decimal string.
    #[schema(value_type = schema::Usdt)]
    pub amount_usdt: String,
    /// When the oldest of it came to this balance.
    #[schema(value_type = schema::Timestamp)]
    pub since: String,
    /// Why it was not paid.
    #[schema(value_type = schema::Unpaid)]
    pub reason: String,
    /// The payout that it is set aside for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub payout_id: Option<String>,
}

/// What one reason keeps from being paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnpaidTotalBody {
    /// The reason.
    #[schema(value_type = schema::Unpaid)]
    pub reason: String,
    /// How many nodes.
    pub nodes: u64,
    /// How much, in sum.
    #[schema(value_type = schema::Usdt)]
    pub amount_usdt: String,
}

impl UnpaidTotalBody {
    /// Of so many nodes.
    pub fn new(reason: &str, nodes: u64, amount: MicroUsdt) -> Self {
        Self { reason: reason.into(), nodes, amount_usdt: amount.to_string() }
    }
}

/// A page of what was not paid, and all of it in sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnpaidList {
    /// In sum, by reason.
    pub totals: Vec<UnpaidTotalBody>,
    /// The page's lines, by node.
    pub unpaid: Vec<UnpaidBody>,
    /// Where the page is in the list.
    pub pagination: Pagination,
}

/// The same as comma-separated values, all of it.
pub fn unpaid_csv<'a>(lines: impl Iterator<Item = &'a UnpaidBody>) -> String {
    let head = csv::line(&[
        "node_id",
        "user_id",
        "balance",
        "amount_usdt",
        "since",
        "reason",
        "payout_id",
    ]);
    lines.fold(head, |text, line| {
        let (owner, payout) = (
            line.user_id.as_deref().unwrap_or_default(),
            line.payout_id.as_deref().unwrap_or_default(),
        );
        text + &csv::line(&[
            &line.node_id,
            owner,
            &line.balance,
            &line.amount_usdt,
            &line.since,
            &line.reason,
            payout,
        ])
    })
}
