//! A bundle as one file: an uncompressed tar of the folder's files, the same bytes for the same
//! bundle.

use std::io::{Cursor, Read as _};

use lucid_model::policies::Bundle;
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::{
    ARCHIVE_BYTES_MAX, COMPONENT_BYTES_MAX, COMPONENT_FILE, GOLDEN_BYTES_MAX, GOLDEN_DIR,
    GOLDEN_FILES_MAX, GOLDEN_NAME_BYTES_MAX, MANIFEST_BYTES_MAX, MANIFEST_FILE,
    format::NotAnArchive,
};
use crate::signatures::{self, SIGNATURES_BYTES_MAX, SIGNATURES_FILE};

const BLOCK_BYTES: usize = 512;
/// Of every entry.
const MODE: u32 = 0o644;

/// The archive of a bundle: entries by name, owned by nobody, from no time.
///
/// # Errors
/// [`NotAnArchive::NameTooLong`] for a golden case.
pub fn pack(bundle: &Bundle) -> Result<Vec<u8>, NotAnArchive> {
    let mut files: Vec<(String, &[u8])> = bundle
        .golden
        .iter()
        .map(|(name, text)| (format!("{GOLDEN_DIR}/{name}"), text.as_bytes()))
        .collect();
    files.push((MANIFEST_FILE.to_owned(), bundle.manifest.as_bytes()));
    files.push((COMPONENT_FILE.to_owned(), &bundle.component));
    let signatures = signatures::write(&bundle.signatures);
    if !bundle.signatures.is_empty() {
        files.push((SIGNATURES_FILE.to_owned(), signatures.as_bytes()));
    }
    files.sort_unstable();
    let mut builder = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_ustar();
        header
            .set_path(&name)
            .map_err(|_| NotAnArchive::NameTooLong { bytes: name.len(), name: name.clone() })?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(MODE);
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_cksum();
        builder.append(&header, content).map_err(|error| broken(None, &error))?;
    }
    builder.into_inner().map_err(|error| broken(None, &error))
}

/// Reads an archive. Whatever else tar can express is refused by name: nothing is left out in
/// silence, and nothing is ever written anywhere.
///
/// # Errors
/// [`NotAnArchive`].
pub fn unpack(archive: &[u8]) -> Result<Bundle, NotAnArchive> {
    if archive.len() > ARCHIVE_BYTES_MAX {
        return Err(NotAnArchive::TooLarge(archive.len()));
    }
    let mut found = Found::default();
    let mut reader = Archive::new(Cursor::new(archive));
    let mut last = None;
    for entry in reader.entries().map_err(|error| broken(None, &error))? {
        let mut entry = entry.map_err(|error| broken(last.clone(), &error))?;
        let name = name(&entry)?;
        last = Some(name.clone());
        if let Some(place) = place(&name, &mut entry)? {
            let content = content(&name, &place, &mut entry)?;
            found.add(name, place, content)?;
        }
    }
    let end = usize::try_from(reader.into_inner().position()).unwrap_or(usize::MAX);
    ends(archive, end, last)?;
    found.bundle()
}

/// What an entry of a bundle is.
enum Place {
    Manifest,
    Component,
    Signatures,
    Golden(String),
}

impl Place {
    fn bytes_max(&self) -> usize {
        match self {
            Self::Manifest => MANIFEST_BYTES_MAX,
            Self::Component => COMPONENT_BYTES_MAX,
            Self::Signatures => SIGNATURES_BYTES_MAX,
            Self::Golden(_) => GOLDEN_BYTES_MAX,
        }
    }
}

fn name(entry: &Entry<'_, Cursor<&[u8]>>) -> Result<String, NotAnArchive> {
    let bytes = entry.path_bytes();
    let text = std::str::from_utf8(&bytes).ok().filter(|text| !text.contains('\0'));
    text.map(str::to_owned)
        .ok_or_else(|| NotAnArchive::NotText(String::from_utf8_lossy(&bytes).into_owned()))
}

