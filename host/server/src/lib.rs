//! The HTTP API: routes, authentication, limits, errors, OpenAPI.

mod api;
mod authenticate;
mod errors;
mod etag;
mod extract;
mod idempotency;
mod openapi;
mod routes;
mod serve;

pub use api::{Api, ApiLimits};
pub use authenticate::{Authenticator, TokenError, TokenSettings, issue_token};
pub use serve::{router, serve};
