//! Several resolutions at once: one treasurer proposes what became of many payouts, another
//! confirms or refuses all of it.
//!
//! They are one proposal, so that a crash never leaves half of them proposed. Confirming looks at
//! all payouts before it changes one. A payout that is already as the proposal says is not touched:
//! confirming again ends what a crash left.

use std::collections::BTreeSet;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use lucid_foundation::{Actor, ServiceError, Unresolvable};
use lucid_model::{
    id::ProposalId,
    money::payout::{About, Outcome, Payout, PayoutState, Proposal, Resolution},
};

use crate::{
    Money,
    decisions::{event, retried},
    runs::treasurer,
};

/// Payouts that are read or resolved at the same time.
const AT_ONCE: usize = 32;

impl Money {
    /// Says what became of several payouts; where four eyes are required another treasurer has to
    /// confirm all of it. Nothing is proposed if one of them does not stand.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not; [`ServiceError::Unresolvable`] naming each that does
    /// not stand.
    pub async fn resolve_payouts(
        &self,
        actor: &Actor,
        resolutions: Vec<Resolution>,
    ) -> Result<Proposal, ServiceError> {
        treasurer(actor)?;
        let mut problems = said_twice(&resolutions);
        problems.extend(self.unresolvable(&resolutions).await?);
        problems.sort_by_key(|problem| problem.place);
        if !problems.is_empty() {
            return Err(ServiceError::Unresolvable { problems });
        }
        let (by, at, evidence) =
            (actor.subject.clone(), self.parts.clock.now(), summary(&resolutions));
        let proposal = Proposal {
            id: ProposalId(self.parts.ids.new_id(actor)),
            about: About::Payouts(resolutions),
            evidence,
            by,
            at,
            decided: None,
        };
        self.propose(actor, proposal.clone()).await?;
        self.proposal(proposal.id).await
    }

    /// One proposal.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`], [`ServiceError::Store`].
    pub async fn proposal(&self, id: ProposalId) -> Result<Proposal, ServiceError> {
        self.parts.decisions.proposal(id).await?.ok_or(ServiceError::no("proposal"))
    }

    /// Carries a batch out: all of it, or nothing if one of it does not stand any more.
    pub(crate) async fn resolved_all(
        &self,
        actor: &Actor,
        resolutions: &[Resolution],
    ) -> Result<(), ServiceError> {
        let problems = self.unresolvable(resolutions).await?;
        if !problems.is_empty() {
            return Err(ServiceError::Unresolvable { problems });
        }
        // What one of them meets keeps no other from being carried out.
        let each: Vec<_> = resolutions
            .iter()
            .map(|said| {
                retried(|| self.resolved(actor, said.payout, &said.outcome, &said.evidence)).boxed()
            })
            .collect();
        let outcomes: Vec<_> = stream::iter(each).buffered(AT_ONCE).collect().await;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// Those that a payout's state, or the transaction of another payout, does not allow.
    async fn unresolvable(
        &self,
        resolutions: &[Resolution],
    ) -> Result<Vec<Unresolvable>, ServiceError> {
        let looks: Vec<_> = resolutions.iter().map(|said| self.problem(said).boxed()).collect();
        let found: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        let named = |(place, found): (usize, Option<_>)| {
            found.map(|(field, problem)| Unresolvable { place, field, problem })
        };
        Ok(found.into_iter().enumerate().filter_map(named).collect())
    }

    async fn problem(
        &self,
        said: &Resolution,
    ) -> Result<Option<(&'static str, String)>, ServiceError> {
        let Some(payout) = self.parts.payouts.payout(said.payout).await? else {
            return Ok(Some(("payout_id", "there is no such payout".into())));
        };
        if is_so(&payout, &said.outcome) {
            return Ok(None);
        }
        if let Err(wrong) = self.stepped(&payout, event(&said.outcome, &said.evidence)) {
            return Ok(Some(("payout_id", wrong.to_string())));
        }
        let Some(txid) = said.outcome.txid() else { return Ok(None) };
        let other = self
            .parts
            .payouts
            .payout_of_transaction(txid)
            .await?
            .filter(|other| other.id != said.payout);
        Ok(other.map(|other| {
            (
                "transaction_id",
                format!("paid payout {} already: one transaction pays one payout", other.id),
            )
        }))
    }
}

/// Whether a payout is already as somebody says.
fn is_so(payout: &Payout, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Paid { txid } => {
            payout.state == PayoutState::Confirmed && payout.txid.as_ref() == Some(txid)
        }
        Outcome::NotPaid => payout.state == PayoutState::Failed,
    }
}

/// Payouts and transactions that a batch names before.
fn said_twice(resolutions: &[Resolution]) -> Vec<Unresolvable> {
    let (mut payouts, mut transactions, mut twice) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (place, said) in resolutions.iter().enumerate() {
        if !payouts.insert(said.payout) {
            twice.push(Unresolvable {
                place,
                field: "payout_id",
                problem: "is in the batch twice".into(),
            });
        }
        if said.outcome.txid().is_some_and(|txid| !transactions.insert(txid)) {
            twice.push(Unresolvable {
                place,
                field: "transaction_id",
                problem: "is in the batch twice: one transaction pays one payout".into(),
            });
        }
    }
    twice
}

/// `12 payouts: 9 paid, 3 not paid`.
pub(crate) fn summary(resolutions: &[Resolution]) -> String {
    let paid = resolutions.iter().filter(|said| said.outcome.txid().is_some()).count();
    format!("{} payouts: {paid} paid, {} not paid", resolutions.len(), resolutions.len() - paid)
}
