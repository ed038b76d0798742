//! Signatures over bundles: what is signed, and what a list of trusted keys makes of it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use super::Bundle;
use crate::{
    canonical::Canonical,
    fleet::{node::PublicKey, statement},
    id::Digest,
};

/// Most signatures of a bundle.
pub const SIGNATURES_MAX: usize = 16;

/// The short name of a key: the first eight bytes of its SHA-256, in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// A key's.
    pub fn of(key: PublicKey) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = Digest::of(&key.0).0;
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Not 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 16 hex digits: the first 8 bytes of the SHA-256 of a public key")]
pub struct NotAKeyId;

impl FromStr for KeyId {
    type Err = NotAKeyId;
    fn from_str(text: &str) -> Result<Self, NotAKeyId> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| NotAKeyId)
    }
}

/// Somebody's signature over a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleSignature {
    pub key: KeyId,
    /// Ed25519 over [`Bundle::statement`].
    pub signature: [u8; 64],
}

impl Bundle {
    /// What stands for everything that is signed: manifest, component and golden cases.
    pub fn content_digest(&self) -> Digest {
        let start = Canonical::tagged("lucid/v1/bundle-content")
            .text(&self.manifest)
            .fixed(&Digest::of(&self.component).0);
        let count = u64::try_from(self.golden.len()).unwrap_or(u64::MAX);
        let mut golden: Vec<_> = self.golden.iter().collect();
        // By name: a folder, an archive and a request may have them in different orders.
        golden.sort_unstable();
        Digest::of(
            &golden
                .into_iter()
                .fold(start.u64(count), |bytes, (name, case)| bytes.text(name).text(case))
                .finish(),
        )
    }

    /// The bytes that are signed.
    pub fn statement(&self) -> Vec<u8> {
        Canonical::tagged("lucid/v1/bundle-signature").fixed(&self.content_digest().0).finish()
    }

    /// Adds signatures; of one key the newer stays.
    pub fn add_signatures(&mut self, others: &[BundleSignature]) {
        for other in others {
            self.signatures.retain(|known| known.key != other.key);
            self.signatures.push(other.clone());
        }
        self.signatures.sort_unstable();
    }
}

/// A key whose signatures count, and what its owner is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// For people.
    pub name: String,
    pub key: PublicKey,
}

/// Whose bundles are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustList {
    /// Keys, no two of them alike.
    pub keys: Vec<TrustedKey>,
    /// Whether a bundle needs a signature of one of them.
    pub required: bool,
    /// SHA-256 of manifests that need none: those compiled into the binary. A manifest names its
    /// component's digest.
    pub built_in: Vec<Digest>,
}

/// Who stands for a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signers {
    /// Names of trusted keys whose signatures hold.
    pub trusted: Vec<String>,
    /// Keys that nobody here knows.
    pub unknown: Vec<KeyId>,
}

/// Why a bundle's signatures are not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A trusted key did not sign this.
    #[error(
        "the signature of {name} (key {key}) is not over this bundle: it was changed after it was signed, or the signature was copied from another"
    )]
    Wrong {
        /// Whose it pretends to be.
        name: String,
        key: KeyId,
    },
    /// Two signatures of one key.
    #[error("key {0} has more than one signature")]
    Twice(KeyId),
    /// More than allowed.
    #[error("it has {0} signatures, more than {SIGNATURES_MAX}")]
    TooMany(usize),
    /// Nobody trusted signed.
    #[error(
        "the bundle is not signed, and this service takes only signed ones: sign it with `lucid policy sign BUNDLE --key FILE` and name the public key in policies.trusted_keys"
    )]
    Unsigned,
    /// Only strangers signed.
    #[error(
        "it is signed by {}, which {} not trusted here: name the public key in policies.trusted_keys, or have it signed by {trusted}",
        named(keys),
        if keys.len() == 1 { "is" } else { "are" }
    )]
    NotTrusted {
        /// Their keys.
        keys: Vec<KeyId>,
        /// Who is trusted, for people.
        trusted: String,
    },
}

/// Keys, for people.
fn named(keys: &[KeyId]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("key {key}")).collect();
    keys.join(", ")
}

