//! How requests leave for the network's other services and for webhooks: one client, one way out, one way to ask what a
//! service is.

mod egress;
pub mod http;
pub mod probe;
mod secret;

pub use egress::Egress;
pub use http::SetupError;
pub use secret::SharedSecret;
