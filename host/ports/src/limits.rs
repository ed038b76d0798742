use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use async_trait::async_trait;
use lucid_model::id::{NodeId, UserId};

/// What is limited by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitClass {
    /// Everything that role admin does.
    Admin,
    /// What moves money.
    Payouts,
    /// Single PoOT calculations.
    Poot,
    /// Registrations.
    Registrations,
    /// All else.
    Other,
}

impl LimitClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Admin, Self::Payouts, Self::Poot, Self::Registrations, Self::Other];

    /// As in headers, metrics and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Payouts => "payouts",
            Self::Poot => "poot",
            Self::Registrations => "registrations",
            Self::Other => "other",
        }
    }
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// The subject of a token.
    User(UserId),
    /// A node with a token of its own.
    Node(NodeId),
    /// Whoever is at an address; made by [`Party::at`].
    Network(IpAddr),
}

impl Party {
    /// The party of a request nobody vouches for: an IPv4 address, or an IPv6 /64, which is what
    /// one customer is given at least.
    pub fn at(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// What a party has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests that may come at once.
    pub quota: u32,
    /// In which a quota that is used up is whole again.
    pub window: Duration,
    /// Requests left now.
    pub remaining: u32,
    /// Until the quota is whole again; until the next request may come, if none may now.
    pub reset: Duration,
}

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The class has no limit.
    Unlimited,
    /// It may, and this is left.
    Admitted(Allowance),
    /// It may not; the allowance says when to come again.
    Refused(Allowance),
}

/// Counts requests. One that is refused is not counted.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Counts a request. A limiter that cannot count says so in the log and lets the request
    /// through.
    async fn admit(&self, class: LimitClass, party: Party) -> Admission;
    /// Forgets parties whose quotas are whole; answers how many are left.
    async fn forget_idle(&self) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_party_and_a_mapped_address_is_its_ipv4_one() {
        let at = |text: &str| Party::at(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
    }
}
