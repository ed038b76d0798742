//! The typed client of the HTTP API.

mod error;
mod query;
mod transport;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::id::{NodeId, PayoutId, PoolId};
use reqwest::{Method, RequestBuilder, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Map;

use lucid_api_types::{
    epochs::poot::replay::ReplayBody,
    error::ErrorBody,
    fleet::{
        auth::{
            ChallengeBody, ChallengeRequest, HEADER_ENROLMENT, HEADER_IDEMPOTENCY_KEY,
            HEADER_NONCE, HEADER_SEQUENCE, HEADER_SIGNATURE, HEADER_TIMESTAMP,
            RegistrationSignature, ReportSignature, TokenBody, TokenRequest,
        },
        enrolment::{CreateEnrolmentRequest, EnrolmentBody},
        node::{ChangeMachineRequest, NodeBody},
        pool::{CreatePoolRequest, PoolBody},
    },
    money::payout::PayoutBody,
    page::{
        AuditList, EnrolmentList, EpochList, NodeList, PageParams, PayoutList, PoolList, ScoreList,
    },
    policies::SimulatePolicyRequest,
    telemetry::{
        report::{ObservationsBody, ReportBody},
        resources::ResourceSummaryBody,
    },
};

pub use error::ClientError;
pub use query::{percent_encoded, with_query};
pub use transport::transport;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of an answer that is no error body of ours, kept for the message.
const STRAY_ANSWER_LENGTH_MAX: usize = 200;

/// As whom a client calls.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The bearer of a token.
    Bearer(String),
    /// The bearer of an enrolment token: good for registrations.
    Enrolment(String),
}

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    credential: Option<Credential>,
}

