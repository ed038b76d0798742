use std::{fs, process::Command};

use lucid_engine::{NotAnArchive, pack, read_bundle, unpack};
use lucid_model::{
    id::Digest,
    policies::{Bundle, BundleSignature, KeyId},
};
use tar::{Builder, EntryType, Header};

use crate::support::{BUILT_IN, built_in, built_in_dir};

pub fn small() -> Bundle {
    Bundle {
        manifest: "name = \"x\"".into(),
        component: vec![0, 97],
        golden: vec![("a.json".into(), "{}".into()), ("b.json".into(), "[]".into())],
        signatures: vec![BundleSignature { key: KeyId([1; 8]), signature: [2; 64] }],
    }
}

/// An archive of entries: name, type, content, and the size that the header says.
pub fn archive(entries: &[(&str, EntryType, &[u8], u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, content, size) in entries {
        let mut header = Header::new_ustar();
        // Past the library's own care about names.
        header.as_mut_bytes().iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
        header.set_entry_type(*kind);
        header.set_size(*size);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn with(name: &str, kind: EntryType, content: &[u8]) -> Vec<u8> {
    let file =
        |name, content: &'static [u8]| (name, EntryType::Regular, content, content.len() as u64);
    archive(&[
        file("policy.toml", b"name = 1"),
        (name, kind, content, content.len() as u64),
        file("policy.wasm", b"\0asm"),
    ])
}

fn problem(bytes: &[u8]) -> String {
    unpack(bytes).unwrap_err().to_string()
}

#[test]
fn an_archive_is_the_same_bytes_for_the_same_bundle_and_is_read_back() {
    let mut backwards = small();
    backwards.golden.reverse();
    let bytes = pack(&small()).unwrap();
    assert_eq!(bytes, pack(&backwards).unwrap());
    assert_eq!(unpack(&bytes).unwrap(), small());
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "0b222e1d00597e4b6a8f301f808492e5ff5c22259878d8e88d741710dd7acbb4"
    );
    for name in BUILT_IN {
        assert_eq!(unpack(&pack(&built_in(name)).unwrap()).unwrap(), built_in(name), "{name}");
    }
}

#[test]
fn an_archive_by_another_tool_is_read_too() {
    let dir = tempfile::tempdir().unwrap();
    for format in ["gnu", "ustar", "posix"] {
        let file = dir.path().join(format!("{format}.tar"));
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}"))
            .arg("-cf")
            .arg(&file)
            .arg("-C")
            .arg(built_in_dir("proportional"))
            .arg(".");
        assert!(tar.status().unwrap().success());
        assert_eq!(read_bundle(&file).unwrap(), built_in("proportional"), "{format}");
    }
    fs::write(dir.path().join("bad.tar"), "no tar").unwrap();
    assert!(read_bundle(&dir.path().join("bad.tar")).unwrap_err().to_string().contains("bad.tar"));
}

#[test]
fn what_is_no_plain_file_of_a_bundle_is_refused_by_name() {
    let long = format!("golden/{}.json", "x".repeat(80));
    for (name, kind, expected) in [
        ("/etc/passwd", EntryType::Regular, "entry \"/etc/passwd\" has an absolute path"),
        ("../policy.sig", EntryType::Regular, "leads out of the archive"),
        ("golden/../x.json", EntryType::Regular, "leads out of the archive"),
        (
            "golden/a/b.json",
            EntryType::Regular,
            "lies 2 folders deep; the files of a bundle lie at most 1 deep",
        ),
        ("golden/a.json", EntryType::Symlink, "entry \"golden/a.json\" is a link"),
        ("golden/a.json", EntryType::Link, "is a link"),
        ("golden/a.json", EntryType::Char, "of type '3'"),
        ("golden/a.json", EntryType::Block, "of type '4'"),
        ("golden/a.json", EntryType::Fifo, "of type '6'"),
        ("golden/a.json", EntryType::Continuous, "of type '7'"),
        ("x", EntryType::XGlobalHeader, "of type 'g'"),
        ("golden/a.txt", EntryType::Regular, "is no file of a bundle; there are policy.toml"),
        ("x-1.0.0/policy.sig", EntryType::Regular, "use `lucid policy pack`"),
        ("x-1.0.0/", EntryType::Directory, "use `lucid policy pack`"),
        ("policy.sig/", EntryType::Regular, "is no file of a bundle"),
        ("./policy.toml", EntryType::Regular, "entry \"./policy.toml\" is there twice"),
        (&long, EntryType::Regular, "not UTF-8"),
    ] {
        let content: &[u8] = if name == long { b"\xff" } else { b"" };
        let said = problem(&with(name, kind, content));
        assert!(said.contains(expected), "{name} {kind:?}: {said}");
    }
}

#[test]
fn sparse_files_are_refused_however_they_are_written() {
    let mut header = Header::new_gnu();
    header.set_path("policy.wasm").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(0);
    header.as_gnu_mut().unwrap().set_real_size(0);
    header.set_cksum();
    let mut old = header.as_bytes().to_vec();
    old.resize(old.len() + 1024, 0);
    assert!(problem(&old).contains("entry \"policy.wasm\" is a sparse file"), "{}", problem(&old));
    let mut newer = Builder::new(Vec::new());
    newer.append_pax_extensions([("GNU.sparse.realsize", b"99999999999".as_slice())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(2);
    newer.append_data(&mut header, "policy.wasm", [0, 1].as_slice()).unwrap();
    assert!(problem(&newer.into_inner().unwrap()).contains("is a sparse file"));
}

#[test]
fn a_name_that_no_file_can_have_is_refused() {
    let mut archive = Builder::new(Vec::new());
    archive.append_pax_extensions([("path", b"golden/a\0b.json".as_slice())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(2);
    archive.append_data(&mut header, "golden/c.json", b"{}".as_slice()).unwrap();
    let said = problem(&archive.into_inner().unwrap());
    assert_eq!(said, "an entry's name is no text: \"golden/a\\0b.json\"");
}

#[test]
fn sizes_and_numbers_have_limits_that_are_named() {
    let huge = archive(&[("policy.wasm", EntryType::Regular, b"", 8 << 30)]);
    assert_eq!(problem(&huge), "entry \"policy.wasm\" has 8589934592 bytes, more than 33554432");
    let case = archive(&[("golden/a.json", EntryType::Regular, &vec![b' '; 262_145], 262_145)]);
    assert_eq!(problem(&case), "entry \"golden/a.json\" has 262145 bytes, more than 262144");
    let names: Vec<_> = (0..257).map(|number| format!("golden/{number:03}.json")).collect();
    let entries: Vec<_> =
        names.iter().map(|name| (name.as_str(), EntryType::Regular, b"{}".as_slice(), 2)).collect();
    assert_eq!(
        problem(&archive(&entries)),
        "entry \"golden/256.json\" is one golden case more than 256"
    );
    assert!(matches!(unpack(&vec![0; 48 * 1024 * 1024 + 1]), Err(NotAnArchive::TooLarge(_))));
    let mut header = Builder::new(Vec::new());
    header.append_pax_extensions([("size", b"18446744073709551615".as_slice())]).unwrap();
    let mut plain = Header::new_ustar();
    plain.set_size(2);
    header.append_data(&mut plain, "policy.wasm", [0, 1].as_slice()).unwrap();
    let said = problem(&header.into_inner().unwrap());
    assert!(said.contains("size overflow"), "{said}");
}

#[test]
fn an_archive_is_whole_and_nothing_follows_it() {
    let bytes = pack(&small()).unwrap();
    // Cut anywhere, it is refused: as cut off, or because a file is missing.
    for end in (0..bytes.len()).step_by(100) {
        let error = unpack(&bytes[..end]).unwrap_err();
        assert!(matches!(error, NotAnArchive::Truncated { .. }), "{end}: {error}");
    }
    let mut more = bytes.clone();
    more.resize(more.len() + 10_240, 0);
    assert_eq!(unpack(&more).unwrap(), small(), "zeros only fill it up");
    more.push(1);
    assert!(problem(&more).contains("1 bytes follow the end of the archive"), "{}", problem(&more));
    let twice = [bytes.clone(), bytes.clone()].concat();
    assert!(matches!(unpack(&twice), Err(NotAnArchive::Trailing { .. })));
    let mut damaged = bytes;
    damaged[0] ^= 1;
    assert!(matches!(unpack(&damaged), Err(NotAnArchive::Malformed { .. })));
    assert!(
        problem(&archive(&[("policy.toml", EntryType::Regular, b"x", 1)]))
            .contains("policy.wasm is not in the archive")
    );
}

#[test]
fn no_damage_makes_another_bundle_of_it_or_a_panic() {
    let mut bundle = small();
    bundle.signatures.clear();
    let bytes = pack(&bundle).unwrap();
    for place in 0..bytes.len() {
        for bit in [1, 128] {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(place) {
                *byte ^= bit;
            }
            // What is read at all has the names of a bundle, and differs where a file's own bytes
            // were hit.
            if let Ok(read) = unpack(&damaged) {
                assert_eq!(read.golden.len(), 2, "{place}");
            }
        }
    }
}

#[test]
fn a_name_that_does_not_fit_is_not_packed() {
    let mut bundle = small();
    bundle.golden[0].0 = format!("{}.json", "x".repeat(200));
    assert!(matches!(pack(&bundle), Err(NotAnArchive::NameTooLong { .. })));
    bundle.golden[0].0 = format!("{}.json", "x".repeat(95));
    assert_eq!(unpack(&pack(&bundle).unwrap()).unwrap().golden.len(), 2);
}
