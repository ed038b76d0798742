use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// Addresses that begin alike: one address, or a block such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    /// Bits that are the same.
    prefix: u8,
}

/// Why a text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It is none.
    #[error("{text:?} is neither an address nor a block such as 10.0.0.0/8 or fd00::/8")]
    NotANetwork {
        /// What was given.
        text: String,
    },
    /// More bits than an address has.
    #[error("{text:?} has a prefix of more than {most} bits")]
    TooLong {
        /// What was given.
        text: String,
        /// What an address has.
        most: u8,
    },
    /// It is an address within a block, and nobody can tell which of the two is meant.
    #[error("{text:?} has bits after its prefix: write {block}, or the address alone")]
    NotTheFirst {
        /// What was given.
        text: String,
        /// The block.
        block: Network,
    },
}

/// The bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// An address without what comes after a prefix.
fn begin(address: IpAddr, prefix: u8) -> IpAddr {
    let (bits, length) = bits(address);
    let rest = u32::from(length.saturating_sub(prefix));
    let kept = bits.checked_shr(rest).and_then(|kept| kept.checked_shl(rest)).unwrap_or(0);
    match address {
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept).unwrap_or(0).into()),
        IpAddr::V6(_) => IpAddr::V6(kept.into()),
    }
}

impl Network {
    /// Whether an address is in it; an IPv4 address is the same in IPv6's form.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && begin(address, self.prefix) == self.first
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let none = || NetworkError::NotANetwork { text: text.to_owned() };
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) if !prefix.starts_with('+') => {
                (address, Some(prefix.parse::<u16>().map_err(|_| none())?))
            }
            Some(_) => return Err(none()),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| none())?;
        let (_, most) = bits(address);
        let prefix = prefix.map_or(Ok(most), u8::try_from).ok().filter(|prefix| *prefix <= most);
        let prefix = prefix.ok_or_else(|| NetworkError::TooLong { text: text.to_owned(), most })?;
        if begin(address, prefix) != address {
            return Err(NetworkError::NotTheFirst {
                text: text.to_owned(),
                block: Self { first: begin(address, prefix), prefix },
            });
        }
        // IPv4 addresses in IPv6's form are IPv4's.
        Ok(match address.to_canonical() {
            first @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => {
                Self { first, prefix: prefix - 96 }
            }
            _ => Self { first: address, prefix },
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, length) = bits(self.first);
        if self.prefix == length {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.prefix)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_what_begins_alike_and_an_address_itself() {
        for (network, inside, outside) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.1/32", "::ffff:192.0.2.1", "192.0.2.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("2001:db8::/127", "2001:db8::1", "2001:db8::2"),
            ("::/0", "ffff::", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1"),
            ("::1", "::1", "::2"),
        ] {
            assert!(
                holds(network, inside) && !holds(network, outside),
                "{network}: {inside}, {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        let refused = |text: &str| text.parse::<Network>().unwrap_err().to_string();
        for text in [
            "",
            "proxy",
            "10.0.0.1/",
            "10.0.0.0/x",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "/8",
            "10.0.0.0/8/8",
            "fd00::1%eth0/64",
        ] {
            assert!(refused(text).contains("neither an address nor a block"), "{text}");
        }
        assert!(
            refused("10.0.0.0/33").contains("more than 32 bits")
                && refused("::/300").contains("more than 128 bits")
        );
        assert!(refused("10.0.0.1/8").contains("write 10.0.0.0/8, or"));
        for text in ["10.0.0.0/8", "10.0.0.1", "fd00::/8", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
