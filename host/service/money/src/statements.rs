//! Statements: what came to nodes and what left them, entry by entry, out of the ledger.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::node::Node,
    id::{NodeId, UserId},
    money::{
        MicroUsdt,
        ledger::{Balances, Entry, Stream},
    },
    telemetry::credit::Interval,
};
use lucid_ports::{NodeFilter, NodeSort, Order, PageRequest};

use crate::Money;

/// Entries read at once.
const PAGE: u32 = 1_000;
/// Most lines of a statement.
const LINES_MAX: usize = 200_000;

/// One line: an entry of a node's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLine {
    /// Whose node.
    pub owner: UserId,
    pub node: NodeId,
    pub entry: Entry,
    /// What the node has more or less by it, in all its accounts together; what is owed counts as
    /// less.
    pub amount: MicroUsdt,
    /// The transaction of a payment.
    pub txid: Option<String>,
}

/// A statement of one node, or of all of an owner's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// In the order of nodes and places.
    pub lines: Vec<StatementLine>,
    /// What the nodes have now.
    pub balances: Balances,
}

impl Statement {
    /// Σ of the lines.
    pub fn sum(&self) -> MicroUsdt {
        MicroUsdt(self.lines.iter().map(|line| line.amount.0).sum())
    }
}

fn worth(balances: &Balances) -> i64 {
    balances.available.0 + balances.held.0 + balances.reserved.0 - balances.receivable.0
}

impl Money {
    /// What happened to a node's money in a stretch of time.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's, or there are too many lines.
    pub async fn node_statement(
        &self,
        actor: &Actor,
        id: NodeId,
        range: Interval,
    ) -> Result<Statement, ServiceError> {
        let node = self.parts.fleet.seen_node(actor, id).await?;
        let mut statement = Statement { lines: Vec::new(), balances: Balances::default() };
        self.add_lines(&node, range, &mut statement).await?;
        Ok(statement)
    }

    /// The same of all of an owner's nodes, those that are gone included.
    ///
    /// # Errors
    /// [`ServiceError`] if the owner is another, or there are too many lines.
    pub async fn owner_statement(
        &self,
        actor: &Actor,
        owner: UserId,
        range: Interval,
    ) -> Result<Statement, ServiceError> {
        if !actor.sees_all() && (actor.user != owner || actor.node.is_some()) {
            return Err(ServiceError::Forbidden { why: "the statement is another's" });
        }
        let mut statement = Statement { lines: Vec::new(), balances: Balances::default() };
        let filter = NodeFilter { owner: Some(owner), ..NodeFilter::default() };
        let mut page = 1;
        loop {
            let request = PageRequest {
                page,
                limit: PAGE,
                sort: NodeSort::CreatedAt,
                order: Order::Ascending,
            };
            let nodes = self.parts.nodes.nodes(&filter, request).await?.items;
            for node in &nodes {
                self.add_lines(node, range, &mut statement).await?;
            }
            if nodes.len() < PAGE as usize {
                return Ok(statement);
            }
            page += 1;
        }
    }

    async fn add_lines(
        &self,
        node: &Node,
        range: Interval,
        statement: &mut Statement,
    ) -> Result<(), ServiceError> {
        let (stream, mut before) = (Stream::Node(node.id), Balances::default());
        let mut after = 0;
        loop {
            let entries = self.parts.ledger.entries(stream, after, PAGE).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in entries {
                let amount = MicroUsdt(worth(&entry.balances) - worth(&before));
                before = entry.balances;
                if entry.at < range.from || entry.at >= range.to {
                    continue;
                }
                if statement.lines.len() >= LINES_MAX {
                    return Err(ServiceError::invalid(
                        "from",
                        format!("the statement has more than {LINES_MAX} lines, which is the most"),
                    ));
                }
                let txid = self.txid_of(&entry).await?;
                statement.lines.push(StatementLine {
                    owner: node.owner,
                    node: node.id,
                    entry,
                    amount,
                    txid,
                });
            }
        }
        let sum = |one: MicroUsdt, two: MicroUsdt| one.checked_add(two);
        let all = statement.balances;
        statement.balances = Balances {
            available: sum(all.available, before.available)?,
            held: sum(all.held, before.held)?,
            reserved: sum(all.reserved, before.reserved)?,
            receivable: sum(all.receivable, before.receivable)?,
        };
        Ok(())
    }

    /// The transaction of an entry that says a payout was paid.
    async fn txid_of(&self, entry: &Entry) -> Result<Option<String>, ServiceError> {
        use lucid_model::money::ledger::EntryKind::Settle;
        let payout = entry
            .draft
            .id
            .strip_prefix("cls:")
            .filter(|_| entry.draft.kind == Settle)
            .and_then(|id| id.parse().ok());
        let Some(payout) = payout else { return Ok(None) };
        Ok(self.parts.payouts.payout(payout).await?.and_then(|payout| payout.txid))
    }
}
