//! Bundles: what is in one, and how much of it there may be. A folder and an archive are two forms of the same.

mod archive;
mod folder;
mod format;

use std::path::Path;

use lucid_model::policy::Bundle;

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
/// Largest `policy.toml`.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Largest `policy.wasm`.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest golden case.
pub const GOLDEN_BYTES_MAX: usize = 256 * 1024;
/// Most golden cases.
pub const GOLDEN_FILES_MAX: usize = 256;
/// Longest name of a golden case: what an archive has place for.
pub const GOLDEN_NAME_BYTES_MAX: usize = 100;
/// Largest archive.
pub const ARCHIVE_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Reads a bundle: a folder, or an archive of one (`NAME-VERSION.tar`).
///
/// # Errors
/// [`BundleError`] for a file that is missing, too large, unreadable, or not what a bundle consists of.
pub fn read_bundle(path: &Path) -> Result<Bundle, BundleError> {
    if !path.is_file() {
        return folder::read(path);
    }
    let archive = folder::whole(path, path, ARCHIVE_BYTES_MAX)?;
    unpack(&archive).map_err(|source| BundleError::Archive { path: path.to_owned(), source: Box::new(source) })
}
