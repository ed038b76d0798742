use super::{ARCHIVE_BYTES_MAX, GOLDEN_FILES_MAX, GOLDEN_NAME_BYTES_MAX};

/// Why bytes are not the archive of a bundle.
#[derive(Debug, thiserror::Error)]
pub enum NotAnArchive {
    /// The whole is too large.
    #[error("the archive has {0} bytes, more than {ARCHIVE_BYTES_MAX}")]
    TooLarge(usize),
    /// A header cannot be read.
    #[error("not a tar archive{}: {problem}", after.as_ref().map_or_else(String::new, |name| format!(" after {name:?}")))]
    Malformed {
        /// The last entry that could be read.
        after: Option<String>,
        problem: String,
    },
    /// It ends too early.
    #[error("the archive is cut off {}", after.as_ref().map_or_else(|| "before its first entry".to_owned(), |name| format!("in or after {name:?}")))]
    Truncated {
        /// The last entry that is there.
        after: Option<String>,
    },
    /// Something follows its end.
    #[error("{bytes} bytes follow the end of the archive at byte {at}; nothing but zeros may")]
    Trailing { at: usize, bytes: usize },
    /// A name that is no UTF-8, or has a NUL, which only a pax record can give it.
    #[error("an entry's name is no text: {0:?}")]
    NotText(String),
    /// Leads out of the archive.
    #[error("entry {0:?} has an absolute path")]
    Absolute(String),
    /// Leads out of the archive.
    #[error("entry {0:?} leads out of the archive with \"..\"")]
    Parent(String),
    /// Deeper than a bundle is.
    #[error(
        "entry {name:?} lies {depth} folders deep; the files of a bundle lie at most 1 deep, in golden/"
    )]
    TooDeep {
        name: String,
        /// How deep.
        depth: usize,
    },
    /// A link.
    #[error("entry {0:?} is a link; a bundle has files only")]
    Link(String),
    /// A device, a pipe, a part of a file.
    #[error("entry {name:?} is of type {kind:?}, and neither a file nor a folder")]
    Kind {
        name: String,
        /// Its type's letter.
        kind: char,
    },
    /// A file with holes.
    #[error("entry {0:?} is a sparse file; a bundle has whole ones only")]
    Sparse(String),
    /// The same name again.
    #[error("entry {0:?} is there twice")]
    Twice(String),
    /// Not a bundle's.
    #[error(
        "entry {name:?} is no file of a bundle{}; there are policy.toml, policy.wasm, policy.sig and golden/*.json, without a folder around them",
        hint(name)
    )]
    Unknown { name: String },
    /// A file's name is too long.
    #[error("the name of entry {name:?} has {bytes} bytes, more than {GOLDEN_NAME_BYTES_MAX}")]
    NameTooLong {
        name: String,
        /// How long it is.
        bytes: usize,
    },
    /// A file is too large.
    #[error("entry {name:?} has {bytes} bytes, more than {bytes_max}")]
    EntryTooLarge {
        name: String,
        /// How large it says it is.
        bytes: u64,
        bytes_max: usize,
    },
    /// Too many golden cases.
    #[error("entry {name:?} is one golden case more than {GOLDEN_FILES_MAX}")]
    TooMany {
        /// The first that is too many.
        name: String,
    },
    /// A file of every bundle is not there.
    #[error("{0} is not in the archive")]
    Missing(&'static str),
    /// A text is not UTF-8.
    #[error("entry {0:?} is not UTF-8")]
    FileNotText(String),
    /// `policy.sig` is not what it should be.
    #[error("{0}")]
    Signatures(String),
}

/// What whoever packed the folder itself may have meant.
fn hint(name: &str) -> &'static str {
    let inner = name.split_once('/').map_or("", |(_, inner)| inner);
    if ["policy.toml", "policy.wasm", "policy.sig"].contains(&inner) || name.ends_with('/') {
        " (use `lucid policy pack`)"
    } else {
        ""
    }
}
