//! Talks to the network's other services: the payment service and the blockchain.

mod chain;
mod http;
mod profile;
mod tron_payment;

pub use chain::ChainClient;
pub use http::RailError;
pub use profile::Profile;
pub use tron_payment::{TronPayment, TronPaymentConfig};