impl Client {
    /// A client of the service at `base_url`, such as `http://127.0.0.1:8095`. With `ca_pem`, only
    /// what these certificates vouch for is trusted over `https`; without, what the machine trusts.
    ///
    /// # Errors
    /// [`ClientError::Setup`] if that is no address, or TLS cannot be set up for an `https` one.
    pub fn new(base_url: &str, ca_pem: Option<&[u8]>) -> Result<Self, ClientError> {
        let builder =
            transport(base_url, ca_pem)?.connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT);
        let http =
            builder.build().map_err(|error| ClientError::setup(base_url, error.to_string()))?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), credential: None })
    }

    /// The same client with a bearer token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.set_token(Some(token.into()));
        self
    }
    /// Replaces the bearer token.
    pub fn set_token(&mut self, token: Option<String>) {
        self.set_credential(token.map(Credential::Bearer));
    }
    /// Replaces whatever the client calls with.
    pub fn set_credential(&mut self, credential: Option<Credential>) {
        self.credential = credential;
    }
    /// The service's address.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base_url))
            .header(header::ACCEPT, "application/json");
        match &self.credential {
            Some(Credential::Bearer(token)) => request.bearer_auth(token),
            Some(Credential::Enrolment(token)) => request.header(HEADER_ENROLMENT, token),
            None => request,
        }
    }

    /// Any call: `path` is under `/api/v1`, and starts with a slash.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = with_body(request, serde_json::to_vec(body).map_err(ClientError::Decode)?);
        }
        decode(&answer(request).await?)
    }

    /// What a path answers, as it is: `path` is under `/api/v1`, and starts with a slash.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        answer(self.request(Method::GET, path)).await
    }

    /// A closed epoch as a file.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn epoch_file(&self, epoch: i64) -> Result<Vec<u8>, ClientError> {
        answer(self.request(Method::GET, &format!("/poot/epochs/{epoch}/export"))).await
    }

    /// Has a closed epoch computed again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn replay_epoch(&self, epoch: i64) -> Result<ReplayBody, ClientError> {
        self.call(Method::POST, &format!("/poot/epochs/{epoch}/replay"), None::<&()>).await
    }

    /// Has a version asked about closed epochs: the answer's bytes, JSON or a line a node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn simulate(
        &self,
        (kind, name, version): (&str, &str, &str),
        asked: &SimulatePolicyRequest,
        csv: bool,
    ) -> Result<Vec<u8>, ClientError> {
        let format = if csv { "csv" } else { "json" };
        let path = format!("/policies/{kind}/{name}/{version}/simulate?format={format}");
        answer(with_body(
            self.request(Method::POST, &path),
            serde_json::to_vec(asked).map_err(ClientError::Decode)?,
        ))
        .await
    }

    /// Starts of the closed epochs of a range, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn epoch_starts(&self, from_s: i64, to_s: i64) -> Result<Vec<i64>, ClientError> {
        let (mut starts, mut page) = (Vec::new(), 1);
        loop {
            let list: EpochList = self.get(&format!("/poot/epochs?limit=100&page={page}")).await?;
            let oldest = list.epochs.last().map(|epoch| epoch.epoch);
            starts.extend(
                list.epochs
                    .into_iter()
                    .map(|epoch| epoch.epoch)
                    .filter(|start_s| (from_s..to_s).contains(start_s)),
            );
            if oldest.is_none_or(|oldest| oldest <= from_s) {
                starts.reverse();
                return Ok(starts);
            }
            page += 1;
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        decode(&answer(self.request(Method::GET, path)).await?)
    }

    /// Registers a node; the body's bytes are what the signature covers. A repeat with the same key
    /// and body gets the answer that the first one had.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn register(
        &self,
        body: Vec<u8>,
        signature: Option<&RegistrationSignature>,
        key: Option<&str>,
    ) -> Result<NodeBody, ClientError> {
        let mut request = self.request(Method::POST, "/nodes");
        if let Some(key) = key {
            request = request.header(HEADER_IDEMPOTENCY_KEY, key);
        }
        if let Some(signed) = signature {
            request = request
                .header(HEADER_TIMESTAMP, signed.timestamp_ms.to_string())
                .header(HEADER_NONCE, &signed.nonce)
                .header(HEADER_SIGNATURE, STANDARD.encode(&signed.signature));
        }
        decode(&answer(with_body(request, body)).await?)
    }

    /// Asks for a challenge.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn challenge(&self, node: NodeId) -> Result<ChallengeBody, ClientError> {
        self.call(
            Method::POST,
            "/auth/challenge",
            Some(&ChallengeRequest { node_id: node.to_string() }),
        )
        .await
    }

    /// Gets a token for a signed challenge.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn token(
        &self,
        node: NodeId,
        challenge: &str,
        signature: &[u8],
    ) -> Result<TokenBody, ClientError> {
        let request = TokenRequest {
            node_id: node.to_string(),
            challenge: challenge.to_owned(),
            signature: STANDARD.encode(signature),
        };
        self.call(Method::POST, "/auth/token", Some(&request)).await
    }

    async fn report<T: DeserializeOwned>(
        &self,
        node: NodeId,
        kind: &str,
        body: Vec<u8>,
        signed: Option<&ReportSignature>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(Method::POST, &format!("/nodes/{node}/{kind}"));
        if let Some(signed) = signed {
            request = request
                .header(HEADER_SEQUENCE, signed.sequence.to_string())
                .header(HEADER_SIGNATURE, STANDARD.encode(&signed.signature));
        }
        decode(&answer(with_body(request, body)).await?)
    }

    /// Reports samples.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report_metrics(
        &self,
        node: NodeId,
        body: Vec<u8>,
        signed: Option<&ReportSignature>,
    ) -> Result<ReportBody, ClientError> {
        self.report(node, "metrics", body, signed).await
    }

    /// Reports observation sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn report_observations(
        &self,
        node: NodeId,
        body: Vec<u8>,
        signed: Option<&ReportSignature>,
    ) -> Result<ObservationsBody, ClientError> {
        self.report(node, "observations", body, signed).await
    }

    /// Says what a node's machine became.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_machine(
        &self,
        node: NodeId,
        machine: &ChangeMachineRequest,
    ) -> Result<NodeBody, ClientError> {
        self.call(Method::PUT, &format!("/nodes/{node}/machine"), Some(machine)).await
    }

    /// Gives a sign of life.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn heartbeat(
        &self,
        node: NodeId,
        body: Vec<u8>,
        signed: Option<&ReportSignature>,
    ) -> Result<ReportBody, ClientError> {
        self.report(node, "heartbeat", body, signed).await
    }

    /// One node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn node(&self, id: NodeId) -> Result<NodeBody, ClientError> {
        self.get(&format!("/nodes/{id}")).await
    }

    /// A page of nodes; `filters` are further query parameters, here and below.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn nodes(
        &self,
        page: &PageParams,
        filters: &[(&str, &str)],
    ) -> Result<NodeList, ClientError> {
        self.get(&listed("/nodes", page, filters)).await
    }

    /// A node's life cycle: `activate`, `deactivate`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn node_action(&self, id: NodeId, action: &str) -> Result<NodeBody, ClientError> {
        self.call(Method::POST, &format!("/nodes/{id}/{action}"), None::<&()>).await
    }

    /// Deregisters a node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete_node(&self, id: NodeId) -> Result<(), ClientError> {
        answer(self.request(Method::DELETE, &format!("/nodes/{id}"))).await.map(|_| ())
    }

    /// Creates a pool.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_pool(&self, pool: &CreatePoolRequest) -> Result<PoolBody, ClientError> {
        self.call(Method::POST, "/pools", Some(pool)).await
    }

    /// One pool with its nodes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pool(&self, id: PoolId) -> Result<PoolBody, ClientError> {
        self.get(&format!("/pools/{id}")).await
    }

    /// A page of pools.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pools(
        &self,
        page: &PageParams,
        filters: &[(&str, &str)],
    ) -> Result<PoolList, ClientError> {
        self.get(&listed("/pools", page, filters)).await
    }

    /// A page of scores.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn scores(
        &self,
        page: &PageParams,
        filters: &[(&str, &str)],
    ) -> Result<ScoreList, ClientError> {
        self.get(&listed("/poot/scores", page, filters)).await
    }

    /// A page of payouts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn payouts(
        &self,
        page: &PageParams,
        filters: &[(&str, &str)],
    ) -> Result<PayoutList, ClientError> {
        self.get(&listed("/payouts", page, filters)).await
    }

    /// One payout.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn payout(&self, id: PayoutId) -> Result<PayoutBody, ClientError> {
        self.get(&format!("/payouts/{id}")).await
    }

    /// A page of the audit log.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(
        &self,
        page: &PageParams,
        filters: &[(&str, &str)],
    ) -> Result<AuditList, ClientError> {
        self.get(&listed("/audit", page, filters)).await
    }

    /// Makes an enrolment token.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_enrolment(
        &self,
        request: &CreateEnrolmentRequest,
    ) -> Result<EnrolmentBody, ClientError> {
        self.call(Method::POST, "/enrolment-tokens", Some(request)).await
    }

    /// A page of enrolment tokens.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrolments(&self, page: &PageParams) -> Result<EnrolmentList, ClientError> {
        self.get(&listed("/enrolment-tokens", page, &[])).await
    }

    /// Takes an enrolment token back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_enrolment(&self, id: &str) -> Result<(), ClientError> {
        answer(self.request(Method::DELETE, &format!("/enrolment-tokens/{}", percent_encoded(id))))
            .await
            .map(drop)
    }

    /// Usage of the fleet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resource_summary(
        &self,
        time_range: &str,
    ) -> Result<ResourceSummaryBody, ClientError> {
        self.get(&listed(
            "/resources/summary",
            &PageParams::default(),
            &[("time_range", time_range)],
        ))
        .await
    }
}

