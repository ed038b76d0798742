//! TRON addresses: Base58Check of 21 bytes, the first of which is 0x41.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const ADDRESS_CHARS: usize = 34;
const PAYLOAD_BYTES: usize = 21;
const CHECKSUM_BYTES: usize = 4;
const DECODED_BYTES: usize = PAYLOAD_BYTES + CHECKSUM_BYTES;
/// First byte of every address of the main and the test networks.
const VERSION: u8 = 0x41;

/// What is wrong with a wallet address.
pub fn fault(address: &str) -> Option<&'static str> {
    if address.len() != ADDRESS_CHARS {
        return Some("wallet-address must have 34 characters");
    }
    let Some(decoded) = base58_decode(address.as_bytes()) else {
        return Some("wallet-address is not Base58");
    };
    let Some((payload, checksum)) = decoded.split_first_chunk::<PAYLOAD_BYTES>() else {
        return Some("wallet-address is not Base58");
    };
    let digest = Sha256::digest(Sha256::digest(payload));
    if !digest.starts_with(checksum) {
        return Some("wallet-address has a wrong checksum");
    }
    let [version, account @ ..] = payload;
    if *version != VERSION {
        return Some("wallet-address is not a TRON address: its first byte is not 0x41");
    }
    if account.iter().all(|byte| *byte == 0) {
        return Some("wallet-address is the zero address");
    }
    None
}

/// The number the text stands for, as exactly 25 bytes; `None` if a character is not Base58 or it does not fit.
fn base58_decode(text: &[u8]) -> Option<[u8; DECODED_BYTES]> {
    let mut bytes = [0_u8; DECODED_BYTES];
    for character in text {
        let mut carry = ALPHABET.iter().position(|known| known == character)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * ALPHABET.len();
            [*byte, ..] = carry.to_le_bytes();
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_vectors_is_judged_as_they_say() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../tests/tron-addresses.json")).unwrap();
        let vectors = vectors.as_array().unwrap();
        assert!(vectors.len() >= 10);
        for vector in vectors {
            let address = vector["address"].as_str().unwrap();
            let payable = vector["valid"].as_bool().unwrap() && vector["name"] != "zero_payload";
            assert_eq!(fault(address).is_none(), payable, "{}: {:?}", vector["name"], fault(address));
        }
    }

    #[test]
    fn the_zero_address_is_refused_although_its_checksum_is_right() {
        assert_eq!(fault("T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb"), Some("wallet-address is the zero address"));
    }

    #[test]
    fn a_bitcoin_address_is_refused_for_its_version_or_checksum() {
        assert_eq!(fault("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"), Some("wallet-address is not a TRON address: its first byte is not 0x41"));
    }

    #[test]
    fn the_largest_text_of_the_right_length_fits_and_a_longer_one_does_not() {
        assert_eq!(fault(&"z".repeat(34)), Some("wallet-address has a wrong checksum"));
        assert_eq!(base58_decode(&[b'z'; 35]), None);
        assert_eq!(fault(&"é".repeat(17)), Some("wallet-address is not Base58"));
    }
}
