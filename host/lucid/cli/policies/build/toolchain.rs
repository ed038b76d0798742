//! The compiler of guests: rustup's, or one that the script prepares where rustup has no
//! WebAssembly.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// What guests are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The same script that the checkout's own builds use.
const SCRIPT: &str = include_str!("../../../../../scripts/wasm-toolchain.sh");
/// Prints what the script's file of variables says, each with a zero after it.
const READ: &str = r#". "$0"; printf '%s\0' "${RUSTC-}" "$CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER" "$CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS""#;
/// What stands in the official std where a path would.
const OFFICIAL: &[u8] = b"/rustc/";

/// A toolchain that is there.
pub struct Toolchain {
    rustc: Option<String>,
    linker: String,
    sysroot: PathBuf,
    /// Flags of every build.
    pub flags: String,
    /// `rustc -V` and `cargo -V`: both decide about bytes.
    pub compiler: String,
    /// `wasm-component-ld -V`.
    pub linker_version: String,
}

impl Toolchain {
    /// Finds it; fetches or builds what is missing.
    pub fn prepare() -> Result<Self> {
        let script = Command::new("bash")
            .args(["-c", SCRIPT, "wasm-toolchain"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run bash")?;
        if !script.status.success() {
            bail!(
                "there is no toolchain for {TARGET}, and none could be had: `rustup target add {TARGET}` is what it takes"
            );
        }
        let file = String::from_utf8(script.stdout)?.trim().to_owned();
        let read = Command::new("bash")
            .args(["-c", READ, &file])
            .output()
            .with_context(|| format!("cannot read {file}"))?;
        let text = String::from_utf8(read.stdout)?;
        let [rustc, linker, flags, ..] = text.split('\0').collect::<Vec<_>>()[..] else {
            bail!("{file} does not say what to build with")
        };
        let rustc = (!rustc.is_empty()).then(|| rustc.to_owned());
        let compiler = rustc.as_deref().unwrap_or("rustc");
        let sysroot = PathBuf::from(said(compiler, &["--print", "sysroot"])?);
        let versions = format!("{}, {}", said(compiler, &["-V"])?, said("cargo", &["-V"])?);
        let linker_version = said(linker, &["-V"])?;
        Ok(Self {
            linker: linker.to_owned(),
            flags: flags.to_owned(),
            compiler: versions,
            linker_version,
            sysroot,
            rustc,
        })
    }

    /// Where std's sources are, if they are there.
    pub fn sources(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    /// Makes cargo use it.
    pub fn apply(&self, cargo: &mut Command) {
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        match &self.rustc {
            Some(rustc) => cargo.env("RUSTC", rustc),
            None => cargo.env_remove("RUSTC"),
        };
    }

    /// Whether std has no machine's paths: one that was built on some machine carries them, and no
    /// flag can remap them afterwards.
    pub fn std_is_official(&self) -> Result<bool> {
        let library = self.sysroot.join("lib/rustlib").join(TARGET).join("lib");
        for entry in
            fs::read_dir(&library).with_context(|| format!("cannot read {}", library.display()))?
        {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(OsString::from)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with("libcore-")
                && name.ends_with(".rlib")
                && official(&fs::read(&path)?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether `/rustc/<commit>/library` stands in it.
fn official(bytes: &[u8]) -> bool {
    let commit = |rest: &[u8]| {
        rest.len() > 48
            && rest.iter().take(40).all(u8::is_ascii_hexdigit)
            && rest.get(40..48) == Some(b"/library")
    };
    let places =
        bytes.windows(OFFICIAL.len()).enumerate().filter(|(_, window)| *window == OFFICIAL);
    places.into_iter().any(|(place, _)| bytes.get(place + OFFICIAL.len()..).is_some_and(commit))
}

fn said(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_official_std_is_told_by_the_commit_in_its_paths() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert!(official(format!("x/rustc/x /rustc/{commit}/library/core").as_bytes()));
        assert!(!official(b"/rustc/0123/library/core /usr/src/rustc-1.96/library"));
    }
}
