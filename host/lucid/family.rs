//! Which store belongs to a service: pinned beside its key at its first start, and by
//! `store.family` where that is set. Another store, or an empty one, is never begun with in
//! silence.

use std::path::PathBuf;

use anyhow::Result;
use lucid_model::{id::FamilyId, notifications::event::EventKind};
use lucid_service::Service;
use uuid::Uuid;

use crate::{
    config::{Config, ConfigError},
    secrets,
};

/// The file beside the service's key.
const FILE: &str = "family";

/// Whether the store was there before this start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It was.
    Before,
    /// It is new and empty.
    Now,
}

/// The family that a store has to have, and who says so.
#[derive(Debug, PartialEq, Eq)]
pub struct Pinned {
    family: FamilyId,
    by: String,
    /// What to do to begin a new store all the same.
    undone: String,
}

fn file(config: &Config) -> PathBuf {
    config.data_dir().join("secrets").join(FILE)
}

/// The family that the configuration names.
///
/// # Errors
/// [`ConfigError`] if it is none.
pub fn configured(config: &Config) -> Result<Option<FamilyId>, ConfigError> {
    let Some(text) = config.store.family.as_deref() else { return Ok(None) };
    match Uuid::parse_str(text) {
        Ok(family) if config.is_in_memory() => Err(ConfigError(format!(
            "store.family {family}: a store in memory is another one at each start: unset store.family"
        ))),
        Ok(family) => Ok(Some(FamilyId(family))),
        Err(_) => Err(ConfigError(format!(
            "store.family {text:?} is not a family: take it from `lucid status`"
        ))),
    }
}

/// The family that the store has to have, if anybody says so.
///
/// # Errors
/// [`ConfigError`] if two say different things, or what is pinned cannot be read.
pub fn pinned(config: &Config) -> Result<Option<Pinned>, ConfigError> {
    if config.is_in_memory() {
        return Ok(None);
    }
    let path = file(config);
    let beside_key = match std::fs::read_to_string(&path) {
        Ok(text) => {
            let family = Uuid::parse_str(text.trim());
            Some(family.map_err(|_| {
                ConfigError(format!(
                    "{} is damaged: it holds no family; put it back from a backup of the folder",
                    path.display()
                ))
            })?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(ConfigError(format!("{}: {error}", path.display()))),
    };
    let by_file = beside_key.map(|family| Pinned {
        family: FamilyId(family),
        by: path.display().to_string(),
        undone: format!("remove {}", path.display()),
    });
    let by_setting = configured(config)?.map(|family| Pinned {
        family,
        by: "store.family".into(),
        undone: "unset store.family".into(),
    });
    match (by_setting, by_file) {
        (Some(setting), Some(file)) if setting.family != file.family => Err(ConfigError(format!(
            "store.family is {}, and {} says {}: name the folder (--data) and the family that belong together",
            setting.family.0, file.by, file.family.0
        ))),
        (Some(setting), Some(file)) => Ok(Some(Pinned {
            undone: format!("{} and {}", setting.undone, file.undone),
            ..setting
        })),
        (setting, file) => Ok(setting.or(file)),
    }
}

/// Whether the store that was found is the one that belongs here.
///
/// # Errors
/// [`ConfigError`] if it is another one, or empty.
pub fn check(
    config: &Config,
    pinned: Option<&Pinned>,
    found: Option<FamilyId>,
) -> Result<(), ConfigError> {
    let Some(Pinned { family, by, undone }) = pinned else { return Ok(()) };
    let what = match found {
        Some(found) if found == *family => return Ok(()),
        Some(found) => format!("belongs to family {}", found.0),
        None => "is empty".to_owned(),
    };
    Err(ConfigError(format!(
        "the store {} {what}, and this service's is {} ({by}): name the right store (--data, MONGODB_URI) or restore its last backup; to begin \
         with this one on purpose, {undone}",
        config.store_shown(),
        family.0
    )))
}

/// Pins the family beside the service's key, if it is not.
///
/// # Errors
/// The file cannot be written.
pub fn pin(config: &Config, family: FamilyId) -> Result<()> {
    if config.is_in_memory() {
        return Ok(());
    }
    secrets::kept(&config.data_dir().join("secrets"), FILE, || Ok(family.0.to_string())).map(|_| ())
}

/// Says that the store is new, if it is: who did not expect that has lost one.
pub fn tell(config: &Config, service: &Service, begun: Begun) {
    if begun == Begun::Now {
        let family = service.family();
        tracing::warn!(family = %family.0, store = config.store_shown(), "a new, empty store was created: if there was one, stop and restore it");
        service
            .notifications
            .bus()
            .publish(service.clock.now(), EventKind::StoreCreated { family });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &std::path::Path, family: Option<FamilyId>) -> Config {
        let mut config = Config::default();
        config.store.url = format!("sqlite://{}", dir.display());
        config.store.family = family.map(|family| family.0.to_string());
        config
    }

    #[test]
    fn a_family_is_pinned_once_and_only_its_store_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (mine, other) = (FamilyId(Uuid::now_v7()), FamilyId(Uuid::now_v7()));
        let here = config(dir.path(), None);
        let refused = |config: &Config, found| {
            let pinned = pinned(config)?;
            check(config, pinned.as_ref(), found)
        };
        for found in [None, Some(mine), Some(other)] {
            refused(&here, found).unwrap();
        }
        pin(&here, mine).unwrap();
        pin(&here, other).unwrap();
        refused(&here, Some(mine)).unwrap();
        assert!(refused(&here, None).unwrap_err().0.contains("is empty, and this service's is"));
        let told = refused(&here, Some(other)).unwrap_err().0;
        assert!(
            told.contains(&format!("family {}", other.0)) && told.contains("secrets/family"),
            "{told}"
        );
        // What is set counts where nothing is pinned yet, and has to be the same where something
        // is.
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(
            refused(&config(elsewhere.path(), Some(mine)), None)
                .unwrap_err()
                .0
                .contains("unset store.family")
        );
        refused(&config(dir.path(), Some(mine)), Some(mine)).unwrap();
        assert!(
            refused(&config(dir.path(), Some(other)), Some(other))
                .unwrap_err()
                .0
                .contains("belong together")
        );
    }
}
