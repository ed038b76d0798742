//! The stored rows, and what requests ask to store.

use rusqlite::Row;
use serde_json::{Value, json};

use crate::{
    amount::MicroUsdt,
    clock::rfc3339,
    digest::{external_id, transaction_id, vote_id},
};

/// A payout request that passed validation.
#[derive(Debug, Clone)]
pub(crate) struct NewTransfer {
    pub(crate) idempotency_key: String,
    pub(crate) body_sha256: String,
    pub(crate) payout_id: String,
    pub(crate) reference: Option<String>,
    pub(crate) node_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) recipient_address: String,
    pub(crate) amount: MicroUsdt,
    pub(crate) currency: String,
}

/// One transfer of money, as far as the sandbox is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) seq: i64,
    pub(crate) new: NewTransfer,
    pub(crate) external_id: String,
    pub(crate) transaction_id: String,
    pub(crate) accepted_at_ms: i64,
    pub(crate) settled_at_ms: i64,
    pub(crate) fails: bool,
}

pub(super) const TRANSFER_COLUMNS: &str = "seq, idempotency_key, body_sha256, payout_id, reference, \
    node_id, user_id, recipient_address, amount_micro_usdt, currency, external_id, transaction_id, \
    accepted_at_ms, settled_at_ms, fails";

impl Transfer {
    /// A transfer that is answered but never recorded.
    pub(crate) fn pretended(new: NewTransfer, now_ms: i64) -> Self {
        Self {
            seq: 0,
            external_id: external_id(&new.payout_id, 0),
            transaction_id: transaction_id(&new.payout_id, 0),
            new,
            accepted_at_ms: now_ms,
            settled_at_ms: i64::MAX,
            fails: false,
        }
    }

    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            seq: row.get(0)?,
            new: NewTransfer {
                idempotency_key: row.get(1)?,
                body_sha256: row.get(2)?,
                payout_id: row.get(3)?,
                reference: row.get(4)?,
                node_id: row.get(5)?,
                user_id: row.get(6)?,
                recipient_address: row.get(7)?,
                amount: MicroUsdt::from_micro(row.get(8)?),
                currency: row.get(9)?,
            },
            external_id: row.get(10)?,
            transaction_id: row.get(11)?,
            accepted_at_ms: row.get(12)?,
            settled_at_ms: row.get(13)?,
            fails: row.get(14)?,
        })
    }

    fn status(&self, now_ms: i64) -> &'static str {
        match (now_ms >= self.settled_at_ms, self.fails) {
            (false, _) => "accepted",
            (true, true) => "failed",
            (true, false) => "confirmed",
        }
    }

    /// Why it failed, for a transfer that did.
    fn reason(&self, now_ms: i64) -> Option<&'static str> {
        (self.status(now_ms) == "failed").then_some("the sandbox was told to fail it")
    }

    fn visible_transaction_id(&self, now_ms: i64) -> Option<&str> {
        (self.status(now_ms) == "confirmed").then_some(self.transaction_id.as_str())
    }

    /// The answer to the request that asked for it: the same one for every repetition.
    pub(crate) fn acceptance(&self) -> Value {
        json!({
            "payout_id": self.new.payout_id,
            "reference": self.new.reference,
            "external_id": self.external_id,
            "status": "accepted",
            "recipient_address": self.new.recipient_address,
            "amount": self.new.amount.to_string(),
            "currency": self.new.currency,
        })
    }

    /// The answer to a status query.
    pub(crate) fn standing(&self, now_ms: i64) -> Value {
        json!({
            "payout_id": self.new.payout_id,
            "reference": self.new.reference,
            "external_id": self.external_id,
            "status": self.status(now_ms),
            "reason": self.reason(now_ms),
            "transaction_id": self.visible_transaction_id(now_ms),
            "recipient_address": self.new.recipient_address,
            "amount": self.new.amount.to_string(),
            "currency": self.new.currency,
        })
    }

    /// Everything known, for tests that check what really happened.
    pub(crate) fn testimony(&self, now_ms: i64) -> Value {
        json!({
            "seq": self.seq,
            "idempotency_key": self.new.idempotency_key,
            "body_sha256": self.new.body_sha256,
            "payout_id": self.new.payout_id,
            "reference": self.new.reference,
            "node_id": self.new.node_id,
            "user_id": self.new.user_id,
            "external_id": self.external_id,
            "status": self.status(now_ms),
            "transaction_id": self.visible_transaction_id(now_ms),
            "recipient_address": self.new.recipient_address,
            "amount": self.new.amount.to_string(),
            "amount_micro_usdt": self.new.amount.micro(),
            "currency": self.new.currency,
            "accepted_at": rfc3339(self.accepted_at_ms),
            "visible": now_ms >= self.accepted_at_ms,
        })
    }
}