fn with_body(request: RequestBuilder, body: Vec<u8>) -> RequestBuilder {
    request.header(header::CONTENT_TYPE, "application/json").body(body)
}

/// A list's path with its page and further parameters.
fn listed(path: &str, page: &PageParams, filters: &[(&str, &str)]) -> String {
    let (number, limit) = (page.page.map(|n| n.to_string()), page.limit.map(|n| n.to_string()));
    let own = [
        ("page", number.as_deref()),
        ("limit", limit.as_deref()),
        ("sort", page.sort.as_deref()),
        ("order", page.order.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((key, value?)));
    with_query(path, &own.chain(filters.iter().copied()).collect::<Vec<_>>())
}

async fn answer(request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
    let response = request.send().await.map_err(ClientError::Transport)?;
    let status = response.status();
    let retry_after_s = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.bytes().await.map_err(ClientError::Transport)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let status = status.as_u16();
    Err(match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(ErrorBody { error }) => ClientError::Api {
            status,
            code: error.code,
            message: error.message,
            details: error.details,
            retry_after_s,
        },
        Err(_) => {
            let message =
                String::from_utf8_lossy(&body).chars().take(STRAY_ANSWER_LENGTH_MAX).collect();
            ClientError::Api {
                status,
                code: String::new(),
                message,
                details: Map::new(),
                retry_after_s,
            }
        }
    })
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(ClientError::Decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_for_plain_http_needs_nothing_installed() {
        assert!(
            Client::new("http://127.0.0.1:8095/", None)
                .is_ok_and(|client| client.base_url() == "http://127.0.0.1:8095")
        );
        assert!(Client::new("ftp://127.0.0.1", None).is_err());
        assert!(Client::new("worker", None).is_err());
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_no_trust_in_everything() {
        let refused = Client::new("https://127.0.0.1:8095", Some(b"not a certificate")).map(|_| ());
        assert!(refused.is_err_and(|error| error.to_string().contains("no certificate")));
    }
}
