//! What people decide about payments: freezing them, taking a payout back before it is sent, and
//! saying what became of one that nobody can tell.

use lucid_foundation::{Actor, CAS_TRIES, ServiceError};
use lucid_model::{
    audit::AuditEntry,
    id::{NodeId, PayoutId, ProposalId},
    money::{
        MicroUsdt,
        ledger::{Draft, Stream},
        payout::{
            About, Capabilities, Closing, Correction, Decision, Effect, Event, Outcome, Payout,
            PayoutState, Proposal, Rules, step,
        },
    },
};
use lucid_ports::{Fence, PayoutUpdate};

use crate::{Money, remedies::not_enough, resolutions::summary, runs::treasurer};

/// What alerts about proposals that wait for another treasurer are about.
pub const PROPOSAL: &str = "payout-proposal";

/// What became of a treasurer's word about a payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// It is so; the payout, if it was about one.
    Done(Option<Box<Payout>>),
    /// Another treasurer has to confirm it.
    Proposed(Box<Proposal>),
}

impl Money {
    /// Takes a payout back that was not sent: its money is the node's again.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is no such payout, or it was sent or is being
    /// changed.
    pub async fn cancel_payout(
        &self,
        actor: &Actor,
        id: PayoutId,
        reason: String,
    ) -> Result<Payout, ServiceError> {
        treasurer(actor)?;
        retried(|| self.cancelled(actor, id, &reason)).await
    }

    async fn cancelled(
        &self,
        actor: &Actor,
        id: PayoutId,
        reason: &str,
    ) -> Result<Payout, ServiceError> {
        let payout = self.parts.payouts.payout(id).await?.ok_or(ServiceError::no("payout"))?;
        if payout.state == PayoutState::Cancelled {
            return self.close_decided(payout, Closing::Release).await;
        }
        let cancel = Event::Cancel { reason: reason.to_owned() };
        self.decide(actor, payout, cancel, "payout.cancel").await
    }

    /// Says what became of a payout that a person has to look at. Where four eyes are required
    /// another treasurer has to say the same.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is no such payout, or nobody has to look at
    /// it.
    pub async fn resolve_payout(
        &self,
        actor: &Actor,
        id: PayoutId,
        outcome: Outcome,
        evidence: String,
    ) -> Result<Resolved, ServiceError> {
        treasurer(actor)?;
        let payout = self.parts.payouts.payout(id).await?.ok_or(ServiceError::no("payout"))?;
        // Refused now, not when another one looks at it.
        self.stepped(&payout, event(&outcome, &evidence))?;
        let (by, at) = (actor.subject.clone(), self.parts.clock.now());
        let about = About::Payout { payout: id, outcome };
        let proposal = Proposal {
            id: ProposalId(self.parts.ids.new_id(actor)),
            about,
            evidence,
            by,
            at,
            decided: None,
        };
        self.propose(actor, proposal).await
    }

    /// Puts a node's balances right, or proposes it where four eyes are required.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is no such node, or it has not so much.
    pub async fn correct_balance(
        &self,
        actor: &Actor,
        node: NodeId,
        (correction, amount): (Correction, MicroUsdt),
        reason: String,
    ) -> Result<Resolved, ServiceError> {
        treasurer(actor)?;
        self.parts.nodes.node(node).await?.ok_or(ServiceError::no("node"))?;
        let (by, at) = (actor.subject.clone(), self.parts.clock.now());
        let about = About::Balance { node, correction, amount };
        let proposal = Proposal {
            id: ProposalId(self.parts.ids.new_id(actor)),
            about,
            evidence: reason,
            by,
            at,
            decided: None,
        };
        // Refused now, not when another one looks at it.
        let mut head = self.parts.ledger.head(Stream::Node(node)).await?;
        for draft in Draft::correction(proposal.id, node, correction, amount, &proposal.evidence)? {
            if draft.stream == Stream::Node(node) {
                head.balances = draft.balances_after(head.balances).map_err(not_enough)?;
            }
        }
        self.propose(actor, proposal).await
    }

    pub(crate) async fn propose(
        &self,
        actor: &Actor,
        proposal: Proposal,
    ) -> Result<Resolved, ServiceError> {
        let audit = self
            .parts
            .audit
            .entry(actor, "payout.propose", subject(&proposal), told(&proposal))
            .creating(&proposal);
        if !self.parts.decisions.add_proposal(proposal.clone(), audit).await? {
            return Err(ServiceError::Changed { what: "proposal" });
        }
        if self.parts.rules.four_eyes {
            self.parts.notifications.alert_of(
                PROPOSAL,
                proposal.id.to_string(),
                format!(
                    "{}: {} has to be confirmed by another treasurer",
                    subject(&proposal),
                    told(&proposal)
                ),
            );
            return Ok(Resolved::Proposed(Box::new(proposal)));
        }
        self.accepted(actor, proposal).await.map(|payout| Resolved::Done(payout.map(Box::new)))
    }