/// A vote that passed validation.
#[derive(Debug, Clone)]
pub(crate) struct NewVote {
    pub(crate) node_id: String,
    pub(crate) block_id: String,
    pub(crate) block_hash: String,
    /// The JSON text of the score, compared as it was written.
    pub(crate) score: String,
    pub(crate) vote: String,
    pub(crate) merkle_root: String,
    pub(crate) signature: String,
    /// The JSON text of the voter's timestamp.
    pub(crate) voted_at: String,
}

/// One recorded vote.
#[derive(Debug, Clone)]
pub(crate) struct Vote {
    pub(crate) seq: i64,
    pub(crate) new: NewVote,
    pub(crate) vote_id: String,
    pub(crate) accepted_at_ms: i64,
}

pub(super) const VOTE_COLUMNS: &str = "seq, node_id, block_id, block_hash, score, vote, merkle_root, \
    signature, voted_at, vote_id, accepted_at_ms";

impl Vote {
    /// A vote that is answered but never recorded.
    pub(crate) fn pretended(new: NewVote, now_ms: i64) -> Self {
        Self {
            seq: 0,
            vote_id: vote_id(&new.node_id, &new.block_id, 0),
            new,
            accepted_at_ms: now_ms,
        }
    }

    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            seq: row.get(0)?,
            new: NewVote {
                node_id: row.get(1)?,
                block_id: row.get(2)?,
                block_hash: row.get(3)?,
                score: row.get(4)?,
                vote: row.get(5)?,
                merkle_root: row.get(6)?,
                signature: row.get(7)?,
                voted_at: row.get(8)?,
            },
            vote_id: row.get(9)?,
            accepted_at_ms: row.get(10)?,
        })
    }

    /// Whether a request says what was recorded; a fresh signature or timestamp is no other vote.
    pub(super) fn says(&self, other: &NewVote) -> bool {
        let key = |vote: &NewVote| {
            [&vote.score, &vote.vote, &vote.block_hash, &vote.merkle_root].map(Clone::clone)
        };
        key(&self.new) == key(other)
    }

    /// What is said of it: one that queries are to know later is not decided until then.
    pub(crate) fn acceptance(&self, now_ms: i64) -> Value {
        let status = if now_ms < self.accepted_at_ms { "pending" } else { "accepted" };
        json!({ "vote_id": self.vote_id, "status": status })
    }

    /// Everything known, for tests that check what really happened.
    pub(crate) fn testimony(&self, now_ms: i64) -> Value {
        json!({
            "seq": self.seq,
            "vote_id": self.vote_id,
            "node_id": self.new.node_id,
            "block_id": self.new.block_id,
            "block_hash": self.new.block_hash,
            "score": as_json(&self.new.score),
            "vote": self.new.vote,
            "merkle_root": self.new.merkle_root,
            "signature": self.new.signature,
            "timestamp": as_json(&self.new.voted_at),
            "accepted_at": rfc3339(self.accepted_at_ms),
            "visible": now_ms >= self.accepted_at_ms,
        })
    }
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
