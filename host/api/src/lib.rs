//! The HTTP API: routes, authentication, limits, errors, OpenAPI.

mod accepted;
pub mod access;
mod api;
mod authenticate;
mod client;
mod deprecated;
mod errors;
mod etag;
mod extract;
mod feed;
mod gatekeeper;
mod idempotency;
mod limits;
mod network;
mod openapi;
mod routes;
mod scraping;
mod serve;
mod streams;
mod strict;
mod uploads;

pub use api::{Api, ApiLimits};
pub use authenticate::{
    Authenticator, KeyringSettings, RoleMap, RoleMapError, RolesClaim, SECRET_BYTES_MIN,
    TokenError, TokenSecrets, TokenSettings, issue_token, issue_token_with,
};
pub use feed::{Feed, FeedItem, Listening, Slice};
pub use network::{Network, NetworkError};
pub use scraping::Scraping;
pub use serve::{
    ConnectionLimits, Edge, EdgeError, EdgeSettings, HeadLimits, Listeners, TlsFiles, serve,
};
pub use streams::Streams;
pub use uploads::Uploads;
