//! From a component to a bundle: the one place where manifests are written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use lucid_engine::{abi_of, read_bundle, write_bundle};
use lucid_model::{id::Digest, policies::Bundle};

use super::super::test::cases;
use super::{
    crates::{Limits, PolicyCrate, Project},
    toolchain::Toolchain,
};

/// What a component starts with; a module starts with another version.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Writes `<folder>/<name>/<version>/`.
pub fn write(
    policy: &PolicyCrate,
    components: &Path,
    folder: &Path,
    toolchain: &Toolchain,
    project: &Project,
) -> Result<(Bundle, PathBuf)> {
    let built = components.join(format!("{}.wasm", policy.name.replace('-', "_")));
    let component = fs::read(&built).with_context(|| {
        format!("cannot read {}: is the crate's [lib] crate-type \"cdylib\"?", built.display())
    })?;
    if !component.starts_with(COMPONENT) {
        bail!("{} is no component", built.display());
    }
    for home in project.homes()?.iter().filter(|home| home.as_os_str().len() > 1) {
        // Home may be / in a container, and that is in every component.
        let path = format!("{}/", home.display());
        if component.windows(path.len()).any(|window| window == path.as_bytes()) {
            bail!("{} carries a path of this machine: {path}", built.display());
        }
    }
    let golden = policy.folder.join("golden");
    let golden = if golden.exists() { cases(&golden)? } else { Vec::new() };
    let manifest = manifest(policy, &component, toolchain, project.wit_bindgen.as_deref());
    let mut bundle = Bundle { manifest, component, golden, signatures: Vec::new() };
    let place = folder.join(&policy.name).join(&policy.version);
    // Who signed the same bytes stands for them still.
    if let Ok(before) = read_bundle(&place)
        && before.content_digest() == bundle.content_digest()
    {
        bundle.signatures = before.signatures;
    }
    write_bundle(&bundle, &place)?;
    Ok((bundle, place))
}

fn manifest(
    policy: &PolicyCrate,
    component: &[u8],
    toolchain: &Toolchain,
    wit_bindgen: Option<&str>,
) -> String {
    let Limits { memory_bytes_max, fuel_base, fuel_per_node } = policy.limits;
    let text = |value: &str| toml::Value::from(value).to_string();
    let wit_bindgen = wit_bindgen
        .map_or_else(String::new, |version| format!("wit_bindgen = {}\n", text(version)));
    let params: String =
        policy.params.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    format!(
        "name = {}\nversion = {}\nkind = {}\nabi = {}\nsha256 = {}\nauthor = {}\ndescription = {}\n\n\
         [build]\ncompiler = {}\nlinker = {}\n{wit_bindgen}\n\
         [limits]\nmemory_bytes_max = {memory_bytes_max}\nfuel_base = {fuel_base}\nfuel_per_node = {fuel_per_node}\n\n\
         [params]\n{params}",
        text(&policy.name),
        text(&policy.version),
        text(policy.kind.name()),
        text(abi_of(policy.kind)),
        text(&Digest::of(component).to_string()),
        text(&policy.authors.join(", ")),
        text(&policy.description),
        text(&toolchain.compiler),
        text(&toolchain.linker_version),
    )
}
