//! What lies in the policies folder. A link counts if it leads to something inside, as those that
//! Kubernetes makes for a ConfigMap do; one that leads out would let whoever may write a link have
//! any file read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lucid_engine::MANIFEST_FILE;

/// Largest `active.toml`, in bytes.
const ACTIVE_BYTES_MAX: u64 = 256 * 1024;

/// Something that is, or should be, a bundle.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// As the folder names it.
    pub path: PathBuf,
    /// Where it really is, or why it is not read.
    pub real: Result<PathBuf, String>,
}

/// Archives, and `<name>/<version>` folders that have a manifest. Hidden ones are passed over:
/// others are links to them.
///
/// # Errors
/// The folder cannot be read; one that is not there is empty.
pub fn bundles(root: &Path) -> io::Result<Vec<Found>> {
    let real_root = match root.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for (path, real) in entries(&real_root, root)? {
        match real {
            Ok(dir) if dir.is_dir() => match entries(&real_root, &path) {
                Ok(versions) => {
                    let is_bundle = |real: &Result<PathBuf, String>| {
                        real.as_ref().is_ok_and(|dir| dir.join(MANIFEST_FILE).exists())
                    };
                    found.extend(
                        versions
                            .into_iter()
                            .filter(|(_, real)| real.is_err() || is_bundle(real))
                            .map(|(path, real)| Found { path, real }),
                    );
                }
                Err(error) => found.push(Found { path, real: Err(error.to_string()) }),
            },
            Ok(file) if file.is_file() && path.extension().is_some_and(|end| end == "tar") => {
                found.push(Found { path, real: Ok(file) })
            }
            Ok(_) => {}
            Err(_) if path.file_name().is_some_and(|name| name == super::ACTIVE_FILE) => {}
            Err(reason) => found.push(Found { path, real: Err(reason) }),
        }
    }
    Ok(found)
}

/// A folder's entries by name, each with where it really is.
fn entries(root: &Path, dir: &Path) -> io::Result<Vec<(PathBuf, Result<PathBuf, String>)>> {
    let mut paths = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| {
        path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
    });
    paths.sort();
    Ok(paths.into_iter().map(|path| (path.clone(), inside(root, &path))).collect())
}

/// Where a path really is, if that is inside of `root`.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, String> {
    let real = path.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "it is a link to nothing".to_owned(),
        _ => error.to_string(),
    })?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(format!("it is a link that leads out of the folder, to {}", real.display()))
    }
}

/// The text of `active.toml`; none if there is none.
pub fn active_text(root: &Path) -> Result<Option<String>, String> {
    let path = root.join(super::ACTIVE_FILE);
    let (Ok(real_root), Ok(_)) = (root.canonicalize(), path.symlink_metadata()) else {
        return Ok(None);
    };
    let real = inside(&real_root, &path)?;
    let bytes = real.metadata().map_err(|error| error.to_string())?.len();
    if bytes > ACTIVE_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, more than {ACTIVE_BYTES_MAX}"));
    }
    fs::read_to_string(&real).map(Some).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A volume that Kubernetes makes of a ConfigMap: everything is a link through `..data`.
    fn config_map(root: &Path) {
        let kept = root.join("..2026_11_30");
        fs::create_dir_all(kept.join("steady/1.0.0")).unwrap();
        fs::write(kept.join("steady/1.0.0").join(MANIFEST_FILE), "").unwrap();
        fs::write(kept.join("burst.tar"), "").unwrap();
        fs::write(kept.join("active.toml"), "# none").unwrap();
        symlink("..2026_11_30", root.join("..data")).unwrap();
        for name in ["steady", "burst.tar", "active.toml"] {
            symlink(Path::new("..data").join(name), root.join(name)).unwrap();
        }
    }

    fn names(root: &Path) -> Vec<String> {
        let name = |found: &Found| found.path.strip_prefix(root).unwrap().display().to_string();
        bundles(root).unwrap().iter().filter(|found| found.real.is_ok()).map(name).collect()
    }

    #[test]
    fn links_that_stay_inside_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        config_map(dir.path());
        assert_eq!(names(dir.path()), ["burst.tar", "steady/1.0.0"]);
        assert_eq!(active_text(dir.path()), Ok(Some("# none".into())));
    }

    #[test]
    fn links_that_lead_out_or_nowhere_are_refused_with_a_reason() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("x.tar"), "").unwrap();
        fs::write(outside.path().join("active.toml"), "").unwrap();
        fs::create_dir(dir.path().join("name")).unwrap();
        symlink(outside.path().join("x.tar"), dir.path().join("x.tar")).unwrap();
        symlink(outside.path(), dir.path().join("name/1.0.0")).unwrap();
        symlink("gone", dir.path().join("y.tar")).unwrap();
        symlink("z.tar", dir.path().join("z.tar")).unwrap();
        symlink(outside.path().join("active.toml"), dir.path().join("active.toml")).unwrap();
        let found = bundles(dir.path()).unwrap();
        let reason = |of: &str| {
            found.iter().find(|found| found.path.ends_with(of)).unwrap().real.clone().unwrap_err()
        };
        assert!(reason("x.tar").contains("leads out of the folder"), "{}", reason("x.tar"));
        assert!(reason("name/1.0.0").contains("leads out of the folder"));
        assert_eq!(reason("y.tar"), "it is a link to nothing");
        assert!(!reason("z.tar").is_empty(), "a link to itself");
        assert_eq!(found.len(), 4);
        assert!(active_text(dir.path()).unwrap_err().contains("leads out of the folder"));
    }

    #[test]
    fn what_is_no_bundle_is_passed_over_and_a_folder_that_is_not_there_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["README.md", ".hidden.tar", "name-1.0.0.tar.partial"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        fs::create_dir_all(dir.path().join("name/1.0.0")).unwrap();
        symlink(dir.path(), dir.path().join("self")).unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
        assert!(bundles(&dir.path().join("gone")).unwrap().is_empty());
        assert_eq!(active_text(&dir.path().join("gone")), Ok(None));
        fs::write(dir.path().join("active.toml"), "x".repeat(300_000)).unwrap();
        assert!(active_text(dir.path()).unwrap_err().contains("300000 bytes"));
    }
}
