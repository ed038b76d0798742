//! Receipts of a run's payouts: leaves of a Merkle tree whose root is signed, so that a payee can
//! prove what it was paid, or was not, without anybody's store.

use super::{Payout, PayoutState};
use crate::{
    canonical::Canonical,
    id::{Digest, NodeId, PayoutId, RunId, UserId},
    money::{MicroUsdt, merkle, tron::TronAddress},
};

/// What a run says of one payout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub payout: PayoutId,
    /// Its run.
    pub run: RunId,
    /// The payee.
    pub node: NodeId,
    /// The payee's owner.
    pub owner: UserId,
    /// Which try it was.
    pub attempt: u32,
    pub amount: MicroUsdt,
    /// Where to.
    pub address: TronAddress,
    /// How it ended.
    pub state: PayoutState,
    /// The transaction that paid it.
    pub txid: Option<String>,
}

impl From<&Payout> for Receipt {
    fn from(payout: &Payout) -> Self {
        Self {
            payout: payout.id,
            run: payout.run,
            node: payout.node,
            owner: payout.owner,
            attempt: payout.attempt,
            amount: payout.amount,
            address: payout.address,
            state: payout.state,
            txid: payout.txid.clone(),
        }
    }
}

impl Receipt {
    /// Its leaf: `sha256(0x00 ‖ canonical bytes)`, tagged `lucid/v1/payout-receipt`.
    pub fn leaf(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/payout-receipt")
            .fixed(self.payout.0.as_bytes())
            .fixed(self.run.0.as_bytes())
            .fixed(self.node.0.as_bytes())
            .fixed(self.owner.0.as_bytes())
            .u32(self.attempt)
            .i64(self.amount.0)
            .text(&self.address.to_string())
            .text(self.state.name())
            .maybe(self.txid.as_deref(), Canonical::text);
        merkle::leaf(&bytes.finish())
    }
}

/// What is signed of a run: how many receipts it has, in the order of their payouts' ids, and their
/// root. Tagged `lucid/v1/payout-run`.
pub fn run_statement(run: RunId, receipts: u32, root: Digest) -> Vec<u8> {
    Canonical::tagged("lucid/v1/payout-run")
        .fixed(run.0.as_bytes())
        .u32(receipts)
        .fixed(&root.0)
        .finish()
}
