//! Planning one node by itself: something is set aside, somebody else was there, or it left.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::node::{Node, NodeStatus, Wallet},
    id::{NodeId, PayoutId},
    money::{
        MicroUsdt,
        ledger::{Draft, Head, LedgerError},
        payout::{Payout, PayoutState},
        run::Run,
    },
};
use lucid_ports::Booked;

use crate::{
    Money,
    runs::planning::{Planning, set_aside_by},
};

/// Where a node's payout in a run belongs.
enum Place {
    Free(PayoutId, u32),
    /// What is there already: of this run, or to be freed.
    There(Box<Payout>),
    /// It was paid in this cycle, or is about to be.
    Taken,
}

/// Tries to pay a node in one cycle.
pub(super) const ATTEMPTS_MAX: u32 = 16;

impl Money {
    /// Plans a node by itself, and gives back what was set aside for it and forgotten.
    pub(super) async fn plan_one(
        &self,
        planning: &Planning<'_>,
        node: NodeId,
        head: Head,
    ) -> Result<(), ServiceError> {
        self.plan_node(planning, node, head).await?;
        if head.balances.reserved > MicroUsdt::ZERO && !planning.open.contains_key(&node) {
            // One of this run's cycle has been looked at already, or is looked for once an hour.
            for forgotten in self
                .forgotten(node)
                .await?
                .into_iter()
                .filter(|forgotten| forgotten.cycle != planning.run.cycle)
            {
                self.take_back_forgotten(planning, node, &forgotten).await?;
            }
        }
        Ok(())
    }

    /// Makes one node's payout; none if it cannot be paid, or has one that is still open from
    /// another run.
    async fn plan_node(
        &self,
        planning: &Planning<'_>,
        node: NodeId,
        head: Head,
    ) -> Result<(), ServiceError> {
        let (id, attempt) = match self.next_place(planning.run, node).await? {
            Place::Free(id, attempt) => (id, attempt),
            Place::There(payout) => return self.planned_before(*payout).await,
            Place::Taken => return Ok(()),
        };
        // A reservation without its payout is a crash between the two: its amount stands, unless it
        // was given back.
        let reserved = match self.parts.ledger.entry(&format!("rsv:{id}")).await? {
            Some(_) if self.parts.ledger.entry(&format!("cls:{id}")).await?.is_some() => {
                return Ok(());
            }
            Some(entry) => Some(set_aside_by(&entry)),
            None => None,
        };
        let Some((record, wallet)) = self
            .parts
            .nodes
            .node(node)
            .await?
            .and_then(|node| node.wallet.map(|wallet| (node, wallet)))
        else {
            return Ok(());
        };
        let payable = !planning.is_busy(node) && self.payable_wallet(&record).is_some();
        let amount = match reserved {
            Some(amount) => amount,
            None if !payable => return Ok(()),
            None => {
                let amount = planning.payable(node, head)?;
                if amount < self.least_of(planning.run, &record) || amount <= MicroUsdt::ZERO {
                    return Ok(());
                }
                self.set_aside(Draft::reserve(id, node, amount)?, amount).await?
            }
        };
        let payout = self.reserved_payout((id, attempt), planning, &record, wallet, amount);
        if !payable {
            return self.take_back(payout).await;
        }
        let audit = self.audit_of_plan(&payout);
        if !self.parts.payouts.create_payout(payout.clone(), audit).await? {
            return self.take_back(payout).await;
        }
        self.publish_planned_payout(&payout);
        Ok(())
    }

    /// The first attempt that nothing came of yet. A schedule tries once; a person tries again what
    /// was given back.
    async fn next_place(&self, run: &Run, node: NodeId) -> Result<Place, ServiceError> {
        for attempt in 0..ATTEMPTS_MAX {
            let id = PayoutId::derive(self.parts.family, run.cycle, node, attempt);
            match self.parts.payouts.payout(id).await? {
                None => return Ok(Place::Free(id, attempt)),
                Some(there)
                    if there.run == run.id
                        || (there.state == PayoutState::Cancelled && !there.closed) =>
                {
                    return Ok(Place::There(Box::new(there)));
                }
                Some(there)
                    if there.closed
                        && there.state != PayoutState::Confirmed
                        && !run.is_scheduled() => {}
                Some(_) => return Ok(Place::Taken),
            }
        }
        Ok(Place::Taken)
    }

    /// Books a reservation; how much is set aside. Another planner may have booked it since the
    /// balance was read, with what was there then, or have set aside what is not there any more.
    async fn set_aside(
        &self,
        reservation: Draft,
        amount: MicroUsdt,
    ) -> Result<MicroUsdt, ServiceError> {
        let id = reservation.id.clone();
        match self.book_draft(reservation).await {
            Ok(Booked::Already) => {
                let booked = self
                    .parts
                    .ledger
                    .entry(&id)
                    .await?
                    .ok_or(ServiceError::Changed { what: "reservation" })?;
                Ok(set_aside_by(&booked))
            }
            Ok(_) => Ok(amount),
            Err(ServiceError::Ledger(LedgerError::Overdrawn { .. })) => {
                Err(ServiceError::Changed { what: "balance" })
            }
            Err(error) => Err(error),
        }
    }

    /// A reservation of which nothing is to be paid. A payout that is never sent takes the place of
    /// the one that would have been: only who fills that place may free the money, so that no other
    /// planner makes a payout of it.
    pub(super) async fn take_back(&self, payout: Payout) -> Result<(), ServiceError> {
        let (id, reason) =
            (payout.id, Some("nothing was to be paid any more when it was planned".to_owned()));
        let never_sent = Payout {
            state: PayoutState::Cancelled,
            reason,
            processed_at: Some(self.parts.clock.now()),
            closed: true,
            ..payout
        };
        let audit = self
            .parts
            .audit
            .entry(
                &Actor::system(),
                "payout.create",
                id,
                format!("cancelled, {} USDT", never_sent.amount),
            )
            .creating(&never_sent);
        self.parts.payouts.create_payout(never_sent, audit).await?;
        match self.parts.payouts.payout(id).await? {
            Some(there) => self.planned_before(there).await,
            None => Err(ServiceError::Changed { what: "payout" }),
        }
    }

    /// What an earlier planner made of a reservation, or another one just now. The money of what is
    /// never sent is freed, if that planner did not come so far.
    async fn planned_before(&self, payout: Payout) -> Result<(), ServiceError> {
        if payout.state != PayoutState::Cancelled {
            return Ok(());
        }
        let cause = payout.reason.unwrap_or_default();
        self.book_draft(Draft::close(payout.id, payout.node, payout.amount, false, cause)?).await?;
        Ok(())
    }

    /// Where a node can be paid now, if it can.
    pub(crate) fn payable_wallet(&self, node: &Node) -> Option<Wallet> {
        if self.parts.fleet.payout_hold(node).is_some() { None } else { node.wallet }
    }

    /// The least that a node is paid. Who left gets a last payout of little; and anything, if a
    /// person has it paid: that is how it is claimed.
    pub(super) fn least_of(&self, run: &Run, node: &Node) -> MicroUsdt {
        match node.status {
            NodeStatus::Deregistered if run.nodes.contains(&node.id) => MicroUsdt::ZERO,
            _ => self.least(node),
        }
    }

    /// The least that a schedule pays a node.
    pub(super) fn least(&self, node: &Node) -> MicroUsdt {
        if node.status == NodeStatus::Deregistered {
            self.config.payout_final_min
        } else {
            self.config.payout_min
        }
    }
}
