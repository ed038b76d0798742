//! Talks to the payment service, the blockchain and the gateway.
