//! The node's Ed25519 key: made once, readable by its owner alone.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use ed25519_dalek::SigningKey;

use crate::{AgentError, disk::durable_rename, disk::failed};

/// Its file.
const FILE: &str = "agent.key";

/// Reads the key of a directory, or makes one.
pub(crate) fn load_or_create(dir: &Path) -> Result<SigningKey, AgentError> {
    let path = dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let mut bytes = [0; 32];
            hex::decode_to_slice(text.trim(), &mut bytes)
                .map_err(|_| failed(&path, "not 64 hex digits"))?;
            Ok(SigningKey::from_bytes(&bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|_| AgentError::Entropy)?;
            let beside = dir.join("agent.key.new");
            write_private(&beside, hex::encode(bytes).as_bytes())
                .map_err(|error| failed(&beside, error))?;
            durable_rename(&beside, &path).map_err(|error| failed(&path, error))?;
            Ok(SigningKey::from_bytes(&bytes))
        }
        Err(error) => Err(failed(&path, error)),
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that a killed run left behind may have other permissions.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = load_or_create(dir.path()).unwrap();
        assert_eq!(load_or_create(dir.path()).unwrap().to_bytes(), key.to_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        fs::write(dir.path().join(FILE), "short").unwrap();
        assert!(load_or_create(dir.path()).is_err());
    }
}
