//! The two stores of a copy, and what has to be true of them before anything is written.

use std::sync::Arc;

use lucid_ports::{Stamp, StoreError};

use super::{CopyError, Transfer};
use crate::{Backend, OpenError, Stores, without_password};

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

/// The URL of a store, its name without credentials, and its backend.
struct Place {
    url: String,
    name: String,
    backend: &'static dyn Backend,
}

impl Place {
    async fn of(stores: &Stores, url: &str) -> Result<Self, CopyError> {
        let wrong =
            |source| CopyError::Open { place: without_password(url), source: Box::new(source) };
        let backend = stores.of(url).map_err(wrong)?;
        let name = backend.place_of(url).await.map_err(wrong)?;
        Ok(Self { url: url.to_owned(), name, backend })
    }

    fn cannot(&self, source: OpenError) -> CopyError {
        CopyError::Open { place: self.name.clone(), source: Box::new(source) }
    }

    /// Opens a store that is there.
    async fn open(self) -> Result<End, CopyError> {
        let found = self.backend.open_source(&self.url).await;
        match found.map_err(|source| self.cannot(source))? {
            Some(store) => Ok(End { store, place: self.name }),
            None => Err(CopyError::NoStore { place: self.name }),
        }
    }

    /// Opens the target of a copy: a new store, or one with the mark of a copy.
    async fn open_target(self) -> Result<End, CopyError> {
        let cannot = |source| self.cannot(source);
        if let Some(found) = self.backend.occupied(&self.url).await.map_err(cannot)?
            && !self.backend.is_marked(&self.url).await.map_err(cannot)?
        {
            return Err(CopyError::NotEmpty { place: self.name, found });
        }
        let store = self.backend.open_target(&self.url).await.map_err(cannot)?;
        Ok(End { store, place: self.name })
    }
}

async fn both(stores: &Stores, from: &str, to: &str) -> Result<(Place, Place), CopyError> {
    let (from, to) = (Place::of(stores, from).await?, Place::of(stores, to).await?);
    if from.name == to.name {
        return Err(CopyError::SameStore { place: from.name });
    }
    Ok((from, to))
}

async fn stamp_of(end: &End) -> Result<Stamp, CopyError> {
    let stamp = end.store.read_stamp().await.map_err(end.failed("reading the stamp"))?;
    stamp.ok_or_else(|| CopyError::NoStore { place: end.place.clone() })
}

pub(crate) async fn open_to_copy(stores: &Stores, from: &str, to: &str) -> Result<Ends, CopyError> {
    let (from, to) = both(stores, from, to).await?;
    let from = from.open().await?;
    let stamp = stamp_of(&from).await?;
    let to = to.open_target().await?;
    from.store.finish_writing().await.map_err(from.failed("ending what a crash left"))?;
    Ok(Ends { from, to, stamp })
}

pub(crate) async fn open_to_compare(
    stores: &Stores,
    from: &str,
    to: &str,
) -> Result<Ends, CopyError> {
    let (from, to) = both(stores, from, to).await?;
    let (from, to) = (from.open().await?, to.open().await?);
    let stamp = stamp_of(&from).await?;
    let other = stamp_of(&to).await?;
    if stamp != other {
        return Err(CopyError::OtherStamp { from: Box::new(stamp), to: Box::new(other) });
    }
    for end in [&from, &to] {
        end.store.finish_writing().await.map_err(end.failed("ending what a crash left"))?;
    }
    Ok(Ends { from, to, stamp })
}
