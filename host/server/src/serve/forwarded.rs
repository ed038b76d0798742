//! Whose request it is, when a proxy brings it.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::client::ClientAddress;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The peer; or, if the peer is a trusted proxy, the last address on the way that is not one. Everything left of
/// that one is only a claim.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> ClientAddress {
    let mut client = peer.to_canonical();
    if !trusted.contains(&client) {
        return ClientAddress(client);
    }
    let hops = headers.get_all(X_FORWARDED_FOR).iter().rev();
    for hop in hops.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
        // What cannot be read was not written by a proxy of ours: the nearest known one has to answer for it.
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !trusted.contains(&client) {
            break;
        }
    }
    ClientAddress(client)
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
        let trusted: Vec<IpAddr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(of("203.0.113.9", &["1.1.1.1"], &[]), "203.0.113.9");
        assert_eq!(of("203.0.113.9", &["1.1.1.1"], &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(of("10.0.0.1", &["1.1.1.1"], &["10.0.0.1"]), "1.1.1.1");
    }

    #[test]
    fn what_a_client_wrote_itself_does_not_count() {
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.1.1.1"], &["10.0.0.1"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.1.1.1, 10.0.0.2"], &["10.0.0.1", "10.0.0.2"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, nonsense"], &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.2"], &["10.0.0.1", "10.0.0.2"]), "10.0.0.2");
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
