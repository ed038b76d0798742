//! The blockchain service: the newest block, and votes on it.

use std::time::Duration;

use async_trait::async_trait;
use lucid_model::vote::{BlockRef, Vote};
use lucid_ports::{Chain, ChainError, TRACE, VoteAnswer};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::{self, RailError, plain};

/// Longest id that the chain may give a vote.
const VOTE_ID_BYTES_MAX: usize = 200;

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
    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.latest_block", skip_all, fields(otel.kind = "client"))]
    async fn latest_block(&self) -> Result<BlockRef, ChainError> {
        let url = format!("{}/api/v1/blocks/latest", self.base_url);
        let response = http::send("chain", self.client.get(url)).await.map_err(|error| unusable(plain(&error)))?;
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

    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.vote", skip_all, fields(otel.kind = "client", node = %vote.node))]
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
        let response = http::send("chain", self.client.post(url).json(&request)).await.map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        match status {
            status if status.is_success() => answer(&body, None),
            StatusCode::CONFLICT => Ok(VoteAnswer::Contradicted { reason: in_words(status, &body) }),
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Ok(VoteAnswer::Rejected { reason: in_words(status, &body) }),
            status => Err(unusable(format!("the chain answers {status} to a vote"))),
        }
    }

    #[tracing::instrument(target = TRACE, level = "trace", name = "chain.look", skip_all, fields(otel.kind = "client"))]
    async fn look(&self, vote_id: &str) -> Result<Option<VoteAnswer>, ChainError> {
        let mut url = Url::parse(&format!("{}/api/v1/consensus/vote", self.base_url)).map_err(|error| unusable(error.to_string()))?;
        // As a segment of its own: the id is what the chain once sent, and may be anything.
        url.path_segments_mut().map_err(|()| unusable("the chain's address has no path"))?.push(vote_id);
        let response = http::send("chain", self.client.get(url)).await.map_err(|error| unusable(plain(&error)))?;
        let status = response.status();
        let body = http::body(response).await.map_err(unusable)?;
        match status {
            StatusCode::OK => answer(&body, Some(vote_id)).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(unusable(format!("the chain answers {status} when it is asked about a vote"))),
        }
    }
}

fn in_words(status: StatusCode, body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(300).collect();
    format!("{status}: {text}")
}

/// What the chain says of a vote that it has; `asked` is the id it has to be about.
fn answer(body: &[u8], asked: Option<&str>) -> Result<VoteAnswer, ChainError> {
    let VoteReply { vote_id, status } = serde_json::from_slice(body).map_err(|error| unusable(format!("the answer to a vote: {error}")))?;
    if vote_id.is_empty() || vote_id.len() > VOTE_ID_BYTES_MAX {
        return Err(unusable("the answer to a vote has no usable vote_id"));
    }
    if asked.is_some_and(|asked| asked != vote_id) {
        return Err(unusable(format!("the chain was asked about vote {} and answers about another", asked.unwrap_or_default())));
    }
    // A word that nobody knows promises nothing: the chain is asked again.
    Ok(match status.to_ascii_lowercase().as_str() {
        "" | "accepted" | "ok" | "success" | "recorded" | "counted" | "included" | "confirmed" | "final" | "finalized" => {
            VoteAnswer::Accepted { vote_id, status }
        }
        "rejected" | "refused" | "invalid" | "failed" | "error" => VoteAnswer::Rejected { reason: format!("the chain says {status}") },
        _ => VoteAnswer::Undecided { vote_id, status: status.chars().filter(|c| !c.is_control()).take(100).collect() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_word_decides_a_vote() {
        let of = |status: &str| answer(format!(r#"{{"vote_id":"v-1","status":"{status}"}}"#).as_bytes(), Some("v-1")).unwrap();
        assert!(matches!(of("Accepted"), VoteAnswer::Accepted { .. }));
        assert!(matches!(of("rejected"), VoteAnswer::Rejected { .. }));
        assert!(matches!(of("pending"), VoteAnswer::Undecided { .. }));
        assert!(matches!(of("what is this"), VoteAnswer::Undecided { .. }));
        assert!(matches!(answer(br#"{"vote_id":"v-1"}"#, None), Ok(VoteAnswer::Accepted { .. })));
    }

    #[test]
    fn an_answer_about_another_vote_or_about_none_decides_nothing() {
        for body in [r#"{"vote_id":"v-2","status":"accepted"}"#, r#"{"vote_id":"","status":"accepted"}"#, "<html>", "{}"] {
            assert!(answer(body.as_bytes(), Some("v-1")).is_err(), "{body}");
        }
    }
}
