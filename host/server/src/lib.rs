//! The HTTP API: routes, authentication, limits, errors, OpenAPI.

mod accepted;
pub mod access;
mod api;
mod authenticate;
mod client;
mod errors;
mod etag;
mod extract;
mod gatekeeper;
mod idempotency;
mod limits;
mod openapi;
mod routes;
mod serve;

pub use api::{Api, ApiLimits, elsewhere};
pub use authenticate::{Authenticator, KeyringSettings, RoleMap, RoleMapError, SECRET_BYTES_MIN, TokenError, TokenSettings, issue_token};
pub use serve::{ConnectionLimits, Edge, EdgeError, EdgeSettings, HeadLimits, TlsFiles, serve};
