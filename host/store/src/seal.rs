//! Seals secrets that a store keeps: ChaCha20-Poly1305 with a key from outside the store, bound to
//! the record that holds the secret.

use std::{collections::BTreeSet, fmt};

use lucid_ports::{Seal, SealError, SealNonce, Sealer};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};

/// Begins what is sealed; what an older version kept in clear begins otherwise.
const PREFIX: &str = "lucid-sealed:1:";
/// Bytes of a key.
pub const SEAL_KEY_BYTES: usize = 32;
/// Most keys at once: one that seals, and earlier ones that only open.
const KEYS_MAX: usize = 8;

/// Why a text is no list of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealKeyError {
    /// There is none.
    #[error("holds no key: write one line of 64 hex digits")]
    Empty,
    /// A line is no key.
    #[error("line {line} is not a key of 64 hex digits")]
    NotAKey {
        /// Which, from 1.
        line: usize,
    },
    /// There are too many.
    #[error("holds {found} keys, {KEYS_MAX} at most: remove the last ones")]
    TooMany { found: usize },
}

struct Key {
    /// Tells keys apart, and nothing of them.
    id: String,
    key: LessSafeKey,
}

impl Key {
    fn new(bytes: &[u8; SEAL_KEY_BYTES]) -> Option<Self> {
        let named = digest(&SHA256, &[b"lucid/v1/seal-key\0", &bytes[..]].concat());
        let id = hex::encode(named.as_ref().get(..8)?);
        Some(Self { id, key: LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, bytes).ok()?) })
    }
}

/// Keys by which secrets are sealed: the first one seals, each opens what it sealed.
pub struct SealKeys {
    keys: Vec<Key>,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl SealKeys {
    /// Reads keys in hex, one a line or with commas between them.
    ///
    /// # Errors
    /// [`SealKeyError`]; it repeats nothing of a key.
    pub fn read(text: &str) -> Result<Self, SealKeyError> {
        let lines: Vec<_> = (1..)
            .zip(text.split(['\n', ',']).map(str::trim))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        if lines.len() > KEYS_MAX {
            return Err(SealKeyError::TooMany { found: lines.len() });
        }
        let key = |&(line, text): &(usize, &str)| {
            let mut bytes = [0; SEAL_KEY_BYTES];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| SealKeyError::NotAKey { line })?;
            Key::new(&bytes).ok_or(SealKeyError::NotAKey { line })
        };
        let keys: Vec<_> = lines.iter().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SealKeyError::Empty) } else { Ok(Self { keys }) }
    }

    /// Which key seals.
    pub fn id(&self) -> &str {
        self.keys.first().map_or("", |key| key.id.as_str())
    }

    fn first(&self) -> Result<&Key, SealError> {
        self.keys.first().ok_or(SealError::Unsealable)
    }
}

/// How a store keeps its secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seals {
    /// Ids of the keys that sealed them.
    pub keys: BTreeSet<String>,
    /// How many are in clear.
    pub clear: usize,
}

impl Seals {
    /// Of secrets as they are kept.
    pub fn of<'a>(kept: impl Iterator<Item = &'a str>) -> Self {
        kept.map(key_of).fold(Self::default(), |mut seals, key| {
            match key {
                Some(key) => drop(seals.keys.insert(key.to_owned())),
                None => seals.clear += 1,
            }
            seals
        })
    }
}

/// The id of the key that sealed a kept secret; none: it is in clear.
pub fn key_of(kept: &str) -> Option<&str> {
    kept.strip_prefix(PREFIX)?.split(':').next()
}

