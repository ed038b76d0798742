use std::time::Duration;

use lucid_model::id::NodeId;
use serde_json::{Map, Value};

use lucid_api_types::error::{CODE_PREFIX, DETAIL_HIGHEST_SEQUENCE, DETAIL_NODE_ID};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be made from this address.
    #[error("cannot make a client for {base_url}: {detail}")]
    Setup {
        /// The address.
        base_url: String,
        /// Why.
        detail: String,
    },
    /// No answer came; whether the request arrived is unknown.
    #[error("no answer from the service")]
    Transport(#[source] reqwest::Error),
    /// The service refused.
    #[error("{code} ({status}): {message}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// `LUCID_ERR_…`; empty if the answer was not the service's.
        code: String,
        /// For people.
        message: String,
        /// What else was said, by name.
        details: Map<String, Value>,
        /// Seconds to wait, if the service said so.
        retry_after_s: Option<u64>,
    },
    /// The answer is not what the API says.
    #[error("the answer is not what was expected")]
    Decode(#[source] serde_json::Error),
}

impl ClientError {
    pub(crate) fn setup(base_url: &str, detail: impl Into<String>) -> Self {
        Self::Setup { base_url: base_url.to_owned(), detail: detail.into() }
    }
    /// Whether this is the service's own word on the request. A proxy's page, a redirect or an
    /// answer in another form says nothing about it.
    pub fn is_the_services(&self) -> bool {
        self.code().starts_with(CODE_PREFIX)
    }
    /// Whether the same request may succeed later: no answer came, or the service is overloaded or
    /// unwell.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Api { status, .. } => matches!(status, 408 | 429) || *status >= 500,
            Self::Setup { .. } | Self::Decode(_) => false,
        }
    }
    /// How long the service asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after_s, .. } => retry_after_s.map(Duration::from_secs),
            _ => None,
        }
    }
    /// The HTTP status, if the service answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }
    /// The stable code; empty if the service did not answer.
    pub fn code(&self) -> &str {
        match self {
            Self::Api { code, .. } => code,
            _ => "",
        }
    }
    /// The node that has the key already, if that is what it complained about.
    pub fn existing_node(&self) -> Option<NodeId> {
        match self {
            Self::Api { status: 409, details, .. } => {
                details.get(DETAIL_NODE_ID)?.as_str()?.parse().ok()
            }
            _ => None,
        }
    }
    /// The highest sequence number the service has of the node, if that is what it complained
    /// about.
    pub fn highest_sequence(&self) -> Option<u64> {
        match self {
            Self::Api { status: 409, details, .. } => {
                details.get(DETAIL_HIGHEST_SEQUENCE)?.as_u64()
            }
            _ => None,
        }
    }
}
