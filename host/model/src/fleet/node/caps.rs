//! How many live nodes may share an owner, an address, a network, a wallet.

use std::net::{IpAddr, Ipv6Addr};

/// The network that addresses are counted by: `/24` of an IPv4 address, `/64` of an IPv6 one, since
/// whoever has one address of such a network usually has them all.
pub fn network_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Most live nodes that may share something; 0 = no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeCaps {
    /// One owner.
    pub per_owner: u64,
    /// One IPv4 address.
    pub per_ipv4: u64,
    /// One IPv4 `/24`.
    pub per_ipv4_24: u64,
    /// One IPv6 `/64`.
    pub per_ipv6_64: u64,
    /// One payee address.
    pub per_wallet: u64,
}

/// Live nodes that share something with a newcomer, itself not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SiblingCounts {
    /// Of the same owner.
    pub same_owner: u64,
    /// At the same address.
    pub same_ip: u64,
    /// In the same network ([`network_of`]).
    pub same_network: u64,
    /// With the same payee address.
    pub same_wallet: u64,
}

/// A cap that one more node would go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapReached {
    /// Which cap.
    pub what: &'static str,
    /// How much it is.
    pub limit: u64,
}

impl NodeCaps {
    /// The first cap that a newcomer at `ip` with these siblings would go over.
    pub fn reached(&self, ip: Option<IpAddr>, siblings: &SiblingCounts) -> Option<CapReached> {
        let v4 = ip.is_some_and(|ip| ip.to_canonical().is_ipv4());
        let v6 = ip.is_some() && !v4;
        let checks = [
            ("nodes of one owner", true, siblings.same_owner, self.per_owner),
            ("nodes at one IPv4 address", v4, siblings.same_ip, self.per_ipv4),
            ("nodes in one IPv4 /24", v4, siblings.same_network, self.per_ipv4_24),
            ("nodes in one IPv6 /64", v6, siblings.same_network, self.per_ipv6_64),
            ("nodes with one wallet", true, siblings.same_wallet, self.per_wallet),
        ];
        let over = checks
            .into_iter()
            .find(|(_, applies, count, limit)| *applies && *limit > 0 && count >= limit);
        over.map(|(what, _, _, limit)| CapReached { what, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_count_the_address_or_its_network() {
        let caps =
            NodeCaps { per_owner: 0, per_ipv4: 2, per_ipv4_24: 3, per_ipv6_64: 1, per_wallet: 5 };
        let v4: IpAddr = "192.0.2.77".parse().unwrap();
        let v6: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(
            (network_of(v4), network_of(v6)),
            ("192.0.2.0/24".into(), "2001:db8:1:2::/64".into())
        );
        assert_eq!(
            network_of("::ffff:192.0.2.9".parse().unwrap()),
            network_of(v4),
            "the same host in the other spelling"
        );
        let of = |same_owner, same_ip, same_network, same_wallet| SiblingCounts {
            same_owner,
            same_ip,
            same_network,
            same_wallet,
        };
        let what = |ip, siblings| caps.reached(ip, &siblings).map(|cap| cap.what);
        assert_eq!(what(Some(v4), of(1_000, 1, 2, 4)), None);
        assert_eq!(what(Some(v4), of(0, 2, 2, 0)), Some("nodes at one IPv4 address"));
        assert_eq!(what(Some(v4), of(0, 0, 3, 0)), Some("nodes in one IPv4 /24"));
        assert_eq!(what(Some(v6), of(0, 9, 1, 0)), Some("nodes in one IPv6 /64"));
        assert_eq!(what(None, of(0, 0, 0, 5)), Some("nodes with one wallet"));
    }
}
