use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use lucid_model::{fleet::node::PublicKey, policies::KeyId};

use super::scratch_engine::wrong;
use crate::{cli::out, secrets};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy keygen alice.key
  lucid policy keygen alice.key | tail -1 >> policies/trusted-keys.toml    below its line [trusted_keys]")]
pub struct KeygenArgs {
    /// Where the secret key goes: readable by you alone, and never part of a bundle.
    file: PathBuf,
}

pub fn run(args: &KeygenArgs) -> Result<ExitCode> {
    if args.file.exists() {
        return Err(wrong(format!(
            "{} is there already; a key is never overwritten",
            args.file.display()
        )));
    }
    let public = secrets::signing_key(&args.file)?.verifying_key().to_bytes();
    let name =
        args.file.file_stem().context("the file needs a name")?.to_string_lossy().into_owned();
    let mut out = out::out();
    writeln!(
        out,
        "# key {} of {}; a service trusts it with this line under [trusted_keys]",
        KeyId::of(PublicKey(public)),
        args.file.display()
    )?;
    writeln!(out, "{} = \"{}\"", toml_key(&name), hex::encode(public))?;
    Ok(ExitCode::SUCCESS)
}

fn toml_key(name: &str) -> String {
    let bare = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if bare { name.to_owned() } else { toml::Value::from(name).to_string() }
}
