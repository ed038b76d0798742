//! What an answer of the payment service means.
//!
//! An answer is taken for what it proves. A 2xx counts only if it repeats what was sent; a refusal
//! only with a code the profile knows; all else is ambiguous.

use lucid_model::money::{
    MicroUsdt,
    payout::{Answer, Payout, Reported},
    tron::TronAddress,
};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::profile::{Find, Ids, Profile};

/// Where some services have our id.
#[derive(Serialize, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) reference: String,
}

/// What an answer may say; only what is checked is named.
#[derive(Deserialize)]
struct PayoutAnswer<'a> {
    #[serde(default)]
    payout_id: Option<String>,
    #[serde(default)]
    reference: Option<String>,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    transaction_id: Option<String>,
    #[serde(default)]
    tx_id: Option<String>,
    #[serde(default)]
    txid: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    recipient_address: Option<String>,
    #[serde(default, borrow)]
    amount: Option<&'a RawValue>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    failure_reason: Option<String>,
}

/// A refusal: `error` with a code, or FastAPI's `detail`.
#[derive(Deserialize)]
struct Refusal {
    error: Option<ErrorBody>,
    detail: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    message: String,
}

/// An amount in an answer: a string or a bare number, compared as the exact decimal it is written
/// as. Only a number may have an exponent: that is how a service writes that keeps amounts as
/// floats.
fn exact_amount(raw: &RawValue) -> Option<MicroUsdt> {
    let text = raw.get();
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(text) => text.parse().ok(),
        None => MicroUsdt::from_json_number(text).ok(),
    }
}

/// Longest id of a payment service: it becomes part of a URL.
const EXTERNAL_ID_MAX: usize = 64;

impl PayoutAnswer<'_> {
    /// Whether the answer is about this payout: id, address, amount and currency as they were sent.
    fn echoes(&self, ids: Ids, payout: &Payout) -> Result<(), String> {
        let id = payout.id.to_string();
        let address: Option<TronAddress> =
            self.recipient_address.as_deref().and_then(|a| a.parse().ok());
        let in_metadata = self.metadata.as_ref().map(|metadata| metadata.reference.as_str());
        let ours = match ids {
            Ids::Ours => {
                [self.payout_id.as_deref(), self.reference.as_deref()].contains(&Some(&id))
            }
            Ids::Its => [in_metadata, self.reference.as_deref()].contains(&Some(&id)),
            // Nothing to compare, unless it says more than it has to.
            Ids::ItsAlone => {
                [in_metadata.filter(|named| !named.is_empty()), self.reference.as_deref()]
                    .into_iter()
                    .flatten()
                    .all(|named| named == id)
            }
        };
        if !ours {
            return Err("the answer names another payout".into());
        }
        if address != Some(payout.address) {
            return Err("the answer names another address".into());
        }
        if self.amount.and_then(exact_amount) != Some(payout.amount) {
            return Err("the answer names another amount".into());
        }
        if self.currency.as_deref() != Some("USDT") {
            return Err("the answer names another currency".into());
        }
        Ok(())
    }

    /// The service's own id of it. One that could be anything else in a URL is none.
    fn external_id(&self, profile: &Profile) -> Result<Option<String>, String> {
        let id = match profile.ids {
            Ids::Ours => self.external_id.clone(),
            Ids::Its | Ids::ItsAlone => self.payout_id.clone(),
        };
        let plain = |id: &String| {
            (1..=EXTERNAL_ID_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        match (id, profile.find) {
            (Some(id), _) if !plain(&id) => Err("the answer's id of its own is not one".into()),
            (None, Find::ById { .. }) => Err("the answer has no id to find it by".into()),
            (id, _) => Ok(id),
        }
    }

    /// Why it failed, whatever the field is called.
    fn cause(&self) -> Option<&str> {
        [&self.reason, &self.error_message, &self.failure_reason]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .find(|cause| !cause.is_empty())
    }

    /// The transaction, whatever its name is; two that differ are none.
    fn transaction(&self) -> Result<Option<String>, String> {
        let named = [&self.transaction_id, &self.tx_id, &self.txid];
        let mut found = named.into_iter().flatten().filter(|txid| !txid.is_empty());
        let first = found.next();
        if found.any(|other| Some(other) != first) {
            return Err("the answer names two transactions".into());
        }
        Ok(first.cloned())
    }
}

fn parse<'a>(body: &'a [u8], ids: Ids, payout: &Payout) -> Result<PayoutAnswer<'a>, String> {
    let answer: PayoutAnswer<'a> = serde_json::from_slice(body)
        .map_err(|_| "the answer is not the JSON it should be".to_owned())?;
    answer.echoes(ids, payout)?;
    Ok(answer)
}