impl TrustList {
    /// Who stands for a bundle. A wrong signature is refused even where none is asked for.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn judge(&self, bundle: &Bundle) -> Result<Signers, SignatureError> {
        if bundle.signatures.len() > SIGNATURES_MAX {
            return Err(SignatureError::TooMany(bundle.signatures.len()));
        }
        let statement = bundle.statement();
        let (mut signers, mut seen) = (Signers::default(), BTreeSet::new());
        for BundleSignature { key, signature } in &bundle.signatures {
            if !seen.insert(key) {
                return Err(SignatureError::Twice(*key));
            }
            match self.keys.iter().find(|trusted| KeyId::of(trusted.key) == *key) {
                None => signers.unknown.push(*key),
                Some(trusted) if statement::verify(trusted.key, &statement, signature) => {
                    signers.trusted.push(trusted.name.clone())
                }
                Some(trusted) => {
                    return Err(SignatureError::Wrong { name: trusted.name.clone(), key: *key });
                }
            }
        }
        signers.trusted.sort_unstable();
        if !self.required
            || !signers.trusted.is_empty()
            || self.built_in.contains(&Digest::of(bundle.manifest.as_bytes()))
        {
            return Ok(signers);
        }
        if signers.unknown.is_empty() {
            return Err(SignatureError::Unsigned);
        }
        let names: Vec<_> = self.keys.iter().map(|key| key.name.as_str()).collect();
        let trusted = if names.is_empty() {
            "somebody who is named there".to_owned()
        } else {
            names.join(" or ")
        };
        Err(SignatureError::NotTrusted { keys: signers.unknown, trusted })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn bundle() -> Bundle {
        let golden =
            vec![("b.json".to_owned(), "{}".to_owned()), ("a.json".to_owned(), "[]".to_owned())];
        Bundle {
            manifest: "name = 'x'".into(),
            component: vec![0, 97],
            golden,
            signatures: Vec::new(),
        }
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> PublicKey {
        PublicKey(key(seed).verifying_key().to_bytes())
    }

    fn signed(mut bundle: Bundle, seeds: &[u8]) -> Bundle {
        for seed in seeds {
            let signature = key(*seed).sign(&bundle.statement()).to_bytes();
            bundle.add_signatures(&[BundleSignature { key: KeyId::of(public(*seed)), signature }]);
        }
        bundle
    }

    fn trusting(names: &[(&str, u8)], required: bool) -> TrustList {
        let keys = names
            .iter()
            .map(|(name, seed)| TrustedKey { name: (*name).into(), key: public(*seed) })
            .collect();
        TrustList { keys, required, built_in: Vec::new() }
    }

    #[test]
    fn what_is_signed_never_changes() {
        assert_eq!(
            bundle().content_digest().to_string(),
            "a71a6d80b9f12228e13e4c48c6fa9cbfd14f8fa1a29e9a103a81f787a808ad16"
        );
        let mut other_order = bundle();
        other_order.golden.reverse();
        assert_eq!(other_order.statement(), bundle().statement());
    }

    #[test]
    fn every_part_of_a_bundle_is_signed() {
        let trust = trusting(&[("alice", 1)], true);
        let good = signed(bundle(), &[1]);
        assert_eq!(trust.judge(&good).unwrap().trusted, ["alice"]);
        let changes: [fn(&mut Bundle); 5] = [
            |b| b.manifest.push('\n'),
            |b| b.component.push(0),
            |b| b.golden[0].1.push(' '),
            |b| b.golden[0].0.push('x'),
            |b| {
                b.golden.pop();
            },
        ];
        for change in changes {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(
                matches!(trust.judge(&changed), Err(SignatureError::Wrong { name, .. }) if name == "alice")
            );
        }
    }

    #[test]
    fn an_unsigned_bundle_is_taken_only_where_none_is_asked_for_or_if_it_is_built_in() {
        let mut trust = trusting(&[("alice", 1)], true);
        assert_eq!(trust.judge(&bundle()), Err(SignatureError::Unsigned));
        trust.built_in.push(Digest::of(bundle().manifest.as_bytes()));
        assert_eq!(trust.judge(&bundle()), Ok(Signers::default()));
        assert_eq!(trusting(&[], false).judge(&bundle()), Ok(Signers::default()));
    }

    #[test]
    fn a_stranger_is_told_and_counts_for_nothing() {
        let by_stranger = signed(bundle(), &[2]);
        let error = trusting(&[("alice", 1), ("bob", 3)], true)
            .judge(&by_stranger)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&KeyId::of(public(2)).to_string()) && error.contains("alice or bob"),
            "{error}"
        );
        let signers = trusting(&[("alice", 1)], false).judge(&by_stranger).unwrap();
        assert_eq!((signers.trusted.len(), signers.unknown), (0, vec![KeyId::of(public(2))]));
    }

    #[test]
    fn a_wrong_signature_is_refused_even_where_none_is_asked_for() {
        let mut copied = bundle();
        copied.signatures =
            signed(Bundle { manifest: "name = 'y'".into(), ..bundle() }, &[1]).signatures;
        assert!(matches!(
            trusting(&[("alice", 1)], false).judge(&copied),
            Err(SignatureError::Wrong { .. })
        ));
        let mut twice = signed(bundle(), &[1]);
        twice.signatures.push(twice.signatures[0].clone());
        assert!(matches!(
            trusting(&[("alice", 1)], false).judge(&twice),
            Err(SignatureError::Twice(_))
        ));
    }

    #[test]
    fn two_people_are_two_names() {
        let trust = trusting(&[("bob", 3), ("alice", 1)], true);
        assert_eq!(trust.judge(&signed(bundle(), &[3, 1, 3])).unwrap().trusted, ["alice", "bob"]);
    }
}
