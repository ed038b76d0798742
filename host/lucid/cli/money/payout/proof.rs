//! Proofs of what was paid.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use lucid_api_types::money::run::PayoutProofBody;

use super::{Ask, path};
use crate::cli::out;

#[derive(Args)]
pub struct Proof {
    /// The payout.
    id: String,
    /// Where to; standard output, if nothing is said.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
pub struct Verify {
    /// What `lucid payout proof` wrote.
    file: PathBuf,
    /// The key that has to have signed it, 64 hex digits: GET /api/v1/audit/heads shows the
    /// service's.
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
}

pub fn save(ask: &Ask<'_>, proof: &Proof) -> Result<ExitCode> {
    ask.save(&path("/payouts/proofs", &proof.id, ""), proof.file.as_deref())
}

/// Checks a proof by itself.
pub fn check(asked: &Verify) -> Result<ExitCode> {
    let name = asked.file.display();
    let text = std::fs::read(&asked.file).with_context(|| format!("cannot read {name}"))?;
    let proof: PayoutProofBody =
        serde_json::from_slice(&text).with_context(|| format!("{name} is no proof of a payout"))?;
    let key = asked.public_key.as_ref().map(|key| key.to_lowercase());
    if key.is_some_and(|key| key != proof.public_key) {
        note!("it is signed by another key: {}", proof.public_key);
        return Ok(ExitCode::FAILURE);
    }
    if let Err(wrong) = proof.check() {
        note!("{wrong}");
        return Ok(ExitCode::FAILURE);
    }
    let of = &proof.payout;
    let transaction = of
        .transaction_id
        .as_deref()
        .map_or_else(String::new, |txid| format!(" by transaction {txid}"));
    out::say(format_args!(
        "payout {} of {} {} to {} is {}{transaction}",
        of.payout_id, of.amount, of.currency, of.wallet_address, of.state
    ))?;
    out::say(format_args!(
        "receipt {} of {} of run {}, whose root {} is signed by {}",
        proof.index + 1,
        proof.receipts,
        of.run_id,
        proof.root,
        proof.public_key
    ))?;
    Ok(ExitCode::SUCCESS)
}
