//! Talks to the network's other services: the payment service, the blockchain and the gateway.

mod chain;
mod egress;
mod gateway;
mod http;
mod probe;
mod profile;
mod secret;
mod tron_payment;
mod webhook;

pub use chain::{ChainClient, ChainConfig, ChainProfile};
pub use egress::Egress;
pub use gateway::GatewayClient;
pub use http::RailError;
pub use probe::{Probe, Verdict};
pub use profile::{AmountForm, Find, Ids, Profile};
pub use secret::SharedSecret;
pub use tron_payment::{TronPayment, TronPaymentConfig};
pub use webhook::WebhookClient;
