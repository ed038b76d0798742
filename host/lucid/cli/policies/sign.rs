use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use ed25519_dalek::Signer;
use lucid_engine::{pack, put_file, write_signatures};
use lucid_model::{
    fleet::node::PublicKey,
    policies::{BundleSignature, KeyId},
};

use super::scratch_engine::{ScratchEngine, bundle, wrong};
use crate::{cli::out, secrets};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy keygen alice.key
  lucid policy sign bundles/steady/1.0.0 --key alice.key
  lucid policy sign steady-1.0.0.tar --key bob.key            a second one, over the same bytes")]
pub struct SignArgs {
    /// A folder or an archive; the signature is added to it.
    bundle: PathBuf,
    /// The secret key that `lucid policy keygen` made.
    #[arg(long)]
    key: PathBuf,
}

pub fn run(args: &SignArgs) -> Result<ExitCode> {
    let mut bundle = bundle(&args.bundle)?;
    // Nobody should stand for what no service could read.
    let policy = ScratchEngine::open()?.engine.manifest(&bundle).map_err(wrong)?.policy;
    if !args.key.exists() {
        return Err(wrong(format!(
            "{} is not there; `lucid policy keygen` makes a key",
            args.key.display()
        )));
    }
    let secret = secrets::signing_key(&args.key)?;
    let key = KeyId::of(PublicKey(secret.verifying_key().to_bytes()));
    bundle.add_signatures(&[BundleSignature {
        key,
        signature: secret.sign(&bundle.statement()).to_bytes(),
    }]);
    if args.bundle.is_file() {
        put_file(&args.bundle, &pack(&bundle).map_err(wrong)?)?;
    } else {
        write_signatures(&bundle, &args.bundle)?;
    }
    writeln!(out::out(), "{policy} signed by key {key}; {} in all", bundle.signatures.len())?;
    Ok(ExitCode::SUCCESS)
}
