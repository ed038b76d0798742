use std::{fs, os::unix::fs::symlink, path::Path};

use lucid_engine::{BundleError, read_bundle};
use tempfile::TempDir;

use crate::support::{BUILT_IN, built_in_dir};

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("policy.toml"), "name = \"x\"").unwrap();
    fs::write(dir.path().join("policy.wasm"), [0, 1]).unwrap();
    fs::create_dir(dir.path().join("golden")).unwrap();
    for name in ["b.json", "a.json", "notes.txt"] {
        fs::write(dir.path().join("golden").join(name), name).unwrap();
    }
    dir
}

fn error(dir: &Path) -> BundleError {
    read_bundle(dir).unwrap_err()
}

#[test]
fn a_folder_is_read_in_the_order_of_names() {
    let dir = folder();
    let bundle = read_bundle(dir.path()).unwrap();
    assert_eq!(
        (bundle.manifest.as_str(), bundle.component.as_slice()),
        ("name = \"x\"", &[0, 1][..])
    );
    assert_eq!(
        bundle.golden,
        [("a.json".to_owned(), "a.json".to_owned()), ("b.json".to_owned(), "b.json".to_owned())]
    );
    for name in BUILT_IN {
        assert!(!read_bundle(&built_in_dir(name)).unwrap().golden.is_empty(), "{name}");
    }
}

#[test]
fn what_is_missing_too_large_or_no_text_is_named() {
    let dir = folder();
    fs::write(dir.path().join("golden/a.json"), [0xff]).unwrap();
    assert!(
        matches!(error(dir.path()), BundleError::NotText { path } if path.ends_with("golden/a.json"))
    );
    fs::write(dir.path().join("policy.toml"), vec![b'#'; 64 * 1024 + 1]).unwrap();
    assert!(
        matches!(error(dir.path()), BundleError::TooLarge { path, .. } if path.ends_with("policy.toml"))
    );
    fs::remove_file(dir.path().join("policy.toml")).unwrap();
    assert!(
        matches!(error(dir.path()), BundleError::Missing { path } if path.ends_with("policy.toml"))
    );
    assert!(matches!(error(&dir.path().join("nowhere")), BundleError::Missing { .. }));
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let (dir, outside) = (folder(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret.json");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, dir.path().join("golden/c.json")).unwrap();
    assert!(
        matches!(error(dir.path()), BundleError::NotInside { path } if path.ends_with("golden/c.json"))
    );
    fs::remove_file(dir.path().join("golden/c.json")).unwrap();
    symlink(dir.path().join("policy.toml"), dir.path().join("golden/c.json")).unwrap();
    assert_eq!(
        read_bundle(dir.path()).unwrap().golden.len(),
        3,
        "a link within the folder is a file"
    );
    fs::remove_dir_all(dir.path().join("golden")).unwrap();
    symlink(outside.path(), dir.path().join("golden")).unwrap();
    assert!(matches!(error(dir.path()), BundleError::NotInside { .. }));
}
