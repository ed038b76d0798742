//! TRON addresses: 0x41 and 20 bytes (TRON protocol, "Account address format"), read as Base58Check
//! or as hex, always written as Base58Check.

use std::{fmt, str::FromStr};

/// Version byte of a mainnet address.
const VERSION: u8 = 0x41;
/// Bytes of an address: the version byte and the payload.
const ADDRESS_BYTES: usize = 21;
/// USDT itself on mainnet, `TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t`: a contract keeps what it is sent.
const TOKEN_CONTRACTS: [[u8; 20]; 1] = [[
    0xa6, 0x14, 0xf8, 0x03, 0xb6, 0xfd, 0x78, 0x09, 0x86, 0xa4, 0x2c, 0x78, 0xec, 0x9c, 0x7f, 0x77,
    0xe6, 0xde, 0xd1, 0x3c,
]];
/// Addresses without a key, used to destroy coins: the zero address, and TRON's black hole,
/// `TLsV52sRDL79HXGGm9yzwKibb6BeruhUzy`.
const BURN_ADDRESSES: [[u8; 20]; 2] = [
    [0; 20],
    [
        0x77, 0x94, 0x4d, 0x19, 0xc0, 0x52, 0xb7, 0x3e, 0xe2, 0x28, 0x68, 0x23, 0xaa, 0x83, 0xf8,
        0x13, 0x8c, 0xb7, 0x03, 0x2f,
    ],
];

/// Why a text is not an address that can be paid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither 34 characters nor 42 hex digits.
    #[error("a TRON address has 34 characters (T…), or 42 hex digits (41…)")]
    Length,
    /// Characters or checksum are wrong: a typing error, most likely.
    #[error("not a TRON address: wrong characters or checksum")]
    Checksum,
    /// Another chain's address.
    #[error("not a TRON mainnet address: wrong version byte")]
    Version,
    /// Nobody has its key: coins sent there are destroyed.
    #[error("a burn address cannot be paid: nobody has its key")]
    Burn,
    /// A token contract keeps what it is sent.
    #[error("a token contract cannot be paid")]
    TokenContract,
}

/// A checked address of a payee.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TronAddress([u8; 20]);

impl TronAddress {
    /// The address of 20 bytes: the last ones of a Keccak-256 hash of a public key. None if it
    /// cannot be paid.
    pub fn from_payload(payload: [u8; 20]) -> Option<Self> {
        Self(payload).payable().ok()
    }

    /// The address of a stored record: one that was accepted by earlier rules stays readable.
    ///
    /// # Errors
    /// [`AddressError`] if it is no address at all.
    pub fn from_record(text: &str) -> Result<Self, AddressError> {
        let bytes: [u8; ADDRESS_BYTES] =
            decoded(text)?.try_into().map_err(|_| AddressError::Checksum)?;
        let [version, payload @ ..] = bytes;
        if version == VERSION { Ok(Self(payload)) } else { Err(AddressError::Version) }
    }

    /// Whether money may be sent to it: always, but for addresses that only a record of earlier
    /// rules has.
    pub fn is_payable(self) -> bool {
        self.payable().is_ok()
    }

    fn payable(self) -> Result<Self, AddressError> {
        let Self(payload) = self;
        if BURN_ADDRESSES.contains(&payload) {
            return Err(AddressError::Burn);
        }
        if TOKEN_CONTRACTS.contains(&payload) {
            return Err(AddressError::TokenContract);
        }
        Ok(self)
    }
}

/// The bytes of either form. Base58Check has a checksum; hex has none, as in TRON's own APIs.
fn decoded(text: &str) -> Result<Vec<u8>, AddressError> {
    match text.len() {
        34 => bs58::decode(text).with_check(None).into_vec().map_err(|_| AddressError::Checksum),
        42 => hex::decode(text).map_err(|_| AddressError::Length),
        _ => Err(AddressError::Length),
    }
}

impl FromStr for TronAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::from_record(text)?.payable()
    }
}

impl fmt::Display for TronAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [VERSION; ADDRESS_BYTES];
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
    fn a_hex_address_is_the_same_address_and_is_written_as_base58() {
        for (hex, base58) in [
            ("417e5f4552091a69125d5dfcb7b8c2659029395bdf", "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"),
            ("417E5F4552091A69125D5DFCB7B8C2659029395BDF", "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"),
            ("4180c0dbf239224071c59dd8970ab9d542e3414ab2", "TMhzXhj5o7aG14eMHn2htGe7ek39hiriPN"),
            ("410000000000000000000000000000000000000001", "T9yD14Nj9j7xAB4dbGeiX9h8unkKLxmGkn"),
        ] {
            let address: TronAddress = hex.parse().unwrap();
            assert_eq!(
                (address, address.to_string()),
                (base58.parse().unwrap(), base58.to_owned()),
                "{hex}"
            );
        }
    }

    #[test]
    fn only_addresses_that_can_be_paid_are_addresses() {
        for good in [
            "TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC",
            "TMhzXhj5o7aG14eMHn2htGe7ek39hiriPN",
            "TWAFRfZFmhVQZjxM3De7Mp5UZ9sLqWqpHp",
        ] {
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
            ("T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb", AddressError::Burn),
            ("410000000000000000000000000000000000000000", AddressError::Burn),
            ("TLsV52sRDL79HXGGm9yzwKibb6BeruhUzy", AddressError::Burn),
            ("4177944d19c052b73ee2286823aa83f8138cb7032f", AddressError::Burn),
            ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", AddressError::TokenContract),
            ("41a614f803b6fd780986a42c78ec9c7f77e6ded13c", AddressError::TokenContract),
            ("407e5f4552091a69125d5dfcb7b8c2659029395bdf", AddressError::Version),
            ("417e5f4552091a69125d5dfcb7b8c2659029395bdg", AddressError::Length),
            ("0x417e5f4552091a69125d5dfcb7b8c2659029395b", AddressError::Length),
            ("417e5f4552091a69125d5dfcb7b8c2659029395bd", AddressError::Length),
            ("417e5f4552091a69125d5dfcb7b8c2659029395bdf\n", AddressError::Length),
        ] {
            assert_eq!(bad.parse::<TronAddress>(), Err(why), "{bad:?}");
        }
        assert_eq!(TronAddress::from_payload([0; 20]), None);
    }

    #[test]
    fn a_record_of_an_address_that_is_refused_today_stays_readable_and_is_not_payable() {
        for (text, payable) in [
            ("TLsV52sRDL79HXGGm9yzwKibb6BeruhUzy", false),
            ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", false),
            ("TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC", true),
        ] {
            let address = TronAddress::from_record(text).unwrap();
            assert_eq!((address.to_string(), address.is_payable()), (text.to_owned(), payable));
        }
        assert_eq!(
            TronAddress::from_record("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"),
            Err(AddressError::Version)
        );
    }
}
