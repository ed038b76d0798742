//! What treasurers do about a payout that the payment service and the books contradict each other about.

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    id::{MismatchId, ProposalId},
    money::{
        ledger::{Draft, LedgerError, Stream},
        payout::{About, Mismatch, Proposal, Remedy},
    },
};
use lucid_ports::Booked;

use crate::{Money, Resolved, reconciliation::RECONCILIATION, runs::treasurer};

impl Money {
    /// Says how a mismatch ends, or proposes it where four eyes are required.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not, there is no such mismatch, it was ended before, or
    /// the remedy does not fit it.
    pub async fn propose_remedy(
        &self,
        actor: &Actor,
        id: MismatchId,
        remedy: Remedy,
        evidence: String,
    ) -> Result<Resolved, ServiceError> {
        treasurer(actor)?;
        let mismatch =
            self.parts.mismatches.mismatch(id).await?.ok_or(ServiceError::no("mismatch"))?;
        if mismatch.ended.is_some() {
            return Err(ServiceError::Changed { what: "mismatch" });
        }
        if !remedy.fits(mismatch.kind) {
            let fitting: Vec<_> = Remedy::ALL
                .iter()
                .filter(|other| other.fits(mismatch.kind))
                .map(|other| other.name())
                .collect();
            let problem = format!(
                "{} does not fit a mismatch of kind {}: use {}",
                remedy.name(),
                mismatch.kind.name(),
                fitting.join(" or ")
            );
            return Err(ServiceError::invalid("remedy", problem));
        }
        let (by, at) = (actor.subject.clone(), self.parts.clock.now());
        let about = About::Mismatch { mismatch: id, remedy };
        self.propose(
            actor,
            Proposal {
                id: ProposalId(self.parts.ids.new_id(actor)),
                about,
                evidence,
                by,
                at,
                decided: None,
            },
        )
        .await
    }

    /// Books the remedy and ends the mismatch. Again finishes what a crash left.
    pub(crate) async fn end_mismatch(
        &self,
        actor: &Actor,
        id: MismatchId,
        remedy: Remedy,
        evidence: &str,
    ) -> Result<(), ServiceError> {
        let mismatch =
            self.parts.mismatches.mismatch(id).await?.ok_or(ServiceError::no("mismatch"))?;
        match mismatch.ended {
            Some((_, other)) if other != remedy => {
                return Err(ServiceError::Changed { what: "mismatch" });
            }
            Some(_) => return Ok(()),
            None => {}
        }
        match remedy {
            Remedy::Dismiss => {}
            Remedy::Restore => {
                self.book_draft(Draft::restore_payment(
                    id,
                    mismatch.node,
                    mismatch.amount,
                    evidence.to_owned(),
                )?)
                .await?;
            }
            Remedy::Recover => self.recover_payment(&mismatch, evidence).await?,
        }
        let (at, after) = (
            self.parts.clock.now(),
            Mismatch { ended: Some((self.parts.clock.now(), remedy)), ..mismatch.clone() },
        );
        let audit = self
            .parts
            .audit
            .entry(
                actor,
                "payout.mismatch_end",
                mismatch.payout,
                format!("{}: {evidence}", remedy.name()),
            )
            .changing(&mismatch, &after);
        self.parts.mismatches.end_mismatch(id, at, remedy, audit).await?;
        self.parts.notifications.clear_alert_of(RECONCILIATION, &mismatch.payout.to_string());
        Ok(())
    }

    /// Takes back what the payee got twice; what is not available any more is owed, and was paid by
    /// the treasury.
    async fn recover_payment(
        &self,
        mismatch: &Mismatch,
        evidence: &str,
    ) -> Result<(), ServiceError> {
        let booked = loop {
            if let Some(entry) = self.parts.ledger.entry(&Draft::remedy_id(mismatch.id)).await? {
                break entry.draft;
            }
            let head = self.parts.ledger.head(Stream::Node(mismatch.node)).await?;
            let draft = Draft::recover_payment(
                mismatch.id,
                mismatch.node,
                mismatch.amount,
                &head.balances,
                evidence.to_owned(),
            )?;
            if let Some(paid) = Draft::recover(&draft)? {
                // Refused before anything is booked.
                let treasury = self.parts.ledger.head(Stream::Treasury).await?;
                paid.balances_after(treasury.balances).map_err(not_enough)?;
            }
            let entry = draft.book(head, self.parts.clock.now())?;
            if self.parts.ledger.book(vec![entry.clone()]).await?.first() == Some(&Booked::Done) {
                break entry.draft;
            }
        };
        if let Some(paid) = Draft::recover(&booked)? {
            self.book_draft(paid).await?;
        }
        Ok(())
    }
}

pub(crate) fn not_enough(error: LedgerError) -> ServiceError {
    if let LedgerError::Overdrawn { account, .. } = error {
        ServiceError::NotEnough { account }
    } else {
        error.into()
    }
}
