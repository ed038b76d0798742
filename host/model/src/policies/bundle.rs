//! Bundles: what is in one, and how much of it there may be.

use super::BundleSignature;

/// Largest `policy.toml`, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Largest `policy.wasm`, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest golden case, in bytes.
pub const GOLDEN_BYTES_MAX: usize = 256 * 1024;
/// Most golden cases.
pub const GOLDEN_FILES_MAX: usize = 256;
/// Longest name of a golden case, in bytes: what an archive has place for.
pub const GOLDEN_NAME_BYTES_MAX: usize = 100;
/// Largest archive, in bytes.
pub const ARCHIVE_BYTES_MAX: usize = 48 * 1024 * 1024;

/// A bundle as it was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Text of `policy.toml`.
    pub manifest: String,
    /// Bytes of `policy.wasm`.
    pub component: Vec<u8>,
    /// Golden cases: file name and text.
    pub golden: Vec<(String, String)>,
    /// Who stands for it, by key; no part of what is signed.
    pub signatures: Vec<BundleSignature>,
}
