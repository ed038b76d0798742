//! The blockchain service: the newest block, and votes on it.

mod probe;
mod profile;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use lucid_egress::{
    Egress, SetupError, SharedSecret,
    http::{self, plain},
    probe::asked,
};
use lucid_model::consensus::{BlockRef, Vote, VoteChoice};
use lucid_ports::{Chain, ChainError, TRACE, VoteAnswer};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::profile::ChainProfile;

/// Longest id that the chain may give a vote.
const VOTE_ID_BYTES_MAX: usize = 200;

/// Where the blockchain service is and who we are to it.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// `http://host:8084`, without a path.
    pub base_url: String,
    /// Bearer token, if it wants one.
    pub token: Option<SharedSecret>,
    /// API key, if it wants one.
    pub api_key: Option<SharedSecret>,
    /// For one request, connecting included.
    pub timeout: Duration,
    pub egress: Egress,
    /// Its manners.
    pub profile: ChainProfile,
}

/// The blockchain service over HTTP.
pub struct ChainClient {
    config: ChainConfig,
    client: Client,
}

impl ChainClient {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`SetupError`] if TLS cannot be set up.
    pub fn new(config: ChainConfig) -> Result<Self, SetupError> {
        let client = http::client(&config.egress, &config.base_url, config.timeout)?;
        Ok(Self { config, client })
    }

    pub(crate) fn profile(&self) -> &ChainProfile {
        &self.config.profile
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.base_url.trim_end_matches('/'))
    }

    /// With what the service knows us by. The network's own service reads the key under two names:
    /// one where requests enter, one where routes check permissions.
    fn authorised(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(token) = &self.config.token {
            request = request.bearer_auth(token.get());
        }
        if let Some(key) = &self.config.api_key {
            let key = key.get();
            request = request.header("api-key", &key).header("x-api-key", key);
        }
        request
    }

    async fn get(&self, url: String) -> Result<(StatusCode, Option<String>, Vec<u8>), String> {
        asked("chain", self.authorised(self.client.get(url))).await
    }

    /// The answer with the newest block: of the route for it, or of the list where the service has
    /// that route in its documents only.
    pub(crate) async fn newest(&self) -> Result<(StatusCode, Option<String>, Vec<u8>), String> {
        let latest = self.get(self.url("/api/v1/blocks/latest")).await?;
        match self.config.profile.list {
            Some(list) if latest.0 == StatusCode::NOT_FOUND => self.get(self.url(list)).await,
            _ => Ok(latest),
        }
    }

    /// The block that such an answer names.
    pub(crate) fn block(&self, status: StatusCode, body: &[u8]) -> Result<BlockRef, ChainError> {
        if status != StatusCode::OK {
            return Err(unusable(format!("the newest block: {status}")));
        }
        self.config
            .profile
            .block(body)
            .map_err(|problem| unusable(format!("the newest block: {problem}")))
    }
}

#[derive(Serialize)]
struct VoteRequest<'a> {
    node_id: String,
    score: Box<RawValue>,
    block_id: &'a str,
    block_hash: &'a str,
    vote: &'static str,
    timestamp: String,
    merkle_root: String,
    signature: String,
}

#[derive(Deserialize)]
struct VoteReply {
    vote_id: String,
    #[serde(default)]
    status: String,
}

fn unusable(detail: impl Into<String>) -> ChainError {
    ChainError { detail: detail.into() }
}

