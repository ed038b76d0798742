//! Other shapes of a payment service: ids of its own in place of ours, other names, no keys.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::payout::AmountText;
use crate::{
    clock::{now_ms, rfc3339},
    digest::sha256_hex,
    reply::Reply,
};

/// What the record's own ids begin with.
const OWN: &str = "sbx-";
/// Hex digits of such an id.
const OWN_DIGITS: usize = 32;
/// Where a UUID has its hyphens, counted in digits.
const HYPHENS: [usize; 4] = [8, 12, 16, 20];

/// Which shape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `POST /api/v1/payouts/initiate`: no reference of ours, UUIDs, `tx_id`, `failure_reason`.
    Initiate,
    /// `POST /api/v1/tron/payouts/create`: our reference in `metadata`, hex ids, `txid`,
    /// `error_message`, refusals as `detail`.
    TronCreate,
}

impl Shape {
    /// A reply in this shape.
    pub(super) fn of(self, reply: Reply) -> Reply {
        match (reply.status.is_success(), self) {
            (true, _) => self.success(reply),
            (false, Self::Initiate) => reply,
            (false, Self::TronCreate) => {
                let unknown = reply.status == StatusCode::NOT_FOUND;
                let message =
                    reply.body.get("error").and_then(|error| error.get("message")).cloned();
                let detail = if unknown { Some(json!("Payout not found")) } else { message };
                Reply::new(reply.status, json!({ "detail": detail }))
            }
        }
    }

    fn success(self, mut reply: Reply) -> Reply {
        let mut take = |name: &str| reply.body.remove(name).unwrap_or(Value::Null);
        let (own, txid, cause, reference) =
            (take("external_id"), take("transaction_id"), take("reason"), take("reference"));
        let status = match take("status").as_str() {
            Some("accepted") => "pending".to_owned(),
            Some("confirmed") => "completed".to_owned(),
            other => other.unwrap_or_default().to_owned(),
        };
        let amount = take("amount").as_str().and_then(|amount| amount.parse().ok());
        let now = rfc3339(now_ms());
        let (completed_at, own) =
            ((status == "completed").then_some(&now), own.as_str().map(|own| self.told(own)));
        let shaped = match self {
            Self::Initiate if reply.status == StatusCode::ACCEPTED => {
                json!({ "payout_id": own, "estimated_completion": now, "submitted_at": now })
            }
            Self::Initiate => {
                json!({ "payout_id": own, "tx_id": txid, "failure_reason": cause, "submitted_at": now, "completed_at": completed_at })
            }
            Self::TronCreate => json!({
                "payout_id": own, "metadata": { "reference": reference }, "txid": txid, "error_message": cause, "description": null,
                "payout_type": "v0", "fee": 0.0, "created_at": now, "updated_at": now, "completed_at": completed_at,
            }),
        };
        reply.body.extend(shaped.as_object().cloned().unwrap_or_default());
        reply.body.insert("status".into(), status.into());
        reply.body.insert("amount".into(), Value::Null);
        reply.float_amount = amount.map(float);
        reply.status = if matches!(self, Self::TronCreate) { StatusCode::OK } else { reply.status };
        reply
    }

    /// How amounts are written in it: as numbers, which are floats there.
    pub(super) fn amount(self) -> AmountText {
        |amount| {
            let number = amount.as_number()?.as_f64()?;
            let text = format!("{number:.6}");
            // What has more digits is no amount.
            (text.parse() == Ok(number)).then_some(text)
        }
    }

    /// How the record's id of a transfer is told in this shape.
    fn told(self, own: &str) -> String {
        let digits = own.trim_start_matches(OWN);
        match self {
            Self::TronCreate => digits.to_owned(),
            Self::Initiate => {
                let hyphen = |place: usize| if HYPHENS.contains(&place) { "-" } else { "" };
                digits
                    .chars()
                    .enumerate()
                    .map(|(place, digit)| format!("{}{digit}", hyphen(place)))
                    .collect()
            }
        }
    }

    /// The record's id of one that was told in this shape.
    pub(super) fn stored(self, told: &str) -> Option<String> {
        let digits = match self {
            Self::TronCreate => told.to_owned(),
            Self::Initiate => told.replace('-', ""),
        };
        let own = format!("{OWN}{digits}");
        (digits.len() == OWN_DIGITS && self.told(&own) == told).then_some(own)
    }
}

/// A float as Python writes it: 12.5, 0.0001, 5e-05.
fn float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let parts = scientific
        .split_once('e')
        .and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match parts {
        Some((digits, exponent)) if !(-4..16).contains(&exponent) => {
            format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

/// A key that nobody used and nobody will: each request is another transfer.
pub(super) fn unkeyed() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    sha256_hex(format!(
        "{} {} {}",
        std::process::id(),
        now_ms(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ))
}
