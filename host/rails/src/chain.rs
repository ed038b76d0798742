//! The blockchain service: the newest block, and votes on it.

use std::time::Duration;

use async_trait::async_trait;
use lucid_model::vote::{BlockRef, Vote};
use lucid_ports::{Chain, ChainError, VoteAnswer};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::{self, RailError, plain};

/// The blockchain service over HTTP.
pub struct ChainClient {
    base_url: String,
    client: Client,
}

impl ChainClient {
    /// Sets the client up; nothing is sent.
    ///
    /// # Errors
    /// [`RailError`] if TLS cannot be set up.
    pub fn new(base_url: &str, timeout: Duration) -> Result<Self, RailError> {
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), client: http::client(base_url, timeout)? })
    }
}

#[derive(Deserialize)]
struct BlockAnswer {
    block_id: String,
    block_hash: String,
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
    async fn latest_block(&self) -> Result<BlockRef, ChainError> {
        let url = format!("{}/api/v1/blocks/latest", self.base_url);
        let response = self.client.get(url).send().await.map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        if status != StatusCode::OK {
            return Err(unusable(format!("the newest block: {status}")));
        }
        let block: BlockAnswer = serde_json::from_slice(&body).map_err(|error| unusable(format!("the newest block: {error}")))?;
        if block.block_id.is_empty() || block.block_hash.is_empty() {
            return Err(unusable("the newest block has no id or no hash"));
        }
        Ok(BlockRef { id: block.block_id, hash: block.block_hash })
    }

    async fn vote(&self, vote: &Vote, block: &BlockRef, signature: [u8; 64]) -> Result<VoteAnswer, ChainError> {
        let score = RawValue::from_string(vote.score.to_string()).map_err(|error| unusable(error.to_string()))?;
        let request = VoteRequest {
            node_id: vote.node.to_string(),
            score,
            block_id: &block.id,
            block_hash: &block.hash,
            vote: vote.choice.name(),
            timestamp: vote.timestamp.to_string(),
            merkle_root: vote.merkle_root.to_string(),
            signature: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, signature),
        };
        let url = format!("{}/api/v1/consensus/vote", self.base_url);
        let response = self.client.post(url).json(&request).send().await.map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        match status {
            status if status.is_success() => {
                let reply: VoteReply = serde_json::from_slice(&body).map_err(|error| unusable(format!("the answer to a vote: {error}")))?;
                Ok(VoteAnswer::Accepted { vote_id: reply.vote_id, status: reply.status })
            }
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                let text: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(300).collect();
                Ok(VoteAnswer::Rejected { reason: format!("{status}: {text}") })
            }
            status => Err(unusable(format!("the chain answers {status} to a vote"))),
        }
    }
}