fn error_of(body: &[u8]) -> Option<ErrorBody> {
    serde_json::from_slice::<Refusal>(body).ok()?.error
}

/// Whether a 404 says that there is no such payout: one that says less may come from a proxy, or
/// mean the route.
pub(crate) fn says_unknown(profile: &Profile, body: &[u8]) -> bool {
    let Ok(Refusal { error, detail }) = serde_json::from_slice(body) else { return false };
    let said = error.map(|error| error.code).or_else(|| Some(detail?.as_str()?.to_owned()));
    said.is_some_and(|said| profile.unknown_payout.contains(&said.as_str()))
}

/// What the answer to a POST means.
pub(super) fn classify(
    profile: &Profile,
    payout: &Payout,
    status: StatusCode,
    body: &[u8],
) -> Answer {
    if status.is_success() {
        return match parse(body, profile.ids, payout).and_then(|answer| answer.external_id(profile))
        {
            Ok(external_id) => Answer::Accepted { external_id },
            Err(problem) => Answer::Ambiguous(format!("{status}, but {problem}")),
        };
    }
    if profile.refuses_before_effect.contains(&status.as_u16()) {
        return Answer::RailRefusesUs(format!(
            "the rail answers {status}, before it does anything"
        ));
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Answer::RailRefusesUs(format!("the rail answers {status}"))
        }
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => match error_of(body) {
            Some(error) if profile.rejection_codes.contains(&error.code.as_str()) => {
                Answer::Rejected(format!("{}: {}", error.code, error.message))
            }
            _ => Answer::Ambiguous(format!("{status} without a code that is known")),
        },
        _ => Answer::Ambiguous(format!("the rail answers {status}")),
    }
}

/// Whether an answer says nothing of the payout: the rail, or what stands before it, does not serve
/// us now.
fn says_not_now(status: StatusCode) -> bool {
    use StatusCode as S;
    let not_now = [
        S::UNAUTHORIZED,
        S::FORBIDDEN,
        S::REQUEST_TIMEOUT,
        S::TOO_EARLY,
        S::TOO_MANY_REQUESTS,
        S::BAD_GATEWAY,
        S::SERVICE_UNAVAILABLE,
        S::GATEWAY_TIMEOUT,
    ];
    not_now.contains(&status)
}

/// What the answer to a look-up means.
pub(super) fn understand(
    profile: &Profile,
    payout: &Payout,
    status: StatusCode,
    body: &[u8],
) -> Reported {
    if status == StatusCode::NOT_FOUND && says_unknown(profile, body) {
        return match profile.find {
            Find::ByReference => Reported::NotFound,
            // It gave the payout this id, and has lost it: that says nothing about the money.
            Find::ById { .. } => {
                Reported::Unclear("the rail does not know the id that it gave the payout".into())
            }
        };
    }
    if says_not_now(status) {
        return Reported::Unavailable(format!("the rail answers {status}"));
    }
    if status != StatusCode::OK {
        return Reported::Unclear(format!("the rail answers {status}"));
    }
    let answer = match parse(body, profile.ids, payout) {
        Ok(answer) => answer,
        Err(problem) => return Reported::Unclear(problem),
    };
    let (external_id, txid) = match (answer.external_id(profile), answer.transaction()) {
        (Ok(external_id), Ok(txid)) => (external_id, txid),
        (Err(problem), _) | (_, Err(problem)) => return Reported::Unclear(problem),
    };
    let by_id = matches!(profile.find, Find::ById { .. });
    if by_id && external_id != payout.external_id {
        return Reported::Unclear("the answer has another id than it was asked for".into());
    }
    // What it was found by stays what it is.
    let external_id = external_id.filter(|_| !by_id);
    match (answer.status.as_deref(), txid) {
        (Some("accepted" | "pending" | "processing"), txid) => {
            Reported::Accepted { external_id, txid }
        }
        (Some("confirmed" | "completed"), Some(txid)) => Reported::Confirmed { external_id, txid },
        (Some("confirmed" | "completed"), None) => {
            Reported::Unclear("confirmed without a transaction".into())
        }
        (Some("failed"), txid) => Reported::Failed {
            reason: answer.cause().unwrap_or("the rail says it failed").to_owned(),
            txid,
        },
        // Where `failed` proves nothing, `cancelled` does not either: the service may have sent it
        // before. Where `failed` is proof, nobody has declared that `cancelled` is.
        (Some("cancelled"), txid) if !profile.capabilities.failed_is_final => {
            let cause = answer.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
            Reported::Failed { reason: format!("cancelled at the payment service{cause}"), txid }
        }
        (status, _) => Reported::Unclear(format!("unknown status {status:?}")),
    }
}
