//! Statements: what came to nodes and what left them.

use std::fmt::Write as _;

use lucid_model::{
    id::{NodeId, UserId},
    money::{
        MicroUsdt,
        ledger::{Balances, Entry},
    },
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{csv::cell, money::payout::CURRENCY, schema};

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementLineBody {
    /// The ledger entry.
    pub entry_id: String,
    /// When it was booked.
    #[schema(value_type = schema::Timestamp)]
    pub at: String,
    /// Whose node.
    #[schema(value_type = schema::Id)]
    pub user_id: String,
    /// Which node.
    #[schema(value_type = schema::Id)]
    pub node_id: String,
    /// What it records.
    #[schema(value_type = schema::EntryKind)]
    pub kind: String,
    /// `USDT`.
    #[schema(value_type = schema::Currency)]
    pub currency: String,
    /// What the node has more or less by it, in all its accounts together; what it owes counts as
    /// less.
    #[schema(value_type = schema::Usdt)]
    pub amount_usdt: String,
    /// The transaction of a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// What caused it.
    pub cause: String,
}

impl StatementLineBody {
    /// The line of an entry.
    pub fn new(
        (owner, node): (UserId, NodeId),
        entry: &Entry,
        amount: MicroUsdt,
        txid: Option<&str>,
    ) -> Self {
        Self {
            entry_id: entry.draft.id.clone(),
            at: entry.at.to_string(),
            user_id: owner.to_string(),
            node_id: node.to_string(),
            kind: entry.draft.kind.name().into(),
            currency: CURRENCY.into(),
            amount_usdt: amount.to_string(),
            transaction_id: txid.map(str::to_owned),
            cause: entry.draft.cause.clone(),
        }
    }
}

/// What happened to the money of nodes in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementBody {
    /// Its lines, node by node in the order they were booked.
    pub lines: Vec<StatementLineBody>,
    /// Σ of the lines.
    #[schema(value_type = schema::Usdt)]
    pub sum_usdt: String,
    /// What the nodes may be paid now.
    #[schema(value_type = schema::Usdt)]
    pub available_usdt: String,
    /// Held back now.
    #[schema(value_type = schema::Usdt)]
    pub held_usdt: String,
    /// Set aside for payouts now.
    #[schema(value_type = schema::Usdt)]
    pub reserved_usdt: String,
    /// Owed by the nodes now.
    #[schema(value_type = schema::Usdt)]
    pub receivable_usdt: String,
}

impl StatementBody {
    /// Lines with what they add up to, and what the nodes have now.
    pub fn new(lines: Vec<StatementLineBody>, sum: MicroUsdt, balances: &Balances) -> Self {
        Self {
            lines,
            sum_usdt: sum.to_string(),
            available_usdt: balances.available.to_string(),
            held_usdt: balances.held.to_string(),
            reserved_usdt: balances.reserved.to_string(),
            receivable_usdt: balances.receivable.to_string(),
        }
    }

    /// Every line as comma-separated values, below one with the names.
    pub fn csv(&self) -> String {
        let mut csv =
            String::from("entry_id,at,user_id,node_id,kind,currency,amount,transaction_id,cause\n");
        for line in &self.lines {
            let txid = line.transaction_id.as_deref().unwrap_or_default();
            let cells = [
                &line.entry_id,
                &line.at,
                &line.user_id,
                &line.node_id,
                &line.kind,
                &line.currency,
            ]
            .map(|text| cell(text));
            // Writing into a text does not fail. The amount is a number, and may begin with a
            // minus.
            let _ = writeln!(
                csv,
                "{},{},{},{}",
                cells.join(","),
                line.amount_usdt,
                cell(txid),
                cell(&line.cause)
            );
        }
        csv
    }
}
