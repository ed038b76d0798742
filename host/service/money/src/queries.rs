//! Payouts, runs and earnings, within what the caller may see.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::{NodeId, PayoutId, RunId},
    money::{
        MicroUsdt,
        ledger::{Balances, Stream},
        payout::{Payout, Proposal},
        run::Run,
        settlement::SettlementRecord,
    },
    telemetry::credit::Interval,
    time::TimeMs,
};
use lucid_ports::{Page, PageRequest, PayoutFilter, PayoutSort};

use crate::Money;

/// What a node has earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earnings {
    /// What is booked and was not paid yet.
    pub balances: Balances,
    /// What did not accrue yet, about.
    pub estimated: MicroUsdt,
    /// What was paid in all.
    pub paid: MicroUsdt,
}

impl Money {
    /// A page of payouts.
    ///
    /// # Errors
    /// [`ServiceError`] if a node is named that is unknown or another's.
    pub async fn payouts(
        &self,
        actor: &Actor,
        mut filter: PayoutFilter,
        page: PageRequest<PayoutSort>,
    ) -> Result<Page<Payout>, ServiceError> {
        if let Some(node) = filter.node {
            self.parts.fleet.seen_node(actor, node).await?;
        }
        actor.narrow(&mut filter.owner, &mut filter.node);
        Ok(self.parts.payouts.payouts(&filter, page).await?)
    }

    /// One payout.
    ///
    /// # Errors
    /// [`ServiceError`] if there is none, or it is another's.
    pub async fn payout(&self, actor: &Actor, id: PayoutId) -> Result<Payout, ServiceError> {
        let payout = self.parts.payouts.payout(id).await?.ok_or(ServiceError::no("payout"))?;
        if actor.sees(payout.owner, payout.node) {
            Ok(payout)
        } else {
            Err(ServiceError::Forbidden { why: "the payout is another's" })
        }
    }

    /// One run.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    pub async fn run(&self, id: RunId) -> Result<Run, ServiceError> {
        self.parts.runs.run(id).await?.ok_or(ServiceError::no("run"))
    }

    /// What a node has earned: its balances.
    ///
    /// # Errors
    /// [`ServiceError`] if the node is unknown or another's.
    pub async fn earnings(&self, actor: &Actor, id: NodeId) -> Result<Earnings, ServiceError> {
        self.parts.fleet.seen_node(actor, id).await?;
        let all = Interval { from: TimeMs(0), to: TimeMs(i64::MAX) };
        let paid =
            self.parts.payouts.payments(&[id], all).await?.into_iter().map(|(_, _, amount)| amount);
        Ok(Earnings {
            balances: self.parts.ledger.head(Stream::Node(id)).await?.balances,
            estimated: self.estimated(id).await?,
            paid: MicroUsdt::checked_sum(paid)?,
        })
    }

    /// What the treasury has.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn treasury(&self) -> Result<MicroUsdt, ServiceError> {
        Ok(self.parts.ledger.head(Stream::Treasury).await?.balances.available)
    }

    /// The last settled period.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn last_settlement(&self) -> Result<Option<SettlementRecord>, ServiceError> {
        Ok(self.parts.settlements.last_settlement().await?)
    }

    /// What treasurers said became of payouts, by when they did.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn proposals(&self, page: PageRequest<()>) -> Result<Page<Proposal>, ServiceError> {
        Ok(self.parts.decisions.proposals(page).await?)
    }
}