#[async_trait]
impl Chain for ChainClient {
    fn takes(&self, choice: VoteChoice) -> bool {
        choice != VoteChoice::Abstain || self.config.profile.abstentions
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.latest_block", skip_all, fields(otel.kind = "client"))]
    async fn latest_block(&self) -> Result<BlockRef, ChainError> {
        let (status, _, body) = self.newest().await.map_err(unusable)?;
        self.block(status, &body)
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.vote", skip_all, fields(otel.kind = "client", node = %vote.node))]
    async fn vote(
        &self,
        vote: &Vote,
        block: &BlockRef,
        signature: [u8; 64],
    ) -> Result<VoteAnswer, ChainError> {
        let score = RawValue::from_string(vote.score.to_string())
            .map_err(|error| unusable(error.to_string()))?;
        let request = VoteRequest {
            node_id: vote.node.to_string(),
            score,
            block_id: &block.id,
            block_hash: &block.hash,
            vote: vote.choice.name(),
            timestamp: vote.timestamp.to_string(),
            merkle_root: vote.merkle_root.to_string(),
            signature: base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD,
                signature,
            ),
        };
        let post = self.client.post(self.url("/api/v1/consensus/vote")).json(&request);
        let response = http::send("chain", self.authorised(post))
            .await
            .map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        match status {
            status if status.is_success() => answer(&self.config.profile, &body, None),
            StatusCode::CONFLICT => {
                Ok(VoteAnswer::Contradicted { reason: in_words(status, &body) })
            }
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(VoteAnswer::Rejected { reason: in_words(status, &body) })
            }
            status => Err(unusable(format!("the chain answers {status} to a vote"))),
        }
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.look", skip_all, fields(otel.kind = "client"))]
    async fn look(&self, vote_id: &str) -> Result<Option<VoteAnswer>, ChainError> {
        if !self.config.profile.polls {
            // It was taken, and nothing more can be learnt; sent again it would be a second vote.
            let status = "taken; this chain cannot be asked about votes".to_owned();
            return Ok(Some(VoteAnswer::Accepted { vote_id: vote_id.to_owned(), status }));
        }
        let mut url = Url::parse(&self.url("/api/v1/consensus/vote"))
            .map_err(|error| unusable(error.to_string()))?;
        // As a segment of its own: the id is what the chain once sent, and may be anything.
        url.path_segments_mut()
            .map_err(|()| unusable("the chain's address has no path"))?
            .push(vote_id);
        let (status, _, body) = self.get(url.into()).await.map_err(unusable)?;
        match status {
            StatusCode::OK => answer(&self.config.profile, &body, Some(vote_id)).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => {
                Err(unusable(format!("the chain answers {status} when it is asked about a vote")))
            }
        }
    }
}

fn in_words(status: StatusCode, body: &[u8]) -> String {
    let text: String =
        String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(300).collect();
    format!("{status}: {text}")
}

/// What the chain says of a vote that it has; `asked` is the id it has to be about.
fn answer(
    profile: &ChainProfile,
    body: &[u8],
    asked: Option<&str>,
) -> Result<VoteAnswer, ChainError> {
    let VoteReply { vote_id, status } = serde_json::from_slice(body)
        .map_err(|error| unusable(format!("the answer to a vote: {error}")))?;
    if vote_id.is_empty() || vote_id.len() > VOTE_ID_BYTES_MAX {
        return Err(unusable("the answer to a vote has no usable vote_id"));
    }
    if asked.is_some_and(|asked| asked != vote_id) {
        return Err(unusable(format!(
            "the chain was asked about vote {} and answers about another",
            asked.unwrap_or_default()
        )));
    }
    let status: String = status.chars().filter(|c| !c.is_control()).take(100).collect();
    Ok(match status.to_ascii_lowercase().as_str() {
        "" | "accepted" | "ok" | "success" | "recorded" | "counted" | "included" | "confirmed"
        | "final" | "finalized" => VoteAnswer::Accepted { vote_id, status },
        "rejected" | "refused" | "invalid" | "failed" | "error" => {
            VoteAnswer::Rejected { reason: format!("the chain says {status}") }
        }
        // A word that nobody knows promises nothing: the chain is asked again.
        _ if profile.polls => VoteAnswer::Undecided { vote_id, status },
        // This answer is all that will ever be said: it has the vote.
        "pending" => VoteAnswer::Accepted { vote_id, status },
        _ => VoteAnswer::Rejected {
            reason: format!(
                "the chain says {status}, which is no answer to a vote, and cannot be asked again"
            ),
        },
    })
}
