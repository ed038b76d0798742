//! Bundles: what is in one, and how much of it there may be. A folder and an archive are two forms
//! of the same.

mod archive;
mod folder;
mod format;

use std::path::Path;

use lucid_model::policies::{
    ARCHIVE_BYTES_MAX, Bundle, COMPONENT_BYTES_MAX, GOLDEN_BYTES_MAX, GOLDEN_FILES_MAX,
    GOLDEN_NAME_BYTES_MAX, MANIFEST_BYTES_MAX,
};

pub use self::{
    archive::{pack, unpack},
    folder::{put, write, write_signatures},
    format::NotAnArchive,
};
use crate::BundleError;

/// Says what the bundle is and promises.
pub const MANIFEST_FILE: &str = "policy.toml";
/// The component.
pub const COMPONENT_FILE: &str = "policy.wasm";
/// Holds the golden cases.
pub const GOLDEN_DIR: &str = "golden";

/// Reads a bundle: a folder, or an archive of one (`NAME-VERSION.tar`).
///
/// # Errors
/// [`BundleError`] for a file that is missing, too large, unreadable, or not what a bundle consists
/// of.
pub fn read_bundle(path: &Path) -> Result<Bundle, BundleError> {
    if !path.is_file() {
        return folder::read(path);
    }
    let archive = folder::whole(path, path, ARCHIVE_BYTES_MAX)?;
    unpack(&archive)
        .map_err(|source| BundleError::Archive { path: path.to_owned(), source: Box::new(source) })
}