impl Sealer for SealKeys {
    fn seal(&self, secret: &str, about: &str, nonce: SealNonce) -> Result<String, SealError> {
        let Key { id, key } = self.first()?;
        let mut bytes = secret.as_bytes().to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(about.as_bytes()),
            &mut bytes,
        )
        .map_err(|_| SealError::Unsealable)?;
        Ok(format!("{PREFIX}{id}:{}{}", hex::encode(nonce), hex::encode(bytes)))
    }

    fn open(&self, kept: &str, about: &str) -> Result<String, SealError> {
        let Some(id) = key_of(kept) else { return Ok(kept.to_owned()) };
        let found = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| SealError::NoKey { key: id.to_owned() })?;
        let sealed = kept
            .rsplit(':')
            .next()
            .and_then(|text| hex::decode(text).ok())
            .ok_or(SealError::Altered)?;
        let (nonce, bytes) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Altered)?;
        let mut bytes = bytes.to_vec();
        let opened = found.key.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(about.as_bytes()),
            &mut bytes,
        );
        let opened = opened.map_err(|_| SealError::Altered)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealError::Altered)
    }

    fn standing(&self, kept: &str) -> Seal {
        match key_of(kept) {
            None => Seal::Clear,
            Some(id) if id == self.id() => Seal::Current,
            Some(id) if self.keys.iter().any(|key| key.id == id) => Seal::Earlier,
            Some(_) => Seal::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(numbers: &[u8]) -> SealKeys {
        SealKeys::read(
            &numbers
                .iter()
                .map(|number| format!("{}\n", hex::encode([*number; SEAL_KEY_BYTES])))
                .collect::<String>(),
        )
        .unwrap()
    }

    #[test]
    fn a_sealed_secret_opens_with_its_key_for_its_record_alone() {
        let sealed = keys(&[1]).seal("lucid_whsec_x", "webhook 1", [7; 12]).unwrap();
        assert!(!sealed.contains("whsec"), "{sealed}");
        assert_eq!(keys(&[1]).open(&sealed, "webhook 1"), Ok("lucid_whsec_x".into()));
        assert_eq!(keys(&[1]).open(&sealed, "webhook 2"), Err(SealError::Altered));
        let other = keys(&[2]).open(&sealed, "webhook 1").unwrap_err();
        assert_eq!(other, SealError::NoKey { key: keys(&[1]).id().to_owned() });
        assert_eq!(
            keys(&[2, 1]).open(&sealed, "webhook 1"),
            Ok("lucid_whsec_x".into()),
            "an earlier key opens"
        );
        let standing = |known: &[u8]| keys(known).standing(&sealed);
        assert_eq!(
            [standing(&[1, 2]), standing(&[2, 1]), standing(&[2])],
            [Seal::Current, Seal::Earlier, Seal::Unknown]
        );
        assert_eq!(
            (keys(&[1]).standing("clear"), keys(&[1]).open("clear", "any")),
            (Seal::Clear, Ok("clear".into()))
        );
    }

    #[test]
    fn a_list_of_keys_says_which_line_is_none() {
        let read = |text: &str| SealKeys::read(text).map(|keys| keys.keys.len());
        let one = hex::encode([1; SEAL_KEY_BYTES]);
        assert_eq!(read(&format!("\n {one} \n\n{one}\n")), Ok(2));
        assert_eq!(
            (read(" \n"), read(&format!("{one}\n{one}0"))),
            (Err(SealKeyError::Empty), Err(SealKeyError::NotAKey { line: 2 }))
        );
        assert_eq!(read(&format!("{one}\n").repeat(9)), Err(SealKeyError::TooMany { found: 9 }));
    }

    proptest! {
        #[test]
        fn every_change_of_a_sealed_secret_is_seen(secret in ".{0,80}", place in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let sealed = keys(&[3]).seal(&secret, "w", [9; 12]).unwrap();
            prop_assert_eq!(keys(&[3]).open(&sealed, "w"), Ok(secret.clone()));
            let mut bytes = sealed.clone().into_bytes();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes)
                && !changed.eq_ignore_ascii_case(&sealed)
            {
                let opened = keys(&[3]).open(&changed, "w");
                prop_assert!(opened.is_err() || opened == Ok(changed), "{:?}", opened);
            }
        }
    }
}
