//! Payouts that the payment service contradicts: from the first look-up that says so to the
//! decision that ends it.
//!
//! Nothing follows from one look-up. A claim that a later look-up makes again is recorded, raises
//! an alert and, the first time, freezes payments. Two treasurers end it; after that the same claim
//! means nothing any more.

use std::collections::BTreeSet;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    backoff::doubled_ms,
    id::{MismatchId, PayoutId},
    money::payout::{About, Mismatch, MismatchKind, Payout, Proposal, Reported},
    time::TimeMs,
};
use lucid_ports::{Order, Page, PageRequest};

use crate::{
    Money,
    reconciliation::{RECONCILIATION, Verdict, verdict},
};

/// Look-ups that do not tell what became of a payout before a person is asked.
const UNCLEAR_LOOKS_MAX: u32 = 8;
/// First wait after one of them; doubles.
const UNCLEAR_WAIT_MS: i64 = 1_000;
/// Open mismatches that are read at once.
const PAGE: u32 = 200;

/// What a look-up said of a payout that ended, and that has to be said again to count.
#[derive(Debug, Clone)]
pub(crate) struct Suspicion {
    kind: MismatchKind,
    claim: String,
    first_at: TimeMs,
    looks: u32,
    /// On the monotonic clock.
    next_look: TimeMs,
}

/// What a look-up at a payout that ended came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// There is nothing more to learn of it.
    Done,
    /// It has to be looked up again.
    Again,
}

/// A payout that has to be looked up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspected {
    pub payout: PayoutId,
    /// What it said.
    pub said: String,
    /// How often it was asked.
    pub looks: u32,
}

impl Money {
    /// Whether a payout is looked up a second time, and the moment for that has not come.
    pub(crate) fn waits_for_its_second_look(&self, payout: PayoutId) -> bool {
        let now = self.mono();
        self.suspicions.lock().get(&payout).is_some_and(|suspicion| now < suspicion.next_look)
    }

    /// Payouts that have to be looked up again before a mismatch is recorded.
    pub fn suspected(&self) -> Vec<Suspected> {
        let suspicions = self.suspicions.lock();
        suspicions
            .iter()
            .map(|(payout, of)| Suspected {
                payout: *payout,
                said: of.claim.clone(),
                looks: of.looks,
            })
            .collect()
    }

    /// Holds what the payment service says of a payout that ended against the books.
    pub(crate) async fn compare(
        &self,
        payout: &Payout,
        reported: &Reported,
        may_be_unknown: bool,
    ) -> Result<Compared, ServiceError> {
        let (kind, claim) = match verdict(payout, reported, may_be_unknown) {
            Verdict::Same => {
                self.suspicions.lock().remove(&payout.id);
                return Ok(Compared::Done);
            }
            Verdict::Unclear(said) => return self.suspect_unclear(payout, said).await,
            Verdict::Other(MismatchKind::NotPaid, _) if self.was_resolved(payout).await? => {
                return Ok(Compared::Done);
            }
            Verdict::Other(kind, claim) => (kind, claim),
        };
        if self.parts.mismatches.mismatch(MismatchId::of(payout.id, &claim)).await?.is_some() {
            return Ok(Compared::Done);
        }
        let now = self.mono();
        let first_at = {
            let mut suspicions = self.suspicions.lock();
            let known = suspicions
                .get(&payout.id)
                .filter(|known| known.claim == claim && now >= known.next_look)
                .map(|known| known.first_at);
            if known.is_none() {
                let next_look = now.plus_ms(self.config.second_look_ms);
                suspicions.insert(
                    payout.id,
                    Suspicion {
                        kind,
                        claim: claim.clone(),
                        first_at: self.parts.clock.now(),
                        looks: 1,
                        next_look,
                    },
                );
            }
            known
        };
        let Some(first_at) = first_at else { return Ok(Compared::Again) };
        let mismatch = Mismatch::of(payout, kind, &claim, first_at, self.parts.clock.now());
        let evidence = format!("payout {}: {}", payout.id, mismatch.evidence);
        // Before the record, which says that it stopped payments: whoever crashes in between stops
        // them again.
        self.stop_payments(evidence).await?;
        self.record(mismatch).await?;
        Ok(Compared::Done)
    }

