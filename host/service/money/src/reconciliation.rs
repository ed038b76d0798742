//! Whether the books, the payouts and the payment service say the same. Where they do not, nothing
//! more is sent until a treasurer has looked.

use std::collections::BTreeSet;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::PayoutId,
    money::payout::{Capabilities, MismatchKind, Payout, PayoutState, Reported},
    time::TimeMs,
};
use lucid_ports::{Order, PageRequest, PayoutFilter, PayoutSort, TRACE};

use crate::{BooksVerified, Money, mismatches::Compared, verify_books};

/// Payouts that the payment service is asked about in one step.
const LOOKS_A_STEP: usize = 50;
/// Payouts read at once.
const PAGE: u32 = 200;
/// What ended longer ago is not compared any more: it was, or the payment service may have
/// forgotten it.
const COMPARED_MS: i64 = 86_400_000;
/// What the alert about books that do not add up is about.
const LEDGER: &str = "ledger";
/// What the alert about payouts that the payment service contradicts is about.
pub(crate) const RECONCILIATION: &str = "reconciliation";

/// How far payouts were compared with the payment service.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Since when somebody wants payouts compared, if somebody does.
    asked: Option<TimeMs>,
    /// Everything that changed last before this moment was compared.
    until: TimeMs,
    /// What was compared of what changed later.
    since: BTreeSet<PayoutId>,
}

/// What is to be compared next.
struct Next {
    ended: Vec<Payout>,
    /// Whether there is no more.
    is_all: bool,
    /// Whether some were left out because their second look-up is not due.
    waits: bool,
}

/// The last verification of the books in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastVerified {
    /// When it ended.
    pub at: TimeMs,
    /// What it found.
    pub found: BooksVerified,
}

impl Money {
    /// Verifies the books. If something is wrong, payments are frozen.
    ///
    /// # Errors
    /// [`ServiceError::Store`]: that says nothing about the books.
    #[tracing::instrument(target = TRACE, level = "trace", name = "service.verify_books", skip_all)]
    pub async fn verify_own_books(&self) -> Result<LastVerified, ServiceError> {
        let found = verify_books(self.parts.books.as_ref(), &mut |_| {}).await?;
        match &found.flaw {
            Some(flaw) => {
                let flawed = format!("the books are not in order: {flaw}");
                self.parts.notifications.alert(LEDGER, flawed.clone());
                self.stop_payments(flawed).await?;
            }
            None => self.parts.notifications.clear_alert(LEDGER),
        }
        let verified = LastVerified { at: self.parts.clock.now(), found };
        *self.last_verified.lock() = Some(verified.clone());
        Ok(verified)
    }

    /// What the last verification in this process found.
    pub fn last_verified(&self) -> Option<LastVerified> {
        self.last_verified.lock().clone()
    }

