//! Who may have the measurements: they show what is in the treasury.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use lucid_model::id::Digest;
use parking_lot::RwLock;

use crate::authenticate::bearer;

/// Where measurements are.
pub const METRICS: &str = "/metrics";

/// Who may have the measurements without being a caller of the API; clones share the token.
#[derive(Debug, Clone)]
pub enum Scraping {
    /// Everybody.
    Open,
    /// Nobody.
    Callers,
    /// Whoever brings the token with this digest: what takes equally long to compare tells nothing
    /// of the token.
    Token(Arc<RwLock<Digest>>),
}

impl Scraping {
    /// For whoever has a token.
    pub fn with_token(token: &str) -> Self {
        Self::Token(Arc::new(RwLock::new(Digest::of(token.as_bytes()))))
    }

    /// From here on another token counts, where one does.
    pub fn replace_token(&self, token: &str) {
        if let Self::Token(digest) = self {
            *digest.write() = Digest::of(token.as_bytes());
        }
    }

    /// Whether a request may have them.
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Open => true,
            Self::Callers => false,
            Self::Token(digest) => {
                let token = headers
                    .get(header::AUTHORIZATION)
                    .and_then(|value| bearer(value.to_str().ok()?));
                token.is_some_and(|token| Digest::of(token.as_bytes()) == *digest.read())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_whole() {
        let with = |authorization: &str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
        };
        let scraping = Scraping::with_token("of the monitoring");
        assert!(
            scraping.admits(&with("Bearer of the monitoring"))
                && scraping.admits(&with("bearer of the monitoring"))
        );
        for other in [
            "Bearer of the",
            "Bearer of the monitoring!",
            "of the monitoring",
            "Basic of the monitoring",
            "Bearer ",
        ] {
            assert!(!scraping.admits(&with(other)), "{other}");
        }
        scraping.replace_token("of tomorrow");
        assert!(
            scraping.admits(&with("Bearer of tomorrow"))
                && !scraping.admits(&with("Bearer of the monitoring"))
        );
        assert!(
            !scraping.admits(&HeaderMap::new())
                && !Scraping::Callers.admits(&HeaderMap::new())
                && Scraping::Open.admits(&HeaderMap::new())
        );
    }
}
