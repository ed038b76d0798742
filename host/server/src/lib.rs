//! The HTTP API: routes, authentication, limits, errors, OpenAPI.

mod accepted;
mod api;
mod authenticate;
mod client;
mod errors;
mod extract;
mod openapi;
mod routes;
mod serve;

pub use api::{Api, ApiLimits};
pub use authenticate::{Authenticator, TokenError, TokenSettings, issue_token};
pub use serve::{ConnectionLimits, Edge, EdgeError, EdgeSettings, HeadLimits, TlsFiles, serve};
