//! What the service does with clients that are slow, greedy, many or unclear.

mod bodies;
mod connections;
mod heads;
mod labels;
mod negotiation;
mod shutdown;
mod tls;
