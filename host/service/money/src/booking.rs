//! Booking entries, each at the end of its stream.

use std::collections::BTreeMap;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::money::{
    MicroUsdt,
    ledger::{Draft, Entry},
};
use lucid_ports::Booked;

use crate::Money;

/// Tries to book a draft before the step gives up until later.
const BOOK_TRIES: u32 = 8;

impl Money {
    /// Records that the treasury was funded; the same id twice is one deposit. `false` if it was
    /// recorded before.
    ///
    /// # Errors
    /// [`ServiceError`] if the amount is not above zero or the store fails.
    pub async fn fund_treasury(
        &self,
        actor: &Actor,
        id: &str,
        amount: MicroUsdt,
        cause: &str,
    ) -> Result<bool, ServiceError> {
        if amount <= MicroUsdt::ZERO {
            return Err(ServiceError::invalid("amount", "has to be above zero"));
        }
        let draft = Draft::deposit(id, amount, cause.to_owned())?;
        let audit = self
            .parts
            .audit
            .entry(actor, "treasury.deposit", id, format!("{amount} USDT"))
            .creating(&draft);
        for _ in 0..BOOK_TRIES {
            let entry = draft
                .clone()
                .book(self.parts.ledger.head(draft.stream).await?, self.parts.clock.now())?;
            match self.parts.ledger.book_audited(entry, audit.clone()).await? {
                Booked::Done => return Ok(true),
                Booked::Already => return Ok(false),
                Booked::SeqTaken => {}
            }
        }
        Err(ServiceError::Changed { what: "ledger stream" })
    }

    /// Books what takes money back from a node, and lets it come into the treasury; what is there
    /// already is done again.
    pub(crate) async fn take_back_from_node(&self, taken: Draft) -> Result<(), ServiceError> {
        self.book_draft(taken.clone()).await?;
        let booked = self.parts.ledger.entry(&taken.id).await?.map_or(taken, |entry| entry.draft);
        if let Some(recovered) = Draft::recover(&booked)? {
            self.book_draft(recovered).await?;
        }
        Ok(())
    }

    /// Books one entry at the end of its stream.
    pub(crate) async fn book_draft(&self, draft: Draft) -> Result<Booked, ServiceError> {
        let outcomes = self.book_drafts(vec![draft]).await?;
        outcomes
            .first()
            .copied()
            .ok_or(ServiceError::Internal { detail: "an entry without an outcome".into() })
    }

    /// Books entries, each at the end of its stream, those of one stream in the order given; tries
    /// again where somebody else took the place. Every outcome is `Done` or `Already`.
    pub(crate) async fn book_drafts(
        &self,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Booked>, ServiceError> {
        let mut outcomes: Vec<Option<Booked>> = vec![None; drafts.len()];
        for _ in 0..BOOK_TRIES {
            let mut heads = BTreeMap::new();
            let (mut places, mut entries): (Vec<usize>, Vec<Entry>) = (Vec::new(), Vec::new());
            for (place, draft) in drafts.iter().enumerate() {
                if outcomes.get(place).is_none_or(Option::is_some) {
                    continue;
                }
                if self.parts.ledger.entry(&draft.id).await?.is_some() {
                    outcomes.get_mut(place).into_iter().for_each(|o| *o = Some(Booked::Already));
                    continue;
                }
                let head = match heads.get(&draft.stream) {
                    Some(head) => *head,
                    None => self.parts.ledger.head(draft.stream).await?,
                };
                let entry = draft.clone().book(head, self.parts.clock.now())?;
                heads.insert(
                    draft.stream,
                    lucid_model::money::ledger::Head { seq: entry.seq, balances: entry.balances },
                );
                places.push(place);
                entries.push(entry);
            }
            if entries.is_empty() {
                break;
            }
            let booked = self.parts.ledger.book(entries).await?;
            for (place, outcome) in
                places.into_iter().zip(booked).filter(|(_, o)| *o != Booked::SeqTaken)
            {
                outcomes.get_mut(place).into_iter().for_each(|o| *o = Some(outcome));
            }
        }
        let missing = || ServiceError::Changed { what: "ledger stream" };
        outcomes.into_iter().map(|o| o.ok_or_else(missing)).collect()
    }
}