/// What an entry is; none for the folders that some tools put in.
fn place(name: &str, entry: &mut Entry<'_, Cursor<&[u8]>>) -> Result<Option<Place>, NotAnArchive> {
    let own = || name.to_owned();
    if name.starts_with('/') {
        return Err(NotAnArchive::Absolute(own()));
    }
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(NotAnArchive::Parent(own()));
    }
    let depth = parts.len().saturating_sub(1);
    if depth > 1 {
        return Err(NotAnArchive::TooDeep { name: own(), depth });
    }
    let kind = entry.header().entry_type();
    if kind.is_gnu_sparse() || has_sparse_extension(entry) {
        return Err(NotAnArchive::Sparse(own()));
    }
    match kind {
        EntryType::Directory if parts.is_empty() || parts == [GOLDEN_DIR] => return Ok(None),
        EntryType::Directory => return Err(NotAnArchive::Unknown { name: own() }),
        // Before there were types, a slash at the end made a folder.
        EntryType::Regular if name.ends_with('/') => {
            return Err(NotAnArchive::Unknown { name: own() });
        }
        EntryType::Regular => {}
        EntryType::Link | EntryType::Symlink => return Err(NotAnArchive::Link(own())),
        other => return Err(NotAnArchive::Kind { name: own(), kind: char::from(other.as_byte()) }),
    }
    match parts.as_slice() {
        [MANIFEST_FILE] => Ok(Some(Place::Manifest)),
        [COMPONENT_FILE] => Ok(Some(Place::Component)),
        [SIGNATURES_FILE] => Ok(Some(Place::Signatures)),
        [GOLDEN_DIR, case] if case.len() > GOLDEN_NAME_BYTES_MAX => {
            Err(NotAnArchive::NameTooLong { name: own(), bytes: case.len() })
        }
        [GOLDEN_DIR, case] if case.ends_with(".json") => {
            Ok(Some(Place::Golden((*case).to_owned())))
        }
        _ => Err(NotAnArchive::Unknown { name: own() }),
    }
}

/// Newer tools write holes as an ordinary file with a record about them.
fn has_sparse_extension(entry: &mut Entry<'_, Cursor<&[u8]>>) -> bool {
    let Ok(Some(records)) = entry.pax_extensions() else { return false };
    records.into_iter().flatten().any(|record| record.key_bytes().starts_with(b"GNU.sparse."))
}

fn content(
    name: &str,
    place: &Place,
    entry: &mut Entry<'_, Cursor<&[u8]>>,
) -> Result<Vec<u8>, NotAnArchive> {
    let (bytes, bytes_max) = (entry.size(), place.bytes_max());
    if usize::try_from(bytes).map_or(true, |bytes| bytes > bytes_max) {
        return Err(NotAnArchive::EntryTooLarge { name: name.to_owned(), bytes, bytes_max });
    }
    let mut content = Vec::new();
    let read = entry.read_to_end(&mut content);
    if read.is_err() || u64::try_from(content.len()) != Ok(bytes) {
        return Err(NotAnArchive::Truncated { after: Some(name.to_owned()) });
    }
    Ok(content)
}

/// An archive ends with two blocks of zeros, and more of them to fill it up.
fn ends(archive: &[u8], end: usize, last: Option<String>) -> Result<(), NotAnArchive> {
    let (seen, rest) = archive.split_at_checked(end).unwrap_or((archive, &[]));
    let closed =
        seen.last_chunk::<BLOCK_BYTES>().is_some_and(|block| block.iter().all(|byte| *byte == 0));
    if !closed || rest.len() < BLOCK_BYTES {
        return Err(NotAnArchive::Truncated { after: last });
    }
    match rest.iter().position(|byte| *byte != 0) {
        Some(place) => Err(NotAnArchive::Trailing {
            at: end.saturating_add(place),
            bytes: rest.len().saturating_sub(place),
        }),
        None => Ok(()),
    }
}

/// The library says only in words that there was no more to read.
fn broken(after: Option<String>, error: &std::io::Error) -> NotAnArchive {
    let problem = error.to_string();
    let ended =
        ["unexpected EOF", "failed to read entire block"].iter().any(|end| problem.contains(end));
    if ended {
        NotAnArchive::Truncated { after }
    } else {
        NotAnArchive::Malformed { after, problem }
    }
}

#[derive(Default)]
struct Found {
    manifest: Option<String>,
    component: Option<Vec<u8>>,
    signatures: Option<String>,
    golden: Vec<(String, String)>,
}

impl Found {
    fn add(&mut self, name: String, place: Place, content: Vec<u8>) -> Result<(), NotAnArchive> {
        let text = |content| {
            String::from_utf8(content).map_err(|_| NotAnArchive::FileNotText(name.clone()))
        };
        let twice = match place {
            Place::Component => self.component.replace(content).is_some(),
            Place::Manifest => self.manifest.replace(text(content)?).is_some(),
            Place::Signatures => self.signatures.replace(text(content)?).is_some(),
            Place::Golden(case) => {
                let known = self.golden.iter().any(|(known, _)| *known == case);
                self.golden.push((case, text(content)?));
                known
            }
        };
        if twice {
            return Err(NotAnArchive::Twice(name));
        }
        if self.golden.len() > GOLDEN_FILES_MAX {
            return Err(NotAnArchive::TooMany { name });
        }
        Ok(())
    }

    fn bundle(mut self) -> Result<Bundle, NotAnArchive> {
        self.golden.sort_unstable();
        Ok(Bundle {
            manifest: self.manifest.ok_or(NotAnArchive::Missing(MANIFEST_FILE))?,
            component: self.component.ok_or(NotAnArchive::Missing(COMPONENT_FILE))?,
            golden: self.golden,
            signatures: signatures::read(&self.signatures.unwrap_or_default())
                .map_err(NotAnArchive::Signatures)?,
        })
    }
}
