//! Compiled components on disk, so that a start compiles nothing it compiled before. What is there
//! is machine code: a directory that others could write to is not believed, and one that cannot be
//! used costs time and never a start.

use std::{
    fs,
    hash::{Hash as _, Hasher},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use lucid_model::id::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, component::Component};

const OTHERS_MAY_WRITE: u32 = 0o022;
/// Of our own files in the directory.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// What the names of compiled components, and of their digests, end with.
const IMAGE: &str = "cwasm";
const IMAGE_DIGEST: &str = "sha256";

/// How components came to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadCounts {
    /// Compiled here.
    pub compiled: u64,
    /// Read from the directory.
    pub from_cache: u64,
}

pub struct CompiledCache {
    /// None if it cannot be used.
    dir: Option<PathBuf>,
    /// Of everything that makes two compilations of one component differ: wasmtime's version, its
    /// settings, the processor.
    settings: Digest,
    compiled: AtomicU64,
    from_cache: AtomicU64,
    temporary: AtomicU64,
}

impl CompiledCache {
    /// Opens it; makes it if it is not there.
    pub fn open(dir: &Path, engine: &Engine) -> Self {
        let usable = private_dir(dir).map(|()| dir.to_owned());
        let dir = usable.inspect_err(|problem| {
            tracing::warn!(dir = %dir.display(), problem, "compiled policies are not kept: each start compiles them");
        });
        let mut hash = SettingsHash(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        let zero = AtomicU64::default;
        Self {
            dir: dir.ok(),
            settings: Digest(hash.0.finalize().into()),
            compiled: zero(),
            from_cache: zero(),
            temporary: zero(),
        }
    }

    /// A component, compiled unless it was before. A damaged entry is compiled again; an entry that
    /// cannot be written is logged and does without.
    pub fn component(
        &self,
        engine: &Engine,
        digest: Digest,
        wasm: &[u8],
    ) -> wasmtime::Result<Component> {
        let key = Digest::of(&[digest.0, self.settings.0].concat());
        if let Some(component) =
            self.dir.as_ref().and_then(|dir| load(engine, &Entry::of(dir, key)))
        {
            self.from_cache.fetch_add(1, Ordering::Relaxed);
            return Ok(component);
        }
        let component = Component::from_binary(engine, wasm)?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(dir) = &self.dir {
            let image = component.serialize()?;
            if let Err(error) = self.keep(dir, &Entry::of(dir, key), &image) {
                tracing::warn!(%digest, %error, dir = %dir.display(), "compiled policy is not cached");
            }
        }
        Ok(component)
    }

    /// How components came to be loaded so far.
    pub fn counts(&self) -> LoadCounts {
        LoadCounts {
            compiled: self.compiled.load(Ordering::Relaxed),
            from_cache: self.from_cache.load(Ordering::Relaxed),
        }
    }

    fn keep(&self, dir: &Path, entry: &Entry, image: &[u8]) -> io::Result<()> {
        self.write(dir, &entry.image, image)?;
        self.write(dir, &entry.digest, Digest::of(image).to_string().as_bytes())
    }

    /// Whole or not at all, for whoever reads at the same time.
    fn write(&self, dir: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = dir.join(format!(".{}-{number}.tmp", std::process::id()));
        let result = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            let _gone_already = fs::remove_file(&temporary);
        }
        result
    }
}

/// Where a component is.
struct Entry {
    image: PathBuf,
    digest: PathBuf,
}

impl Entry {
    fn of(dir: &Path, key: Digest) -> Self {
        Self {
            image: dir.join(format!("{key}.{IMAGE}")),
            digest: dir.join(format!("{key}.{IMAGE_DIGEST}")),
        }
    }
}

/// A component that is compiled and not kept.
pub fn compile(engine: &Engine, wasm: &[u8]) -> Result<Component, String> {
    Component::from_binary(engine, wasm).map_err(|error| format!("policy.wasm: {error:#}"))
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The entry, if it is there, undamaged, and fits the engine.
fn load(engine: &Engine, entry: &Entry) -> Option<Component> {
    let path = entry.image.display();
    let image = fs::read(&entry.image).ok()?;
    let expected: Digest = fs::read_to_string(&entry.digest).ok()?.parse().ok()?;
    if Digest::of(&image) != expected {
        tracing::warn!(%path, "compiled policy is damaged and is compiled again");
        return None;
    }
    deserialize(engine, &image)
        .inspect_err(|error| tracing::warn!(%path, %error, "compiled policy does not load"))
        .ok()
}

#[expect(
    unsafe_code,
    reason = "the bytes are machine code that only this process's user can have written, and their digest was just checked"
)]
fn deserialize(engine: &Engine, image: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: wasmtime asks that the bytes come from `Component::serialize` unchanged. They lie in
    // a directory that `private_dir` found to be ours and closed to others, are written by
    // `CompiledCache::write` alone, whole or not at all, and equal the digest that was written
    // after them. They are checked and loaded from the same buffer, so nothing can be put in
    // between; wasmtime itself compares version, settings and processor.
    unsafe { Component::deserialize(engine, image) }
}

/// Makes sure that the directory is ours and that nobody else may write to it. One that others
/// could write to, as Kubernetes makes a volume's with `fsGroup`, is closed to them and emptied.
fn private_dir(dir: &Path) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(words)?;
    }
    match fs::DirBuilder::new().mode(DIR_MODE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(words(error)),
        Ok(()) | Err(_) => {}
    }
    let found = fs::symlink_metadata(dir).map_err(words)?;
    if !found.is_dir() {
        return Err("it is not a directory".to_owned());
    }
    // The owner of a file we make is us; the standard library has no other way to ask who we are.
    let probe = dir.join(format!(".{}-owner.tmp", std::process::id()));
    write_new(&probe, &[]).map_err(words)?;
    let ours = fs::metadata(&probe).map_err(words)?.uid();
    fs::remove_file(&probe).map_err(words)?;
    if found.uid() != ours {
        return Err(format!("it belongs to user {}, not to {ours}", found.uid()));
    }
    let mode = found.permissions().mode();
    if mode & OTHERS_MAY_WRITE != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(DIR_MODE)).map_err(words)?;
        empty(dir).map_err(words)?;
        let mode = format!("{:o}", mode & 0o7777);
        tracing::warn!(dir = %dir.display(), mode, "others could write to the compiled policies: they are removed, and compiled again");
    }
    Ok(())
}

/// Removes what may be somebody else's code.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == IMAGE || end == IMAGE_DIGEST) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Rust's own hashers may differ from one version to the next.
struct SettingsHash(Sha256);

impl Hasher for SettingsHash {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest is taken whole.
    fn finish(&self) -> u64 {
        0
    }
}
