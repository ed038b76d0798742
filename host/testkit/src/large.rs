//! A component as large as one of a few policies, for measuring how long a new one takes until it
//! is active.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lucid_model::id::Digest;
use serde_json::{Value, json};

/// What a core module begins with, after its section's head.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// The section of a component that has a core module.
const CORE_MODULE_SECTION: u8 = 1;

/// Reads a number as WebAssembly writes lengths.
fn length(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (value, place + 1);
        }
    }
    panic!("a length that does not end");
}

/// The largest core module of a component, with its section's head.
fn largest_module(component: &[u8]) -> &[u8] {
    let (mut at, mut largest) = (8, &component[..0]);
    while at < component.len() {
        let (size, digits) = length(&component[at + 1..]);
        let section = &component[at..at + 1 + digits + size];
        if section[0] == CORE_MODULE_SECTION
            && section[1 + digits..].starts_with(CORE_MODULE)
            && section.len() > largest.len()
        {
            largest = section;
        }
        at += section.len();
    }
    largest
}

/// An upload of a policy whose component has at least `bytes`: the code of its own module again and
/// again, all of which is compiled.
pub fn upload(bundle: &Path, version: &str, bytes: usize) -> (usize, Value) {
    let mut bundle = lucid_engine::read_bundle(bundle).unwrap();
    let (before, module) =
        (Digest::of(&bundle.component), largest_module(&bundle.component).to_vec());
    while bundle.component.len() < bytes {
        bundle.component.extend(&module);
    }
    let manifest =
        bundle.manifest.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    let manifest =
        manifest.replace(&before.to_string(), &Digest::of(&bundle.component).to_string());
    let golden: serde_json::Map<_, _> =
        bundle.golden.into_iter().map(|(name, text)| (name, Value::from(text))).collect();
    (
        bundle.component.len(),
        json!({ "manifest": manifest, "component": STANDARD.encode(&bundle.component), "golden": golden }),
    )
}
