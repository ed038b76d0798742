//! The two stores of a copy, and what has to be true of them before anything is written.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lucid_ports::{Stamp, StoreError};

use super::{CopyError, Transfer};
use crate::{CACHE_MIB, MongoStore, OpenError, SqliteStore, mongo, sqlite, without_password};

/// One of the two stores.
pub(crate) struct End {
    pub(crate) store: Arc<dyn Transfer>,
    /// Where it is, without credentials.
    pub(crate) place: String,
}

impl End {
    /// Says which store failed at what.
    pub(crate) fn failed(&self, what: impl Into<String>) -> impl FnOnce(StoreError) -> CopyError {
        let (place, what) = (self.place.clone(), what.into());
        |source| CopyError::Store { place, what, source }
    }
}

/// Source and target.
pub(crate) struct Ends {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) stamp: Stamp,
}

enum Place {
    Sqlite(PathBuf),
    Mongo { url: String, name: String },
}

impl Place {
    async fn of(url: &str) -> Result<Self, CopyError> {
        let wrong =
            |source| CopyError::Open { place: without_password(url), source: Box::new(source) };
        match url.split_once("://") {
            None | Some((_, "")) => Err(wrong(OpenError::NotAUrl { url: without_password(url) })),
            Some(("sqlite", dir)) => Ok(Self::Sqlite(absolute(Path::new(dir)).map_err(wrong)?)),
            Some(("mongodb" | "mongodb+srv", _)) => Ok(Self::Mongo {
                url: url.to_owned(),
                name: mongo::place_of(url).await.map_err(wrong)?,
            }),
            Some((scheme, _)) => Err(wrong(OpenError::Scheme { scheme: scheme.to_owned() })),
        }
    }

    /// The same for the same store, however its URL is spelled; an alias of a server's name is not
    /// seen through.
    fn name(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite://{}", dir.display()),
            Self::Mongo { name, .. } => name.clone(),
        }
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, OpenError> {
    let unusable = |source| OpenError::Directory { dir: dir.to_owned(), source };
    if dir.exists() {
        dir.canonicalize().map_err(unusable)
    } else {
        std::path::absolute(dir).map_err(unusable)
    }
}

/// Opens a store that is there.
async fn open(place: &Place) -> Result<End, CopyError> {
    let name = place.name();
    let cannot = |source| CopyError::Open { place: name.clone(), source: Box::new(source) };
    let store: Arc<dyn Transfer> = match place {
        Place::Sqlite(dir) if dir.join("core.db").is_file() => {
            Arc::new(SqliteStore::open(dir).map_err(cannot)?)
        }
        Place::Mongo { url, .. } if mongo::occupied(url).await.map_err(cannot)?.is_some() => {
            Arc::new(MongoStore::open(url).await.map_err(cannot)?)
        }
        _ => return Err(CopyError::NoStore { place: name }),
    };
    Ok(End { store, place: name })
}

/// Opens a store that is to be filled: it is new, or has the mark of a copy.
async fn open_target(place: &Place) -> Result<End, CopyError> {
    let name = place.name();
    let cannot = |source| CopyError::Open { place: name.clone(), source: Box::new(source) };
    let occupied = match place {
        Place::Sqlite(dir) => sqlite::occupied(dir).map_err(cannot)?,
        Place::Mongo { url, .. } => mongo::occupied(url).await.map_err(cannot)?,
    };
    if let Some(found) = occupied {
        let marked = match place {
            Place::Sqlite(dir) => sqlite::is_marked(dir).map_err(cannot)?,
            Place::Mongo { url, .. } => mongo::is_marked(url).await.map_err(cannot)?,
        };
        if !marked {
            return Err(CopyError::NotEmpty { place: name, found });
        }
    }
    let store: Arc<dyn Transfer> = match place {
        Place::Sqlite(dir) => Arc::new(SqliteStore::open_marked(dir, CACHE_MIB).map_err(cannot)?),
        Place::Mongo { url, .. } => Arc::new(MongoStore::open_marked(url).await.map_err(cannot)?),
    };
    Ok(End { store, place: name })
}

async fn both(from: &str, to: &str) -> Result<(Place, Place), CopyError> {
    let (from, to) = (Place::of(from).await?, Place::of(to).await?);
    if from.name() == to.name() {
        return Err(CopyError::SameStore { place: from.name() });
    }
    Ok((from, to))
}

async fn stamp_of(end: &End) -> Result<Stamp, CopyError> {
    let stamp = end.store.read_stamp().await.map_err(end.failed("reading the stamp"))?;
    stamp.ok_or_else(|| CopyError::NoStore { place: end.place.clone() })
}

pub(crate) async fn open_to_copy(from: &str, to: &str) -> Result<Ends, CopyError> {
    let (from, to) = both(from, to).await?;
    let from = open(&from).await?;
    let stamp = stamp_of(&from).await?;
    let to = open_target(&to).await?;
    from.store.settle_down().await.map_err(from.failed("ending what a crash left"))?;
    Ok(Ends { from, to, stamp })
}

pub(crate) async fn open_to_compare(from: &str, to: &str) -> Result<Ends, CopyError> {
    let (from, to) = both(from, to).await?;
    let (from, to) = (open(&from).await?, open(&to).await?);
    let stamp = stamp_of(&from).await?;
    let other = stamp_of(&to).await?;
    if stamp != other {
        return Err(CopyError::OtherStamp { from: Box::new(stamp), to: Box::new(other) });
    }
    for end in [&from, &to] {
        end.store.settle_down().await.map_err(end.failed("ending what a crash left"))?;
    }
    Ok(Ends { from, to, stamp })
}