    /// A payment service that cannot tell is asked less and less often, and a person in the end.
    async fn suspect_unclear(
        &self,
        payout: &Payout,
        said: String,
    ) -> Result<Compared, ServiceError> {
        let claim = "nothing that tells what became of it".to_owned();
        if self.parts.mismatches.mismatch(MismatchId::of(payout.id, &claim)).await?.is_some() {
            return Ok(Compared::Done);
        }
        let now = self.mono();
        let (looks, first_at) = {
            let mut suspicions = self.suspicions.lock();
            let fresh = || Suspicion {
                kind: MismatchKind::Unclear,
                claim: said.clone(),
                first_at: self.parts.clock.now(),
                looks: 0,
                next_look: now,
            };
            let of = suspicions.entry(payout.id).or_insert_with(fresh);
            if of.kind != MismatchKind::Unclear {
                // What it said before has to be said again.
                of.next_look = now.plus_ms(self.config.second_look_ms);
                return Ok(Compared::Again);
            }
            of.looks += 1;
            of.claim = said;
            let wait = doubled_ms(UNCLEAR_WAIT_MS, of.looks, self.config.second_look_ms);
            of.next_look = now.plus_ms(wait);
            (of.looks, of.first_at)
        };
        if looks < UNCLEAR_LOOKS_MAX {
            return Ok(Compared::Again);
        }
        self.record(Mismatch::of(
            payout,
            MismatchKind::Unclear,
            &claim,
            first_at,
            self.parts.clock.now(),
        ))
        .await?;
        Ok(Compared::Done)
    }

    /// Records a mismatch and raises its alert. Again is the same.
    async fn record(&self, mismatch: Mismatch) -> Result<(), ServiceError> {
        let audit = self
            .parts
            .audit
            .entry(&Actor::system(), "payout.mismatch", mismatch.payout, mismatch.evidence.clone())
            .creating(&mismatch);
        self.suspicions.lock().remove(&mismatch.payout);
        self.alert_mismatch(&mismatch);
        metrics::counter!("lucid_payout_mismatches_total", "kind" => mismatch.kind.name())
            .increment(1);
        self.parts.mismatches.add_mismatch(mismatch, audit).await?;
        Ok(())
    }

    fn alert_mismatch(&self, mismatch: &Mismatch) {
        let Mismatch { payout, amount, evidence, kind, .. } = mismatch;
        let message = format!(
            "payout {payout} of {amount} USDT ({}): {evidence}; two treasurers have to end it",
            kind.name()
        );
        self.parts.notifications.alert_of(RECONCILIATION, payout.to_string(), message);
    }

    /// Raises the alerts of all open mismatches, and clears those of mismatches that were ended,
    /// wherever that was.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub(crate) async fn follow_mismatches(&self) -> Result<u64, ServiceError> {
        let newest = PageRequest { page: 1, limit: PAGE, sort: (), order: Order::Descending };
        let open = self.parts.mismatches.mismatches(true, newest).await?;
        open.items.iter().for_each(|mismatch| self.alert_mismatch(mismatch));
        if open.total <= u64::from(PAGE) {
            let named: BTreeSet<String> =
                open.items.iter().map(|mismatch| mismatch.payout.to_string()).collect();
            let over: Vec<String> = self
                .parts
                .notifications
                .alerts_about(RECONCILIATION)
                .into_iter()
                .filter(|subject| !named.contains(subject))
                .collect();
            over.iter().for_each(|subject| {
                self.parts.notifications.clear_alert_of(RECONCILIATION, subject)
            });
        }
        Ok(open.total)
    }

    /// Whether treasurers resolved it: they knew what the payment service did not.
    async fn was_resolved(&self, payout: &Payout) -> Result<bool, ServiceError> {
        let is_of = |about: &About| match about {
            About::Payout { payout: of, .. } => *of == payout.id,
            About::Payouts(resolutions) => resolutions.iter().any(|said| said.payout == payout.id),
            About::Balance { .. } | About::Mismatch { .. } => false,
        };
        let accepted = |proposal: &Proposal| {
            is_of(&proposal.about)
                && proposal.decided.as_ref().is_some_and(|decision| decision.accepted)
        };
        let mut page = 1;
        loop {
            let newest = PageRequest { page, limit: PAGE, sort: (), order: Order::Descending };
            let proposals = self.parts.decisions.proposals(newest).await?.items;
            if proposals.iter().any(accepted) {
                return Ok(true);
            }
            // Nobody resolves a payout before it is planned.
            if proposals.len() < PAGE as usize
                || proposals.last().is_some_and(|oldest| oldest.at < payout.created_at)
            {
                return Ok(false);
            }
            page += 1;
        }
    }

    /// Mismatches, all or those that nobody ended, the newest ids first.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn mismatches(
        &self,
        open_only: bool,
        page: PageRequest<()>,
    ) -> Result<Page<Mismatch>, ServiceError> {
        Ok(self.parts.mismatches.mismatches(open_only, page).await?)
    }
}