    /// Confirms what another treasurer says, or refuses it; the payout as it is now, if it is about
    /// one.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not or is who says so, there is no such proposal, it was
    /// decided before, or the payout is another by now.
    pub async fn decide_proposal(
        &self,
        actor: &Actor,
        id: ProposalId,
        accepted: bool,
    ) -> Result<Option<Payout>, ServiceError> {
        treasurer(actor)?;
        let proposal =
            self.parts.decisions.proposal(id).await?.ok_or(ServiceError::no("proposal"))?;
        if proposal.decided.is_some() {
            return Err(ServiceError::Changed { what: "proposal" });
        }
        if self.parts.rules.four_eyes && accepted && proposal.by == actor.subject {
            return Err(ServiceError::Forbidden { why: "who says so cannot confirm it" });
        }
        if accepted {
            return self.accepted(actor, proposal).await;
        }
        if let About::Balance { node, correction, amount } = proposal.about {
            for draft in
                Draft::correction(proposal.id, node, correction, amount, &proposal.evidence)?
            {
                if self.parts.ledger.entry(&draft.id).await?.is_some() {
                    return Err(ServiceError::Changed { what: "balance" });
                }
            }
        }
        self.decided(actor, &proposal, false).await?;
        match proposal.about {
            About::Payout { payout, .. } => Ok(self.parts.payouts.payout(payout).await?),
            About::Payouts(_) | About::Balance { .. } | About::Mismatch { .. } => Ok(None),
        }
    }

    /// The payout or the balances first, then the proposal: who ends between the two finds it still
    /// open, and confirming it again finds it done.
    async fn accepted(
        &self,
        actor: &Actor,
        proposal: Proposal,
    ) -> Result<Option<Payout>, ServiceError> {
        let payout = match &proposal.about {
            About::Payout { payout, outcome } => {
                Some(retried(|| self.resolved(actor, *payout, outcome, &proposal.evidence)).await?)
            }
            About::Payouts(resolutions) => {
                self.resolved_all(actor, resolutions).await?;
                None
            }
            About::Balance { node, correction, amount } => {
                for draft in
                    Draft::correction(proposal.id, *node, *correction, *amount, &proposal.evidence)?
                {
                    match self.book_draft(draft).await {
                        Err(ServiceError::Ledger(error)) => return Err(not_enough(error)),
                        booked => booked.map(|_| ())?,
                    }
                }
                None
            }
            About::Mismatch { mismatch, remedy } => {
                self.end_mismatch(actor, *mismatch, *remedy, &proposal.evidence).await?;
                None
            }
        };
        self.decided(actor, &proposal, true).await?;
        Ok(payout)
    }

    pub(crate) async fn resolved(
        &self,
        actor: &Actor,
        id: PayoutId,
        outcome: &Outcome,
        evidence: &str,
    ) -> Result<Payout, ServiceError> {
        let payout = self.parts.payouts.payout(id).await?.ok_or(ServiceError::no("payout"))?;
        let (is, closing) = match outcome {
            Outcome::Paid { .. } => (PayoutState::Confirmed, Closing::Settle),
            Outcome::NotPaid => (PayoutState::Failed, Closing::Release),
        };
        if payout.state == is {
            self.close_decided(payout, closing).await
        } else {
            self.decide(actor, payout, event(outcome, evidence), "payout.resolve").await
        }
    }

    async fn decided(
        &self,
        actor: &Actor,
        proposal: &Proposal,
        accepted: bool,
    ) -> Result<(), ServiceError> {
        let decision = Decision { at: self.parts.clock.now(), by: actor.subject.clone(), accepted };
        let after = Proposal { decided: Some(decision.clone()), ..proposal.clone() };
        let audit = self
            .parts
            .audit
            .entry(actor, "payout.decide", subject(proposal), told(&after))
            .changing(proposal, &after);
        if !self.parts.decisions.decide_proposal(proposal.id, decision, audit).await? {
            return Err(ServiceError::Changed { what: "proposal" });
        }
        self.parts.notifications.clear_alert_of(PROPOSAL, &proposal.id.to_string());
        Ok(())
    }

    pub(crate) fn stepped(
        &self,
        payout: &Payout,
        event: Event,
    ) -> Result<(Payout, Vec<Effect>), ServiceError> {
        // What a rail can do decides nothing here: these events send nothing and ask nobody.
        let nothing = Capabilities {
            dedupes_by_key: false,
            queries_by_key: false,
            key_retention_ms: 0,
            failed_is_final: false,
        };
        let rules = Rules {
            can: nothing,
            deadlines: self.config.deadlines,
            pace: self.config.pace,
            may_send: false,
        };
        Ok(step(payout, event, &rules, self.parts.clock.now())?)
    }

