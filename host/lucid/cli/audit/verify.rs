use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;
use lucid_api_types::audit::{AuditHeadBody, AuditHeadsBody};
use lucid_model::{
    audit::{
        seal::{SealStatement, key_id},
        verify::Trust,
    },
    fleet::node::PublicKey,
    id::Digest,
};
use lucid_service::{AuditProgress, AuditVerified, verify_audit};
use serde_json::json;

use crate::{
    cli::{
        logs, out,
        out::Output,
        place::{Place, opened},
        runtime,
    },
    config::ConfigError,
    secrets,
    stores::STORES,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid audit verify                           the store that is configured (MONGODB_URI, lucid.toml), else ./data
  lucid audit verify --data /var/lib/lucid --output json
  lucid audit verify --store mongodb://db1,db2,db3/lucid?replicaSet=rs --public-key 3b6a27bc…
  lucid audit verify --data backup --public-key 3b6a27bc…    a copy without the service's secrets
  lucid audit verify --seal heads.json                       an answer of GET /api/v1/audit/heads, kept elsewhere

The key that seals is shown by GET /api/v1/audit/heads. Name it (several times, if it was changed) when whoever could
write to the store could also have read or replaced secrets/service.key, and for each replica that has a key of its own.
Whoever has key and store can make the log anew: a seal that was kept elsewhere shows it.")]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// A key that seals may be signed by, 64 hex digits; by default the one in the secrets of
    /// --data.
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    public_key: Vec<PublicKey>,
    /// A seal that was kept elsewhere, and has to be in the log: an answer of GET
    /// /api/v1/audit/heads.
    #[arg(long, value_name = "FILE")]
    seal: Option<PathBuf>,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key)
        .map_err(|_| "a public key has 64 hex digits".to_owned())?;
    Ok(PublicKey(key))
}

pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    logs("error", false);
    let (url, secrets) = args.place.find()?;
    let (keys, origin) = trusted(args, &secrets)?;
    let trust = Trust { keys, seal: args.seal.as_deref().map(kept_seal).transpose()? };
    let terminal = std::io::stderr().is_terminal();
    let mut told = |progress: AuditProgress| {
        if terminal {
            draw!(
                "\r{} of {} entries, {} links, {} seals ",
                progress.entries,
                progress.entries_total,
                progress.links,
                progress.seals
            );
        }
    };
    let found = runtime(1)?.block_on(async {
        let log = opened(STORES.open_audit_log(&url).await)?;
        Ok::<_, anyhow::Error>(verify_audit(log.as_ref(), &trust, &mut told).await?)
    })?;
    if terminal {
        draw!("\r\x1b[K");
    }
    let mut out = out::out();
    match args.output {
        Output::Table => table(&mut out, &found, &origin)?,
        Output::Json => writeln!(out, "{}", document(&found, &trust.keys))?,
    }
    Ok(if found.flaw.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The keys that count, and where they are from.
fn trusted(args: &VerifyArgs, secrets: &Path) -> Result<(Vec<PublicKey>, String)> {
    if !args.public_key.is_empty() {
        Ok((args.public_key.clone(), "as given".into()))
    } else if secrets.join("service.key").is_file() {
        let key = PublicKey(secrets::service_key(secrets)?.verifying_key().to_bytes());
        Ok((vec![key], format!("from {}", secrets.join("service.key").display())))
    } else {
        Ok((Vec::new(), "not checked: name it with --public-key".into()))
    }
}

/// Number and digest of a seal in a file.
fn kept_seal(file: &Path) -> Result<(u64, Digest), ConfigError> {
    let wrong = |problem: String| ConfigError(format!("--seal {}: {problem}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let heads: AuditHeadsBody = serde_json::from_slice(&text)
        .map_err(|_| wrong("not an answer of GET /api/v1/audit/heads".into()))?;
    let seal = heads.last_seal.ok_or_else(|| wrong("it has no seal".into()))?;
    let statement = hex::decode(&seal.statement)
        .ok()
        .filter(|bytes| SealStatement::read(bytes).is_some_and(|read| read.seq == seal.seq));
    Ok((
        seal.seq,
        Digest::of(
            &statement.ok_or_else(|| wrong("its statement is not that of its seal".into()))?,
        ),
    ))
}

fn table(out: &mut impl Write, found: &AuditVerified, origin: &str) -> std::io::Result<()> {
    let progress = found.progress;
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    writeln!(
        out,
        "  entries  {} of {} in {} links of {} writer{}",
        progress.entries,
        progress.entries_total,
        progress.links,
        found.heads.len(),
        plural(found.heads.len())
    )?;
    for head in &found.heads {
        writeln!(out, "  writer   {}: link {}, {}", head.writer, head.seq, head.link)?;
    }
    match found.last_seal {
        Some((seq, at)) => writeln!(
            out,
            "  seals    {}, the last ({seq}) of {at}; {} entries are not sealed yet",
            progress.seals, found.entries_unsealed
        )?,
        None => {
            writeln!(out, "  seals    none: nothing shows whether the newest links were cut off")?
        }
    }
    for key in &found.keys {
        writeln!(out, "  key      {} ({origin})", key_id(*key))?;
    }
    match &found.flaw {
        None => writeln!(out, "  ✓ intact"),
        Some(flaw) => writeln!(out, "  ✗ tampered with: {flaw}"),
    }
}

fn document(found: &AuditVerified, trusted: &[PublicKey]) -> serde_json::Value {
    let key = |key: &PublicKey| json!({ "kid": key_id(*key), "public_key": hex::encode(key.0), "trusted": trusted.contains(key) });
    json!({
        "intact": found.flaw.is_none(),
        "flaw": found.flaw.as_ref().map(ToString::to_string),
        "entries": found.progress.entries,
        "entries_total": found.progress.entries_total,
        "entries_unsealed": found.entries_unsealed,
        "links": found.progress.links,
        "seals": found.progress.seals,
        "last_seal": found.last_seal.map(|(seq, at)| json!({ "seq": seq, "at": at.to_string() })),
        "heads": found.heads.iter().map(AuditHeadBody::from).collect::<Vec<_>>(),
        "keys": found.keys.iter().map(key).collect::<Vec<_>>(),
    })
}
