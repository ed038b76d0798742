use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use lucid_model::policy::{Bundle, BundleSignature};

use crate::{
    BundleError,
    signatures::{self, SIGNATURES_BYTES_MAX, SIGNATURES_FILE},
};

/// Largest `policy.toml`.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
/// Largest `policy.wasm`.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest golden case.
pub const GOLDEN_BYTES_MAX: usize = 256 * 1024;
/// Most golden cases.
pub const GOLDEN_FILES_MAX: usize = 256;

/// Reads a bundle from its folder: `policy.toml`, `policy.wasm` and, if there are any, `golden/*.json` by name and `policy.sig`.
///
/// # Errors
/// [`BundleError`] for a file that is missing, too large, unreadable, or a link that leads out of the folder.
pub fn read_bundle(dir: &Path) -> Result<Bundle, BundleError> {
    let root = dir.canonicalize().map_err(|source| unreadable(dir, source))?;
    let manifest = text(&root, dir.join("policy.toml"), MANIFEST_BYTES_MAX)?;
    let component = bytes(&root, &dir.join("policy.wasm"), COMPONENT_BYTES_MAX)?;
    let golden = golden_files(&dir.join("golden"))?
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, text(&root, path, GOLDEN_BYTES_MAX)?))
        })
        .collect::<Result<_, BundleError>>()?;
    let signatures = read_signatures(&root, dir.join(SIGNATURES_FILE))?;
    Ok(Bundle { manifest, component, golden, signatures })
}

fn read_signatures(root: &Path, path: PathBuf) -> Result<Vec<BundleSignature>, BundleError> {
    match text(root, path.clone(), SIGNATURES_BYTES_MAX) {
        Ok(text) => signatures::read(&text).map_err(|problem| BundleError::Signatures { path, problem }),
        Err(BundleError::Missing { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The cases' paths by name, so that a gate's report does not depend on the file system's order.
fn golden_files(dir: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(dir, source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unreadable(dir, source))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
        if paths.len() > GOLDEN_FILES_MAX {
            return Err(BundleError::TooMany { path: dir.to_owned(), files_max: GOLDEN_FILES_MAX });
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(root: &Path, path: PathBuf, bytes_max: usize) -> Result<String, BundleError> {
    String::from_utf8(bytes(root, &path, bytes_max)?).map_err(|_| BundleError::NotText { path })
}

/// Reads at most `bytes_max`, whatever the file's length was said to be when it was looked at.
fn bytes(root: &Path, path: &Path, bytes_max: usize) -> Result<Vec<u8>, BundleError> {
    let real = path.canonicalize().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BundleError::Missing { path: path.to_owned() },
        _ => unreadable(path, source),
    })?;
    if !real.starts_with(root) || !real.is_file() {
        return Err(BundleError::NotInside { path: path.to_owned() });
    }
    let file = fs::File::open(&real).map_err(|source| unreadable(path, source))?;
    let mut content = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut content).map_err(|source| unreadable(path, source))?;
    if content.len() > bytes_max {
        return Err(BundleError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(content)
}

fn unreadable(path: &Path, source: io::Error) -> BundleError {
    if source.kind() == io::ErrorKind::NotFound {
        BundleError::Missing { path: path.to_owned() }
    } else {
        BundleError::Unreadable { path: path.to_owned(), source }
    }
}
