//! The policies that come with the binary. Their digests are trusted because they are compiled in.

use lucid_model::{id::Digest, policies::Bundle};

macro_rules! bundle {
    ($folder:literal) => {
        (
            include_str!(concat!("../../policies/", $folder, "/policy.toml")),
            include_bytes!(concat!("../../policies/", $folder, "/policy.wasm")).as_slice(),
        )
    };
}

const BUNDLES: [(&str, &[u8]); 4] = [
    bundle!("observation-weighted/1.0.0"),
    bundle!("observation-only/1.0.0"),
    bundle!("hardware-and-identity/1.0.0"),
    bundle!("proportional/1.0.0"),
];

/// Manifests of bundles that come in the folder beside the binary, for whoever wants them: trusted
/// as the built-in ones.
const SHIPPED: [&str; 6] = [
    include_str!("../../policies/capacity-tier/1.0.0/policy.toml"),
    include_str!("../../policies/capped-tiers/1.0.0/policy.toml"),
    include_str!("../../policies/held-amount/1.0.0/policy.toml"),
    include_str!("../../policies/new-node-ramp/1.0.0/policy.toml"),
    include_str!("../../policies/sybil-damping/1.0.0/policy.toml"),
    include_str!("../../policies/uptime-streak/1.0.0/policy.toml"),
];

/// What is active when nobody says otherwise.
pub const ACTIVE: &str = include_str!("../../policies/active.toml");

/// The built-in bundles.
pub fn bundles() -> Vec<Bundle> {
    let bundle = |(manifest, component): (&str, &[u8])| Bundle {
        manifest: manifest.to_owned(),
        component: component.to_vec(),
        golden: Vec::new(),
        signatures: Vec::new(),
    };
    BUNDLES.map(bundle).into()
}

/// Digests of their manifests, and of those that are shipped.
pub fn manifest_digests() -> Vec<Digest> {
    BUNDLES
        .iter()
        .map(|(manifest, _)| *manifest)
        .chain(SHIPPED)
        .map(|manifest| Digest::of(manifest.as_bytes()))
        .collect()
}

/// Digests of their components.
pub fn digests() -> Vec<Digest> {
    BUNDLES.iter().map(|(_, component)| Digest::of(component)).collect()
}
