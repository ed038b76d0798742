//! A bundle as a folder.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use lucid_model::policies::{Bundle, BundleSignature};

use super::{
    COMPONENT_BYTES_MAX, COMPONENT_FILE, GOLDEN_BYTES_MAX, GOLDEN_DIR, GOLDEN_FILES_MAX,
    MANIFEST_BYTES_MAX, MANIFEST_FILE,
};
use crate::{
    BundleError,
    signatures::{self, SIGNATURES_BYTES_MAX, SIGNATURES_FILE},
};

/// Reads a bundle from its folder: `policy.toml`, `policy.wasm` and, if there are any,
/// `golden/*.json` by name and `policy.sig`.
///
/// # Errors
/// [`BundleError`] for a file that is missing, too large, unreadable, or a link that leads out of
/// the folder.
pub fn read(dir: &Path) -> Result<Bundle, BundleError> {
    let root = dir.canonicalize().map_err(|source| unreadable(dir, source))?;
    let manifest = text(&root, dir.join(MANIFEST_FILE), MANIFEST_BYTES_MAX)?;
    let component = bytes(&root, &dir.join(COMPONENT_FILE), COMPONENT_BYTES_MAX)?;
    let golden = golden_files(&dir.join(GOLDEN_DIR))?
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
        Ok(text) => {
            signatures::read(&text).map_err(|problem| BundleError::Signatures { path, problem })
        }
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
    whole(path, &real, bytes_max)
}

/// All of a file, which errors call `path`.
pub fn whole(path: &Path, real: &Path, bytes_max: usize) -> Result<Vec<u8>, BundleError> {
    let file = fs::File::open(real).map_err(|source| unreadable(path, source))?;
    let mut content = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut content).map_err(|source| unreadable(path, source))?;
    if content.len() > bytes_max {
        return Err(BundleError::TooLarge { path: path.to_owned(), bytes_max });
    }
    Ok(content)
}

/// Writes a bundle into a folder, which then has its golden cases and no others. Each file is
/// written beside and renamed, because a host may be watching.
///
/// # Errors
/// [`BundleError::Unwritable`].
pub fn write(bundle: &Bundle, dir: &Path) -> Result<(), BundleError> {
    let golden = dir.join(GOLDEN_DIR);
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Unwritable { path, source }
    };
    if golden.exists() {
        fs::remove_dir_all(&golden).map_err(unwritable(&golden))?;
    }
    fs::create_dir_all(if bundle.golden.is_empty() { dir } else { &golden })
        .map_err(unwritable(dir))?;
    for (name, text) in &bundle.golden {
        put(&golden.join(name), text.as_bytes())?;
    }
    put(&dir.join(COMPONENT_FILE), &bundle.component)?;
    // What has no manifest is no bundle yet: it comes after what it names.
    put(&dir.join(MANIFEST_FILE), bundle.manifest.as_bytes())?;
    write_signatures(bundle, dir)
}

/// Writes a bundle's signatures into its folder; without any there is no file.
///
/// # Errors
/// [`BundleError::Unwritable`].
pub fn write_signatures(bundle: &Bundle, dir: &Path) -> Result<(), BundleError> {
    let path = dir.join(SIGNATURES_FILE);
    if !bundle.signatures.is_empty() {
        return put(&path, signatures::write(&bundle.signatures).as_bytes());
    }
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(BundleError::Unwritable { path, source })
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`BundleError::Unwritable`].
pub fn put(path: &Path, content: &[u8]) -> Result<(), BundleError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| BundleError::Unwritable { path: path.to_owned(), source })
}

fn unreadable(path: &Path, source: io::Error) -> BundleError {
    if source.kind() == io::ErrorKind::NotFound {
        BundleError::Missing { path: path.to_owned() }
    } else {
        BundleError::Unreadable { path: path.to_owned(), source }
    }
}
