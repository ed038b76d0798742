use std::net::IpAddr;

/// Where a request comes from: the peer's address, or what a trusted proxy says of it. The accept
/// loop puts it into every request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    pub address: IpAddr,
    /// Whether it is a trusted proxy, which does not say for whom it asks.
    pub is_proxy: bool,
}