    /// Applies a person's word to a payout. The payer does not touch payouts that wait for a
    /// person, and of one that it is about to send only one of the two writes counts.
    async fn decide(
        &self,
        actor: &Actor,
        before: Payout,
        event: Event,
        action: &str,
    ) -> Result<Payout, ServiceError> {
        let (mut after, effects) = self.stepped(&before, event)?;
        after.version += 1;
        let audit = self.parts.audit.entry(
            actor,
            action,
            after.id,
            after.reason.clone().or_else(|| after.txid.clone()).unwrap_or_default(),
        );
        self.keep_decided(after.clone(), Some(audit.changing(&before, &after))).await?;
        self.publish_payout(&before, &after);
        for effect in effects {
            if let Effect::Close(closing) = effect {
                after = self.close_decided(after, closing).await?;
            }
        }
        Ok(after)
    }

    /// Books the closing entry, if it is not booked, and says so.
    async fn close_decided(
        &self,
        payout: Payout,
        closing: Closing,
    ) -> Result<Payout, ServiceError> {
        if payout.closed {
            return Ok(payout);
        }
        let cause = payout.txid.clone().or_else(|| payout.reason.clone()).unwrap_or_default();
        self.book_draft(Draft::close(
            payout.id,
            payout.node,
            payout.amount,
            closing == Closing::Settle,
            cause,
        )?)
        .await?;
        let closed = Payout { closed: true, version: payout.version + 1, ..payout.clone() };
        let audit = self.audit_of_payout(&payout, &closed);
        self.keep_decided(closed.clone(), audit).await?;
        Ok(closed)
    }

    /// Makes a change durable that is nobody's payer's. Whoever pays meanwhile wins: the caller
    /// reads again.
    async fn keep_decided(
        &self,
        payout: Payout,
        audit: Option<AuditEntry>,
    ) -> Result<(), ServiceError> {
        let (fence, txid) = (
            self.parts.payouts.begin_paying(Fence(0)).await?,
            payout.txid.clone().unwrap_or_default(),
        );
        match self.parts.payouts.update_payouts(fence, vec![(payout, audit)]).await?.first() {
            Some(PayoutUpdate::Done) => Ok(()),
            Some(PayoutUpdate::Taken) => Err(self.taken(&txid).await?),
            Some(PayoutUpdate::Conflict | PayoutUpdate::FencedOff { .. }) | None => {
                Err(ServiceError::Changed { what: "payout" })
            }
        }
    }
}

impl Money {
    /// The transaction that somebody names for a payout belongs to another one.
    async fn taken(&self, txid: &str) -> Result<ServiceError, ServiceError> {
        let other = self.parts.payouts.payout_of_transaction(txid).await?;
        let whose = other
            .map_or_else(|| "another payout".to_owned(), |other| format!("payout {}", other.id));
        Ok(ServiceError::invalid(
            "txid",
            format!(
                "transaction {txid} is that of {whose} already: name the one that paid this payout"
            ),
        ))
    }
}

/// Decides about a payout again if somebody else changed it meanwhile: the payer closes payouts, and
/// looks them up, too. What it finds then counts: a decision that was made already is answered.
pub(crate) async fn retried<F>(decide: impl Fn() -> F) -> Result<Payout, ServiceError>
where
    F: Future<Output = Result<Payout, ServiceError>>,
{
    for _ in 1..CAS_TRIES {
        match decide().await {
            Err(ServiceError::Changed { what: "payout" }) => {}
            outcome => return outcome,
        }
    }
    decide().await
}

pub(crate) fn event(outcome: &Outcome, evidence: &str) -> Event {
    match outcome {
        Outcome::Paid { txid } => Event::ResolvePaid { txid: txid.clone() },
        Outcome::NotPaid => Event::ResolveNotPaid { evidence: evidence.to_owned() },
    }
}

/// What an audit entry about a proposal is about.
fn subject(proposal: &Proposal) -> String {
    match &proposal.about {
        About::Payout { payout, .. } => payout.to_string(),
        About::Payouts(_) => proposal.id.to_string(),
        About::Balance { node, .. } => node.to_string(),
        About::Mismatch { mismatch, .. } => mismatch.to_string(),
    }
}

fn told(proposal: &Proposal) -> String {
    let decided = proposal
        .decided
        .as_ref()
        .map_or("", |decision| if decision.accepted { "confirmed: " } else { "refused: " });
    let what = match &proposal.about {
        About::Payouts(resolutions) => return format!("{decided}{}", summary(resolutions)),
        About::Payout { outcome: Outcome::Paid { txid }, .. } => format!("paid by {txid}"),
        About::Payout { outcome: Outcome::NotPaid, .. } => "not paid".to_owned(),
        About::Balance { correction, amount, .. } => {
            format!("{} of {amount} USDT", correction.name())
        }
        About::Mismatch { remedy, .. } => format!("mismatch: {}", remedy.name()),
    };
    format!("{decided}{what} ({})", proposal.evidence)
}
