//! The payment service: what is sent, and to where; what its answers mean is in [`answer`].

mod answer;
mod probe;
mod profile;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lucid_egress::{
    Egress, SetupError, SharedSecret,
    http::{self, plain},
};
use lucid_model::money::payout::{Answer, Capabilities, Payout, Reply, Reported};
use lucid_ports::{PaymentRail, TRACE};
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use self::answer::{Metadata, classify, understand};
pub use self::profile::{AmountForm, Find, Ids, Profile};

/// Where the payment service is and who we are to it.
#[derive(Debug, Clone)]
pub struct TronPaymentConfig {
    /// `http://host:8085`, without a path.
    pub base_url: String,
    /// Bearer token, if it wants one.
    pub token: Option<SharedSecret>,
    /// For one request, connecting included.
    pub timeout: Duration,
    pub egress: Egress,
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
    /// [`SetupError`] if TLS cannot be set up.
    pub fn new(config: TronPaymentConfig) -> Result<Self, SetupError> {
        let client = http::client(&config.egress, &config.base_url, config.timeout)?;
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
            Some(token) => request.bearer_auth(token.get()),
            None => request,
        }
    }
}

/// The request body. Field order is fixed by this struct, so that the same payout is the same
/// bytes.
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

/// An answer: its status, its body or what is wrong with it, and how long it asks to be left alone.
struct Heard {
    status: StatusCode,
    body: Result<Vec<u8>, String>,
    retry_after_ms: Option<i64>,
}

impl Heard {
    async fn of(response: Response) -> Self {
        let (status, retry_after_ms) =
            (response.status(), http::retry_after_ms(response.headers(), SystemTime::now()));
        let body =
            http::body(response).await.map_err(|problem| format!("{status}, then {problem}"));
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
        // Strings and nothing else: this cannot fail, and an empty body would be refused by any
        // rail.
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
            // Every connection is fresh, so that an error while connecting means that nothing was
            // sent.
            Err(error) if error.is_connect() || error.is_builder() => {
                Answer::NotSent(plain(&error)).into()
            }
            Err(error) => Answer::Ambiguous(plain(&error)).into(),
        }
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "rail.look", skip_all, fields(otel.kind = "client", payout = %payout.id))]
    async fn look(&self, payout: &Payout) -> Reply<Reported> {
        // Neither a UUID nor an id that was taken needs escaping.
        let url = match (self.config.profile.find, &payout.external_id) {
            (Find::ByReference, _) => {
                format!("{}?reference={}", self.url(self.config.profile.path), payout.id)
            }
            (Find::ById { prefix, .. }, Some(id)) => format!("{}/{id}", self.url(prefix)),
            (Find::ById { .. }, None) => {
                return Reported::Unclear("it has no id to be found by".into()).into();
            }
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
