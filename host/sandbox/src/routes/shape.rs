//! Other shapes of a payment service: ids of its own in place of ours, other names, no keys.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Number, Value, json};

use super::payout::{AmountText, text};
use crate::{clock::now_ms, digest::sha256_hex, reply::Reply};

/// What the record's own ids begin with.
const OWN: &str = "sbx-";

/// Which shape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `POST /api/v1/payouts/initiate`
    Initiate,
    /// `POST /api/v1/tron/payouts/create`
    TronCreate,
}

impl Shape {
    /// A reply in this shape; refusals have one shape.
    pub(super) fn of(self, mut reply: Reply) -> Reply {
        if !reply.status.is_success() {
            return reply;
        }
        let mut take = |name: &str| reply.body.remove(name).unwrap_or(Value::Null);
        let (own, txid) = (take("external_id"), take("transaction_id"));
        let own = own.as_str().map(|own| own.trim_start_matches(OWN).to_owned());
        take("payout_id");
        reply.body.insert("payout_id".into(), own.into());
        match self {
            Self::Initiate => {
                reply.body.insert("tx_id".into(), txid);
            }
            Self::TronCreate => {
                let reference = reply.body.remove("reference").unwrap_or(Value::Null);
                reply.body.insert("metadata".into(), json!({ "reference": reference }));
                reply.body.insert("txid".into(), txid);
                let number = reply.text("amount").and_then(|amount| amount.parse().ok()).and_then(Number::from_f64);
                reply.body.insert("amount".into(), number.map_or(Value::Null, Value::Number));
            }
        }
        reply
    }

    /// How amounts are written in it.
    pub(super) fn amount(self) -> AmountText {
        match self {
            Self::Initiate => text,
            Self::TronCreate => |amount| amount.as_number().map(ToString::to_string),
        }
    }

    /// The record's id of one that was told in this shape.
    pub(super) fn stored(self, told: String) -> String {
        format!("{OWN}{told}")
    }
}

/// A key that nobody used and nobody will: each request is another transfer.
pub(super) fn unkeyed() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    sha256_hex(format!("{} {} {}", std::process::id(), now_ms(), NEXT.fetch_add(1, Ordering::Relaxed)))
}
