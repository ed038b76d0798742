//! The payment service: what is sent, and what its answers mean.
//!
//! An answer is taken for what it proves. A 2xx counts only if it repeats what was sent; a refusal only with a
//! code the profile knows; all else is ambiguous.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lucid_model::{
    money::MicroUsdt,
    payout::{Answer, Capabilities, Payout, Reply, Reported},
    tron::TronAddress,
};
use lucid_ports::{PaymentRail, TRACE};
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    http::{self, RailError, plain},
    profile::{AmountForm, Find, Ids, Profile},
};

/// Where the payment service is and who we are to it.
#[derive(Debug, Clone)]
pub struct TronPaymentConfig {
    /// `http://host:8085`, without a path.
    pub base_url: String,
    /// Bearer token, if it wants one.
    pub token: Option<String>,
    /// For one request, connecting included.
    pub timeout: Duration,
    /// Its manners.
    pub profile: Profile,
}

/// The payment service over HTTP.
pub struct TronPayment {
    config: TronPaymentConfig,
    client: Client,
}

impl TronPayment {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`RailError`] if TLS cannot be set up.
    pub fn new(config: TronPaymentConfig) -> Result<Self, RailError> {
        let client = http::client(&config.base_url, config.timeout)?;
        Ok(Self { config, client })
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.config.profile
    }

    pub(crate) fn get(&self, url: String) -> reqwest::RequestBuilder {
        self.authorised(self.client.get(url))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.base_url.trim_end_matches('/'))
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.config.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// The request body. Field order is fixed by this struct, so that the same payout is the same bytes.
#[derive(Serialize)]
struct PayoutRequest {
    payout_id: String,
    reference: String,
    metadata: Metadata,
    node_id: String,
    user_id: String,
    recipient_address: String,
    wallet_address: String,
    amount: Box<RawValue>,
    currency: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    #[serde(default)]
    reference: String,
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

/// An amount in an answer: a string or a bare number, compared as the exact decimal it is written as. Only a number may have
/// an exponent: that is how a service writes that keeps amounts as floats.
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
        let address: Option<TronAddress> = self.recipient_address.as_deref().and_then(|a| a.parse().ok());
        let in_metadata = self.metadata.as_ref().map(|metadata| metadata.reference.as_str());
        let ours = match ids {
            Ids::Ours => [self.payout_id.as_deref(), self.reference.as_deref()].contains(&Some(&id)),
            Ids::Its => [in_metadata, self.reference.as_deref()].contains(&Some(&id)),
            // Nothing to compare, unless it says more than it has to.
            Ids::ItsAlone => {
                [in_metadata.filter(|named| !named.is_empty()), self.reference.as_deref()].into_iter().flatten().all(|named| named == id)
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
        let plain =
            |id: &String| (1..=EXTERNAL_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        match (id, profile.find) {
            (Some(id), _) if !plain(&id) => Err("the answer's id of its own is not one".into()),
            (None, Find::ById { .. }) => Err("the answer has no id to find it by".into()),
            (id, _) => Ok(id),
        }
    }

    /// Why it failed, whatever the field is called.
    fn cause(&self) -> Option<&str> {
        [&self.reason, &self.error_message, &self.failure_reason].into_iter().flatten().map(String::as_str).find(|cause| !cause.is_empty())
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
    let answer: PayoutAnswer<'a> = serde_json::from_slice(body).map_err(|_| "the answer is not the JSON it should be".to_owned())?;
    answer.echoes(ids, payout)?;
    Ok(answer)
}

fn error_of(body: &[u8]) -> Option<ErrorBody> {
    serde_json::from_slice::<Refusal>(body).ok()?.error
}

/// Whether a 404 says that there is no such payout: one that says less may come from a proxy, or mean the route.
pub(crate) fn says_unknown(profile: &Profile, body: &[u8]) -> bool {
    let Ok(Refusal { error, detail }) = serde_json::from_slice(body) else { return false };
    let said = error.map(|error| error.code).or_else(|| Some(detail?.as_str()?.to_owned()));
    said.is_some_and(|said| profile.unknown_payout.contains(&said.as_str()))
}

/// What the answer to a POST means.
fn classify(profile: &Profile, payout: &Payout, status: StatusCode, body: &[u8]) -> Answer {
    if status.is_success() {
        return match parse(body, profile.ids, payout).and_then(|answer| answer.external_id(profile)) {
            Ok(external_id) => Answer::Accepted { external_id },
            Err(problem) => Answer::Ambiguous(format!("{status}, but {problem}")),
        };
    }
    if profile.refuses_before_effect.contains(&status.as_u16()) {
        return Answer::RailRefusesUs(format!("the rail answers {status}, before it does anything"));
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Answer::RailRefusesUs(format!("the rail answers {status}")),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => match error_of(body) {
            Some(error) if profile.rejection_codes.contains(&error.code.as_str()) => Answer::Rejected(format!("{}: {}", error.code, error.message)),
            _ => Answer::Ambiguous(format!("{status} without a code that is known")),
        },
        _ => Answer::Ambiguous(format!("the rail answers {status}")),
    }
}

/// Whether an answer says nothing of the payout: the rail, or what stands before it, does not serve us now.
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
fn understand(profile: &Profile, payout: &Payout, status: StatusCode, body: &[u8]) -> Reported {
    if status == StatusCode::NOT_FOUND && says_unknown(profile, body) {
        return match profile.find {
            Find::ByReference => Reported::NotFound,
            // It gave the payout this id, and has lost it: that says nothing about the money.
            Find::ById { .. } => Reported::Unclear("the rail does not know the id that it gave the payout".into()),
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
        (Some("accepted" | "pending" | "processing"), txid) => Reported::Accepted { external_id, txid },
        (Some("confirmed" | "completed"), Some(txid)) => Reported::Confirmed { external_id, txid },
        (Some("confirmed" | "completed"), None) => Reported::Unclear("confirmed without a transaction".into()),
        (Some("failed"), txid) => Reported::Failed { reason: answer.cause().unwrap_or("the rail says it failed").to_owned(), txid },
        // Where `failed` proves nothing, `cancelled` does not either: the service may have sent it before. Where `failed` is
        // proof, nobody has declared that `cancelled` is.
        (Some("cancelled"), txid) if !profile.capabilities.failed_is_final => {
            let cause = answer.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
            Reported::Failed { reason: format!("cancelled at the payment service{cause}"), txid }
        }
        (status, _) => Reported::Unclear(format!("unknown status {status:?}")),
    }
}

/// An answer: its status, its body or what is wrong with it, and how long it asks to be left alone.
struct Heard {
    status: StatusCode,
    body: Result<Vec<u8>, String>,
    retry_after_ms: Option<i64>,
}

impl Heard {
    async fn of(response: Response) -> Self {
        let (status, retry_after_ms) = (response.status(), http::retry_after_ms(response.headers(), SystemTime::now()));
        let body = http::body(response).await.map_err(|problem| format!("{status}, then {problem}"));
        Self { status, body, retry_after_ms }
    }
}

#[async_trait]
impl PaymentRail for TronPayment {
    fn name(&self) -> &str {
        self.config.profile.name
    }

    fn capabilities(&self) -> Capabilities {
        self.config.profile.capabilities
    }

    fn request(&self, payout: &Payout) -> Vec<u8> {
        let (id, address) = (payout.id.to_string(), payout.address.to_string());
        let amount = match self.config.profile.amount {
            AmountForm::Text => format!("\"{}\"", payout.amount),
            AmountForm::Number => payout.amount.to_string(),
        };
        let Ok(amount) = RawValue::from_string(amount) else { return Vec::new() };
        let request = PayoutRequest {
            payout_id: id.clone(),
            reference: id.clone(),
            metadata: Metadata { reference: id.clone() },
            node_id: payout.node.to_string(),
            user_id: payout.owner.to_string(),
            recipient_address: address.clone(),
            wallet_address: address,
            amount,
            currency: "USDT",
            // For whoever reads that service's books: it has no other field for our id.
            memo: (self.config.profile.ids == Ids::ItsAlone).then_some(id),
        };
        // Strings and nothing else: this cannot fail, and an empty body would be refused by any rail.
        serde_json::to_vec(&request).unwrap_or_default()
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "rail.send", skip_all, fields(otel.kind = "client", payout = %payout.id))]
    async fn send(&self, payout: &Payout, request: &[u8]) -> Reply<Answer> {
        let post = self
            .client
            .post(self.url(self.config.profile.path))
            .header("content-type", "application/json")
            .header("idempotency-key", payout.id.to_string())
            .body(request.to_vec());
        match http::send("payment", self.authorised(post)).await {
            Ok(response) => {
                let Heard { status, body, retry_after_ms } = Heard::of(response).await;
                let said = match body {
                    Ok(body) => classify(&self.config.profile, payout, status, &body),
                    Err(problem) => Answer::Ambiguous(problem),
                };
                Reply { said, retry_after_ms }
            }
            // Every connection is fresh, so that an error while connecting means that nothing was sent.
            Err(error) if error.is_connect() || error.is_builder() => Answer::NotSent(plain(&error)).into(),
            Err(error) => Answer::Ambiguous(plain(&error)).into(),
        }
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "rail.look", skip_all, fields(otel.kind = "client", payout = %payout.id))]
    async fn look(&self, payout: &Payout) -> Reply<Reported> {
        // Neither a UUID nor an id that was taken needs escaping.
        let url = match (self.config.profile.find, &payout.external_id) {
            (Find::ByReference, _) => format!("{}?reference={}", self.url(self.config.profile.path), payout.id),
            (Find::ById { prefix, .. }, Some(id)) => format!("{}/{id}", self.url(prefix)),
            (Find::ById { .. }, None) => return Reported::Unclear("it has no id to be found by".into()).into(),
        };
        match http::send("payment", self.get(url)).await {
            Ok(response) => {
                let Heard { status, body, retry_after_ms } = Heard::of(response).await;
                let said = match body {
                    Ok(body) => understand(&self.config.profile, payout, status, &body),
                    Err(problem) => Reported::Unavailable(problem),
                };
                Reply { said, retry_after_ms }
            }
            Err(error) => Reported::Unavailable(plain(&error)).into(),
        }
    }
}

#[cfg(test)]
mod tests;
