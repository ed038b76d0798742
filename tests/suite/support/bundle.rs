//! Bundles of the repository as other versions, which nobody compiled in.

use lucid_model::{id::Digest, policies::Bundle};
use serde_json::Value;

use super::root;

/// A policy under another version. Its component is another one, too: a section that says nothing
/// is added.
pub fn other_version(name: &str, version: &str) -> Bundle {
    let mut bundle =
        lucid_engine::read_bundle(&root().join("policies").join(name).join("1.0.0")).unwrap();
    let was = Digest::of(&bundle.component).to_string();
    bundle.component.extend([
        0,
        u8::try_from(version.len() + 1).unwrap(),
        u8::try_from(version.len()).unwrap(),
    ]);
    bundle.component.extend(version.as_bytes());
    bundle.manifest =
        bundle.manifest.replace("version = \"1.0.0\"", &format!("version = \"{version}\""));
    bundle.manifest = bundle.manifest.replace(&was, &Digest::of(&bundle.component).to_string());
    bundle
}

/// As it is handed in.
pub fn as_json(bundle: &Bundle) -> Value {
    serde_json::to_value(lucid_api_types::policies::UploadPolicyRequest::from(bundle)).unwrap()
}