    /// Looks up payouts that ended since the last time, some of them; whether it got further and
    /// there are more. A payout that the payment service contradicts twice is a mismatch, and
    /// freezes payments.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn reconcile_step(&self) -> Result<bool, ServiceError> {
        let Some(rail) = self.parts.rail.clone() else { return Ok(false) };
        let switch = self.parts.decisions.payments_switch().await?;
        let asked =
            switch.reconciliation.filter(|asked| asked.done_at.is_none()).map(|asked| asked.since);
        let next = self.ended_payouts(asked).await?;
        let (mut compared, mut clear) = (false, !next.waits);
        for payout in &next.ended {
            // A service that does not answer is left alone until the next step.
            let Some(reply) = self.look_if_allowed(rail.as_ref(), payout).await else {
                clear = false;
                break;
            };
            match self
                .compare(payout, &reply.said, self.may_be_unknown(payout, rail.capabilities()))
                .await?
            {
                Compared::Done => compared |= self.compared.lock().since.insert(payout.id),
                Compared::Again => clear = false,
            }
        }
        let open = self.follow_mismatches().await?;
        if next.is_all && clear && open == 0 && asked.is_some() {
            self.is_reconciled(&switch).await?;
        }
        // A service that cannot tell now is left alone until the next look.
        Ok(!next.is_all && (compared || next.ended.is_empty()))
    }

    /// Whether it means nothing that the payment service does not know a payout.
    fn may_be_unknown(&self, payout: &Payout, can: Capabilities) -> bool {
        let can_be_found = can.queries_by_key || payout.external_id.is_some();
        !can_be_found
            || payout
                .submitted_at
                .is_none_or(|at| self.parts.clock.now().ms_since(at) >= can.key_retention_ms)
    }

    /// Payouts that ended and were not compared, the oldest first; `asked`: since when somebody
    /// wants them compared.
    async fn ended_payouts(&self, asked: Option<TimeMs>) -> Result<Next, ServiceError> {
        let (until, since) = {
            let mut compared = self.compared.lock();
            if compared.asked != asked {
                *compared = Progress {
                    asked,
                    until: asked.unwrap_or(compared.until),
                    since: BTreeSet::new(),
                };
            }
            if asked.is_none() {
                compared.until = compared.until.max(self.parts.clock.now().plus_ms(-COMPARED_MS));
            }
            (compared.until, compared.since.clone())
        };
        // Before this moment nothing is left: of what is at it some is compared, or cannot be yet.
        let (mut next, mut done, mut page) =
            (Next { ended: Vec::new(), is_all: true, waits: false }, Some(until), 1);
        loop {
            let filter = PayoutFilter { changed_from: Some(until), ..PayoutFilter::default() };
            let request = PageRequest {
                page,
                limit: PAGE,
                sort: PayoutSort::UpdatedAt,
                order: Order::Ascending,
            };
            let items = self.parts.payouts.payouts(&filter, request).await?.items;
            let last = items.len() < PAGE as usize;
            for payout in items {
                let is_next = payout.closed && payout.sends > 0 && !since.contains(&payout.id);
                // What is final and not closed will be: its moment does not change with that.
                if is_next || (payout.state.is_final() && !payout.closed) {
                    if let Some(until) = done.take() {
                        self.compared.lock().until = until;
                    }
                } else if let Some(until) = &mut done {
                    *until = payout.updated_at;
                }
                next.is_all &= payout.closed || !payout.state.is_final();
                if is_next && self.waits_for_its_second_look(payout.id) {
                    next.waits = true;
                } else if is_next {
                    if next.ended.len() == LOOKS_A_STEP {
                        next.is_all = false;
                        return Ok(next);
                    }
                    next.ended.push(payout);
                }
            }
            if last {
                if let Some(until) = done {
                    self.compared.lock().until = until;
                }
                return Ok(next);
            }
            page += 1;
        }
    }

    /// Nothing more is sent, and a person is told why.
    pub async fn stop_payments(&self, reason: String) -> Result<(), ServiceError> {
        tracing::error!(reason, "payments are stopped");
        // Somebody else may have been quicker, either way: the next step looks again.
        match self.freeze_as(&Actor::system(), reason).await {
            Ok(_) | Err(ServiceError::Changed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What the payment service's word means beside ours.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    /// It cannot tell now; what it said.
    Unclear(String),
    /// It says this, in words that are the same each time it says it.
    Other(MismatchKind, String),
}

pub(crate) fn verdict(payout: &Payout, reported: &Reported, may_be_unknown: bool) -> Verdict {
    let paid = payout.state == PayoutState::Confirmed;
    match reported {
        Reported::Confirmed { txid, .. } if paid && payout.txid.as_ref() == Some(txid) => {
            Verdict::Same
        }
        Reported::Confirmed { txid, .. } if paid => {
            Verdict::Other(MismatchKind::OtherTransaction, format!("paid by {txid}"))
        }
        Reported::Confirmed { txid, .. } => {
            Verdict::Other(MismatchKind::PaidAfterRelease, format!("paid by {txid}"))
        }
        Reported::Accepted { txid: Some(txid), .. } if !paid => {
            Verdict::Other(MismatchKind::PaidAfterRelease, format!("on its way with {txid}"))
        }
        Reported::NotFound if !paid || may_be_unknown => Verdict::Same,
        Reported::Failed { .. } if !paid => Verdict::Same,
        Reported::Failed { .. } => Verdict::Other(MismatchKind::NotPaid, "failed".into()),
        Reported::NotFound => Verdict::Other(MismatchKind::NotPaid, "unknown".into()),
        Reported::Accepted { .. } => Verdict::Unclear("accepted, and not paid yet".into()),
        Reported::Unclear(said) | Reported::Unavailable(said) => Verdict::Unclear(said.clone()),
    }
}
