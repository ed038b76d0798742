//! How requests leave for the network's other services and for webhooks: one client, one choice of
//! proxy, one harmless question that shows what a service is.

mod egress;
pub mod http;
pub mod probe;
mod secret;

pub use egress::Egress;
pub use http::SetupError;
pub use secret::SharedSecret;
