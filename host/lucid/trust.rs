//! Whose signatures over policies count: the keys of the configuration and of a file beside it.

use std::{collections::BTreeMap, fs, path::Path};

use ed25519_dalek::VerifyingKey;
use lucid_model::{
    fleet::node::PublicKey,
    policies::{TrustList, TrustedKey},
};
use serde::Deserialize;

use crate::{
    builtin,
    config::{ConfigError, Policies},
};

/// Where keys may stand beside the configuration file.
pub const FILE: &str = "policies/trusted-keys.toml";
/// Most keys.
const KEYS_MAX: usize = 64;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trusted_keys: BTreeMap<String, String>,
}

/// The list that the configuration says.
pub fn list(policies: &Policies) -> Result<TrustList, ConfigError> {
    let mut keys = Vec::new();
    add(&mut keys, "policies.trusted_keys", &policies.trusted_keys)?;
    if let Some(file) = &policies.trusted_keys_file {
        add(&mut keys, &file.display().to_string(), &read(file)?)?;
    }
    if keys.len() > KEYS_MAX {
        return Err(ConfigError(format!(
            "policies.trusted_keys: {} keys, more than {KEYS_MAX}",
            keys.len()
        )));
    }
    Ok(TrustList { keys, required: policies.require_signed, built_in: builtin::manifest_digests() })
}

/// How many keys stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// In the configuration itself.
    pub configured: usize,
    /// In the file beside it.
    pub in_file: usize,
}

/// Where the keys of the list come from.
pub fn count(policies: &Policies) -> Result<Counted, ConfigError> {
    let (all, configured) = (list(policies)?.keys.len(), policies.trusted_keys.len());
    Ok(Counted { configured, in_file: all.saturating_sub(configured) })
}

/// The names and keys of a file.
fn read(file: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let wrong = |problem: String| {
        ConfigError(format!("policies.trusted_keys_file {}: {problem}", file.display()))
    };
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    toml::from_str::<File>(&text)
        .map(|file| file.trusted_keys)
        .map_err(|error| wrong(error.to_string().replace('\n', " ")))
}

fn add(
    keys: &mut Vec<TrustedKey>,
    place: &str,
    named: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    for (name, text) in named {
        let wrong = |problem: &str| ConfigError(format!("{place}: {name}: {problem}"));
        if name.trim().is_empty()
            || name.len() > NAME_BYTES_MAX
            || name.chars().any(char::is_control)
        {
            return Err(wrong("a name has 1 to 64 bytes and no control characters"));
        }
        let key = public_key(text).ok_or_else(|| {
            wrong(
                "must be an Ed25519 public key: 64 hex digits, as `lucid policy keygen` shows them",
            )
        })?;
        // Two names for one key would let one person sign as two.
        if let Some(known) = keys.iter().find(|known| known.key == key || known.name == *name) {
            return Err(wrong(&format!("this name or key is there already, as {}", known.name)));
        }
        keys.push(TrustedKey { name: name.clone(), key });
    }
    Ok(())
}

/// A key of its hex digits; weak ones, whose signatures prove nothing, are none.
pub fn public_key(text: &str) -> Option<PublicKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak()).map(|_| PublicKey(bytes))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn hex_of(seed: u8) -> String {
        hex::encode(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes())
    }

    fn policies(keys: &[(&str, String)]) -> Policies {
        let trusted_keys =
            keys.iter().map(|(name, key)| ((*name).to_owned(), key.clone())).collect();
        Policies { trusted_keys, ..Policies::default() }
    }

    #[test]
    fn keys_come_from_the_configuration_and_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.toml");
        fs::write(&file, format!("[trusted_keys]\n\"bob b.\" = \"{}\"\n", hex_of(2))).unwrap();
        let found =
            list(&Policies { trusted_keys_file: Some(file), ..policies(&[("alice", hex_of(1))]) })
                .unwrap();
        assert_eq!(
            found.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(),
            ["alice", "bob b."]
        );
        assert!(found.required && !found.built_in.is_empty());
    }

    #[test]
    fn a_key_that_is_none_or_there_twice_is_named() {
        let problem = |keys: &[(&str, String)]| list(&policies(keys)).unwrap_err().to_string();
        assert!(
            problem(&[("alice", "xyz".into())]).contains("alice: must be an Ed25519 public key")
        );
        assert!(problem(&[("alice", "00".repeat(32))]).contains("alice"), "weak");
        assert!(
            problem(&[("alice", hex_of(1)), ("alias", hex_of(1))])
                .contains("there already, as alias")
        );
        let missing =
            Policies { trusted_keys_file: Some("nowhere.toml".into()), ..Policies::default() };
        assert!(list(&missing).unwrap_err().to_string().contains("nowhere.toml"));
    }
}
