//! Whose request it is, when a proxy brings it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use axum::http::HeaderMap;

use crate::{Network, client::ClientAddress};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// A peer that says for whom it asks, and is not trusted, is named once: whoever is behind it is
/// limited together.
static IGNORED: Once = Once::new();

/// The peer; or, if the peer is a trusted proxy, the last address on the way that is not one.
/// Everything left of that one is only a claim.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> ClientAddress {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        if headers.contains_key(X_FORWARDED_FOR) && is_inside(client) {
            IGNORED.call_once(|| ignored(client));
        }
        return ClientAddress { address: client, is_proxy: false };
    }
    let hops = headers.get_all(X_FORWARDED_FOR).iter().rev();
    for hop in hops.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        // What cannot be read was not written by a proxy of ours: the nearest known one has to
        // answer for it.
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    ClientAddress { address: client, is_proxy: is_trusted(client) }
}

/// Whether an address is of a network such as balancers are in: whoever is on the internet can
/// write any header.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn ignored(peer: IpAddr) {
    tracing::warn!(
        %peer,
        "X-Forwarded-For of {peer} is not believed, and everybody behind it shares one limit: if it is your balancer, add it or its block to \
         server.trusted_proxies"
    );
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).address.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(of("203.0.113.9", &["1.1.1.1"], &[]), "203.0.113.9");
        assert_eq!(of("203.0.113.9", &["1.1.1.1"], &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(of("10.0.0.1", &["1.1.1.1"], &["10.0.0.1"]), "1.1.1.1");
    }

    #[test]
    fn a_block_of_proxies_is_believed_and_known_as_proxies() {
        let blocks = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(of("10.9.8.7", &["6.6.6.6, 1.1.1.1, 10.1.2.3"], &blocks), "1.1.1.1");
        assert_eq!(of("fd12::1", &["2001:db8::1, fd00::2"], &blocks), "2001:db8::1");
        assert_eq!(of("11.0.0.1", &["1.1.1.1"], &blocks), "11.0.0.1");
        let trusted: Vec<Network> = blocks.iter().map(|text| text.parse().unwrap()).collect();
        let client = |line: &str| {
            let headers =
                HeaderMap::from_iter([(X_FORWARDED_FOR.parse().unwrap(), line.parse().unwrap())]);
            client("10.0.0.1".parse().unwrap(), &headers, &trusted)
        };
        assert!(
            client("10.0.0.2").is_proxy
                && client("nonsense").is_proxy
                && !client("1.1.1.1").is_proxy
        );
    }

    #[test]
    fn what_a_client_wrote_itself_does_not_count() {
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.1.1.1"], &["10.0.0.1"]), "1.1.1.1");
        assert_eq!(
            of("10.0.0.1", &["6.6.6.6", "1.1.1.1, 10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
            "1.1.1.1"
        );
        assert_eq!(of("10.0.0.1", &["6.6.6.6, nonsense"], &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(
            of("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.2"], &["10.0.0.1", "10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(of("10.0.0.1", &[], &["10.0.0.1"]), "10.0.0.1");
    }

    #[test]
    fn an_address_has_one_form() {
        assert_eq!(of("::ffff:203.0.113.9", &[], &[]), "203.0.113.9");
        assert_eq!(of("::ffff:10.0.0.1", &["::ffff:1.1.1.1"], &["10.0.0.1"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["1.1.1.1:5000"], &["10.0.0.1"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]:5000"], &["10.0.0.1"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]"], &["10.0.0.1"]), "2001:db8::1");
    }
}
