//! What a payee can show: the receipt of a payout, and the path from it to the root that its run
//! ended with.

use std::sync::Arc;

use lucid_foundation::{Actor, ServiceError};
use lucid_model::{
    fleet::node::PublicKey,
    id::{Digest, PayoutId, RunId},
    money::{
        merkle,
        payout::{Payout, PayoutState, Receipt, run_statement},
        run::{RunState, WrongRunState},
    },
};

use crate::Money;

/// The receipts of a run, in the order of their payouts' ids; what was cancelled has none.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    run: Option<RunId>,
    payouts: Vec<PayoutId>,
    pub(super) leaves: Vec<Digest>,
}

/// A payout with the proof that its run says so of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutProof {
    pub payout: Payout,
    /// Its place among the run's receipts.
    pub index: u32,
    /// How many there are.
    pub receipts: u32,
    /// The hashes beside the way to the root, from the leaf upwards.
    pub path: Vec<Digest>,
    pub root: Digest,
    /// The service's key.
    pub key: PublicKey,
    /// Its signature of run, number and root.
    pub signature: [u8; 64],
}

impl Money {
    pub(super) async fn receipts_of(&self, run: RunId) -> Result<Arc<Receipts>, ServiceError> {
        let kept = Arc::clone(&self.receipts.lock());
        if kept.run == Some(run) {
            return Ok(kept);
        }
        let mut payouts = self.payouts_of(run).await?;
        payouts.retain(|payout| payout.state != PayoutState::Cancelled);
        payouts.sort_unstable_by_key(|payout| payout.id);
        let leaves = payouts.iter().map(|payout| Receipt::from(payout).leaf()).collect();
        let receipts = Arc::new(Receipts {
            run: Some(run),
            payouts: payouts.iter().map(|payout| payout.id).collect(),
            leaves,
        });
        // All of them are final: they are kept for whoever asks next.
        if payouts.iter().all(|payout| payout.closed) {
            *self.receipts.lock() = Arc::clone(&receipts);
        }
        Ok(receipts)
    }

    /// A payout of a run that is over, with its proof.
    ///
    /// # Errors
    /// [`ServiceError`] if the caller may not see it, its run is not over, or it was cancelled.
    pub async fn payout_proof(
        &self,
        actor: &Actor,
        id: PayoutId,
    ) -> Result<PayoutProof, ServiceError> {
        let payout = self.payout(actor, id).await?;
        let run = self.run(payout.run).await?;
        if run.state != RunState::Done {
            return Err(WrongRunState { from: run.state.name(), verb: "prove what it paid" }.into());
        }
        let receipts = self.receipts_of(run.id).await?;
        let Ok(place) = receipts.payouts.binary_search(&id) else {
            return Err(
                WrongRunState { from: run.state.name(), verb: "prove what was cancelled" }.into()
            );
        };
        let root = merkle::root(&receipts.leaves);
        if run.root.is_some_and(|kept| kept != root) {
            return Err(ServiceError::Internal {
                detail: format!("the payouts of run {} are not those that it ended with", run.id),
            });
        }
        let (index, count) = (
            u32::try_from(place).unwrap_or(u32::MAX),
            u32::try_from(receipts.leaves.len()).unwrap_or(u32::MAX),
        );
        let signature = self.parts.signer.sign(&run_statement(run.id, count, root));
        let path = merkle::proof(&receipts.leaves, place);
        Ok(PayoutProof {
            payout,
            index,
            receipts: count,
            path,
            root,
            key: self.parts.signer.public_key(),
            signature,
        })
    }
}
