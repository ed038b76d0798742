//! Writes a bundle: the component, its manifest, its golden cases.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    BuilderError,
    manifest::{Limits, Policy},
};

/// What built the components; the same toolchain gives the same bytes.
pub struct Toolchain {
    pub compiler: String,
    pub linker: String,
    pub wit_bindgen: String,
}

/// Writes `<bundles>/<name>/<version>/` and returns the component's size.
pub fn write(policy: &Policy, components: &Path, bundles: &Path, toolchain: &Toolchain) -> Result<usize, BuilderError> {
    let built = components.join(format!("{}.wasm", policy.name.replace('-', "_")));
    let component = fs::read(&built).map_err(BuilderError::io(&built))?;
    // A module starts with another version: the linker was not the component linker.
    if !component.starts_with(b"\0asm\x0d\0\x01\0") {
        return Err(BuilderError::Content { path: built, what: "is not a component".to_owned() });
    }
    let folder = bundles.join(&policy.name).join(&policy.version);
    fs::create_dir_all(&folder).map_err(BuilderError::io(&folder))?;
    put(&folder.join("policy.wasm"), &component)?;
    put(&folder.join("policy.toml"), manifest(policy, &component, toolchain).as_bytes())?;
    copy_golden(&policy.folder.join("golden"), &folder.join("golden"))?;
    Ok(component.len())
}

fn manifest(policy: &Policy, component: &[u8], toolchain: &Toolchain) -> String {
    let Limits { memory_bytes_max, fuel_base, fuel_per_node } = policy.limits;
    let sha256: String = Sha256::digest(component).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = |value: &str| toml::Value::from(value).to_string();
    format!(
        "name = {}\nversion = {}\nkind = {}\nabi = {}\nsha256 = {}\nauthor = {}\ndescription = {}\n\n\
         [build]\ncompiler = {}\nlinker = {}\nwit_bindgen = {}\n\n\
         [limits]\nmemory_bytes_max = {memory_bytes_max}\nfuel_base = {fuel_base}\nfuel_per_node = {fuel_per_node}\n\n\
         [params]\n",
        text(&policy.name),
        text(&policy.version),
        text(policy.kind.name()),
        text(policy.kind.abi()),
        text(&sha256),
        text(&policy.author),
        text(&policy.description),
        text(&toolchain.compiler),
        text(&toolchain.linker),
        text(&toolchain.wit_bindgen),
    )
}

/// Makes the bundle's cases exactly the crate's: one that was deleted there must not live on here.
fn copy_golden(from: &Path, to: &Path) -> Result<(), BuilderError> {
    if to.exists() {
        fs::remove_dir_all(to).map_err(BuilderError::io(to))?;
    }
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to).map_err(BuilderError::io(to))?;
    for entry in fs::read_dir(from).map_err(BuilderError::io(from))? {
        let case = entry.map_err(BuilderError::io(from))?.path();
        let (Some(name), Some("json")) = (case.file_name(), case.extension().and_then(|ext| ext.to_str())) else {
            continue;
        };
        fs::copy(&case, to.join(name)).map_err(BuilderError::io(&case))?;
    }
    Ok(())
}

const ACTIVE: &str = r#"# What is active before anyone activates anything else. Applied once per content; see policies in the README.

[[activate]]
kind = "scoring"
name = "observation-weighted"
version = "1.0.0"
scope = "default"

[[activate]]
kind = "validation"
name = "hardware-and-identity"
version = "1.0.0"
scope = "default"

[[activate]]
kind = "payout"
name = "proportional"
version = "1.0.0"
scope = "default"
"#;

/// Writes `active.toml`, unless an operator's is there.
pub fn write_active_if_missing(policies: &Path) -> Result<(), BuilderError> {
    let path: PathBuf = policies.join("active.toml");
    if path.exists() { Ok(()) } else { put(&path, ACTIVE.as_bytes()) }
}

/// Writes through a neighbour and renames, because a host may be watching the folder.
fn put(path: &Path, content: &[u8]) -> Result<(), BuilderError> {
    let partial = path.with_extension("partial");
    fs::write(&partial, content).map_err(BuilderError::io(&partial))?;
    fs::rename(&partial, path).map_err(BuilderError::io(path))
}
