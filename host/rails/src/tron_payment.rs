//! The payment service: what is sent, and what its answers mean.
//!
//! An answer is taken for what it proves. A 2xx counts only if it repeats what was sent; a refusal only with a
//! code the profile knows; all else is ambiguous.

use std::time::Duration;

use async_trait::async_trait;
use lucid_model::{
    money::MicroUsdt,
    payout::{Answer, Capabilities, Payout, Reported},
    tron::TronAddress,
};
use lucid_ports::PaymentRail;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    http::{self, RailError, plain},
    profile::Profile,
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

    fn url(&self) -> String {
        format!("{}{}", self.config.base_url.trim_end_matches('/'), self.config.profile.path)
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
    amount: String,
    currency: &'static str,
}

#[derive(Serialize)]
struct Metadata {
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
    recipient_address: Option<String>,
    #[serde(default, borrow)]
    amount: Option<&'a RawValue>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    #[serde(default)]
    message: String,
}

/// An amount in an answer: a string or a bare number, compared as the exact decimal it is written as.
fn exact_amount(raw: &RawValue) -> Option<MicroUsdt> {
    let text = raw.get();
    let digits = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    digits.parse().ok()
}

impl PayoutAnswer<'_> {
    /// Whether the answer is about this payout: id, address, amount and currency as they were sent.
    fn echoes(&self, payout: &Payout) -> Result<(), String> {
        let id = payout.id.to_string();
        let address: Option<TronAddress> = self.recipient_address.as_deref().and_then(|a| a.parse().ok());
        if self.payout_id.as_ref() != Some(&id) && self.reference.as_ref() != Some(&id) {
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
}

fn parse<'a>(body: &'a [u8], payout: &Payout) -> Result<PayoutAnswer<'a>, String> {
    let answer: PayoutAnswer<'a> = serde_json::from_slice(body).map_err(|_| "the answer is not the JSON it should be".to_owned())?;
    answer.echoes(payout)?;
    Ok(answer)
}

fn error_of(body: &[u8]) -> Option<ErrorBody> {
    serde_json::from_slice::<ErrorAnswer>(body).ok().map(|answer| answer.error)
}

/// What the answer to a POST means.
async fn classify(profile: &Profile, payout: &Payout, response: Response) -> Answer {
    let status = response.status();
    let body = match http::body(response).await {
        Ok(body) => body,
        Err(problem) => return Answer::Ambiguous(format!("{status}, then {problem}")),
    };
    if status.is_success() {
        return match parse(&body, payout) {
            Ok(answer) => Answer::Accepted { external_id: answer.external_id },
            Err(problem) => Answer::Ambiguous(format!("{status}, but {problem}")),
        };
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Answer::RailRefusesUs(format!("the rail answers {status}")),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => match error_of(&body) {
            Some(error) if profile.rejection_codes.contains(&error.code.as_str()) => Answer::Rejected(format!("{}: {}", error.code, error.message)),
            _ => Answer::Ambiguous(format!("{status} without a code that is known")),
        },
        _ => Answer::Ambiguous(format!("the rail answers {status}")),
    }
}

/// What the answer to a look-up means.
async fn understand(payout: &Payout, response: Response) -> Reported {
    let status = response.status();
    let body = match http::body(response).await {
        Ok(body) => body,
        Err(problem) => return Reported::Unclear(format!("{status}, then {problem}")),
    };
    if status == StatusCode::NOT_FOUND && error_of(&body).is_some_and(|error| error.code == "PAYOUT_NOT_FOUND") {
        return Reported::NotFound;
    }
    if status != StatusCode::OK {
        return Reported::Unclear(format!("the rail answers {status}"));
    }
    let answer = match parse(&body, payout) {
        Ok(answer) => answer,
        Err(problem) => return Reported::Unclear(problem),
    };
    let (external_id, txid) = (answer.external_id, answer.transaction_id);
    match (answer.status.as_deref(), txid) {
        (Some("accepted" | "pending" | "processing"), txid) => Reported::Accepted { external_id, txid },
        (Some("confirmed" | "completed"), Some(txid)) => Reported::Confirmed { external_id, txid },
        (Some("confirmed" | "completed"), None) => Reported::Unclear("confirmed without a transaction".into()),
        (Some("failed"), txid) => Reported::Failed { reason: answer.reason.unwrap_or_else(|| "the rail says it failed".into()), txid },
        (status, _) => Reported::Unclear(format!("unknown status {status:?}")),
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
        let request = PayoutRequest {
            payout_id: id.clone(),
            reference: id.clone(),
            metadata: Metadata { reference: id },
            node_id: payout.node.to_string(),
            user_id: payout.owner.to_string(),
            recipient_address: address.clone(),
            wallet_address: address,
            amount: payout.amount.to_string(),
            currency: "USDT",
        };
        // Strings and nothing else: this cannot fail, and an empty body would be refused by any rail.
        serde_json::to_vec(&request).unwrap_or_default()
    }

    async fn send(&self, payout: &Payout, request: &[u8]) -> Answer {
        let post = self
            .client
            .post(self.url())
            .header("content-type", "application/json")
            .header("idempotency-key", payout.id.to_string())
            .body(request.to_vec());
        match self.authorised(post).send().await {
            Ok(response) => classify(&self.config.profile, payout, response).await,
            // Every connection is fresh, so that an error while connecting means that nothing was sent.
            Err(error) if error.is_connect() || error.is_builder() => Answer::NotSent(plain(&error)),
            Err(error) => Answer::Ambiguous(plain(&error)),
        }
    }

    async fn look(&self, payout: &Payout) -> Reported {
        // A UUID needs no escaping.
        let get = self.client.get(format!("{}?reference={}", self.url(), payout.id));
        match self.authorised(get).send().await {
            Ok(response) => understand(payout, response).await,
            Err(error) => Reported::Unclear(plain(&error)),
        }
    }
}
