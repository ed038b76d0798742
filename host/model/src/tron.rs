//! TRON addresses: Base58Check of 0x41 and 20 bytes (TRON protocol, "Account address format").

use std::{fmt, str::FromStr};

/// Version byte of a mainnet address.
const VERSION: u8 = 0x41;
/// Contracts that money must never be sent to: USDT itself on mainnet.
const TOKEN_CONTRACTS: [&str; 1] = ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"];

/// Why a text is not an address that can be paid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not 34 characters.
    #[error("a TRON address has 34 characters")]
    Length,
    /// Characters or checksum are wrong: a typing error, most likely.
    #[error("not a TRON address: wrong characters or checksum")]
    Checksum,
    /// Another chain's address.
    #[error("not a TRON mainnet address: wrong version byte")]
    Version,
    /// Nobody has the zero address's key.
    #[error("the zero address cannot be paid")]
    Zero,
    /// A token contract keeps what it is sent.
    #[error("a token contract cannot be paid")]
    TokenContract,
}

/// A checked address of a payee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TronAddress([u8; 20]);

impl TronAddress {
    /// The address of 20 bytes: the last ones of a Keccak-256 hash of a public key. None for the zero address.
    pub fn from_payload(payload: [u8; 20]) -> Option<Self> {
        (payload != [0; 20]).then_some(Self(payload))
    }
}

impl FromStr for TronAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() != 34 {
            return Err(AddressError::Length);
        }
        let bytes = bs58::decode(text).with_check(None).into_vec().map_err(|_| AddressError::Checksum)?;
        let (version, rest) = bytes.split_first().ok_or(AddressError::Checksum)?;
        let payload: [u8; 20] = rest.try_into().map_err(|_| AddressError::Checksum)?;
        if *version != VERSION {
            return Err(AddressError::Version);
        }
        if payload == [0; 20] {
            return Err(AddressError::Zero);
        }
        if TOKEN_CONTRACTS.contains(&text) {
            return Err(AddressError::TokenContract);
        }
        Ok(Self(payload))
    }
}

impl fmt::Display for TronAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [VERSION; 21];
        bytes.iter_mut().skip(1).zip(self.0).for_each(|(to, from)| *to = from);
        f.write_str(&bs58::encode(bytes).with_check().into_string())
    }
}

impl fmt::Debug for TronAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_can_be_paid_are_addresses() {
        for good in ["TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC", "TMhzXhj5o7aG14eMHn2htGe7ek39hiriPN", "TWAFRfZFmhVQZjxM3De7Mp5UZ9sLqWqpHp"] {
            assert_eq!(good.parse::<TronAddress>().unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HD", AddressError::Checksum),
            ("TMVQGM1QAQYVDETCEGRRKTWYYRLXUHK2HC", AddressError::Checksum),
            ("TMVQGm1qAQYVdetCeGRRkTWYYrLXsZA8Vt", AddressError::Checksum),
            ("TMVQGO1qAQYVdetCeGRRkTWYYrLXuHK2HC", AddressError::Checksum),
            ("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC\n", AddressError::Length),
            ("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf", AddressError::Length),
            ("", AddressError::Length),
            ("Sx9oHeiYTE5cpDk7cr67GLEkvM5bCQyVCa", AddressError::Version),
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", AddressError::Version),
            ("T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", AddressError::Zero),
            ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", AddressError::TokenContract),
        ] {
            assert_eq!(bad.parse::<TronAddress>(), Err(why), "{bad:?}");
        }
    }
}
