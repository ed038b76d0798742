//! Secrets that live in files: made once, readable by their owner only, never printed.

pub mod jwt;
pub mod watched;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use lucid_store::SealKeys;

use crate::config::{Config, ConfigError};

/// The file of the key that seals.
const SEAL_KEY: &str = "seal.key";

/// 32 random bytes in hex, kept in `dir/name`.
pub fn secret(dir: &Path, name: &str) -> Result<String> {
    kept(dir, name, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("the operating system has no randomness")?;
        Ok(hex::encode(bytes))
    })
}

/// What `dir/name` says; made now if it is not there.
pub fn kept(dir: &Path, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
    let path = dir.join(name);
    if path.exists() {
        return Ok(fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .trim()
            .to_owned());
    }
    let folder = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create {}", dir.display()))?;
    let text = make()?;
    // Written beside and renamed, so that a crash leaves no half secret behind.
    let draft = dir.join(format!(".{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(text)
}

/// What secrets in the store are sealed with: as configured, or kept in `secrets/seal.key`.
pub fn seal_keys(config: &Config) -> Result<SealKeys> {
    if let Some(keys) = configured_seal_keys(config)? {
        return Ok(keys);
    }
    let dir = config.data_dir().join("secrets");
    let text = secret(&dir, SEAL_KEY)?;
    let path = dir.join(SEAL_KEY);
    Ok(SealKeys::read(&text)
        .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?)
}

/// The keys that the configuration names, if it does.
pub fn configured_seal_keys(config: &Config) -> Result<Option<SealKeys>, ConfigError> {
    let (from, text) = match (&config.store.seal_keys, &config.store.seal_keys_file) {
        (Some(text), _) => ("store.seal_keys (SEAL_KEYS)".to_owned(), text.clone()),
        (None, Some(file)) => {
            let from = format!("store.seal_keys_file {}", file.display());
            let text = fs::read_to_string(file)
                .map_err(|error| ConfigError(format!("{from}: {error}")))?;
            (from, text)
        }
        (None, None) => return Ok(None),
    };
    SealKeys::read(&text).map(Some).map_err(|error| ConfigError(format!("{from}: {error}")))
}

/// The service's own signing key, kept in `dir/service.key`.
pub fn service_key(dir: &Path) -> Result<SigningKey> {
    signing_key(&dir.join("service.key"))
}

/// A signing key, kept in a file.
pub fn signing_key(file: &Path) -> Result<SigningKey> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} names no file, or not in UTF-8", file.display()))?;
    let mut seed = [0; 32];
    let text = secret(file.parent().unwrap_or(Path::new("")), name)?;
    hex::decode_to_slice(text, &mut seed)
        .with_context(|| format!("{} is damaged: a key is 64 hex digits", file.display()))?;
    Ok(SigningKey::from_bytes(&seed))
}
