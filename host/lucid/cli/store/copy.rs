use std::{
    io::Write,
    ops::ControlFlow,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use clap::Args;
use lucid_store::{CopyError, CopyProgress, CopyReport, Limits, Seals};
use serde_json::json;

use super::progress::Shown;
use crate::{
    cli::{interrupted, logs, out, out::Output, runtime},
    config::ConfigError,
    stores::STORES,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid store copy sqlite:///var/lib/lucid/ mongodb://db1,db2,db3/lucid?replicaSet=rs0
  lucid store copy mongodb://db1/lucid sqlite://restored/ --output json
  lucid store copy --verify-only sqlite:///var/lib/lucid/ mongodb://db1/lucid

Stop the service first, and start it on TO only after exit 0. FROM stays as it is; TO must be new. A copy that was
stopped, however, goes on when the same command runs again; until it has ended, no service starts on TO. Everything is
read back and compared before that. Nothing can lock a MongoDB database: that FROM was not used meanwhile is seen from
counts and from the nodes' last reports. The folder of --data (secrets, caches) is not part of a store: take secrets/ along. Without
secrets/seal.key the copy works, and webhooks have to be registered anew.

Exit codes: 0 both say the same, 1 they do not or the copy was not finished, 2 wrong arguments.")]
pub struct CopyArgs {
    /// The store to copy: sqlite://DIR/ or mongodb://HOST/DATABASE.
    from: String,
    /// The store to copy into: one that is not there, or is empty.
    to: String,
    /// Copy nothing: compare the two stores, of which neither is in use.
    #[arg(long)]
    verify_only: bool,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &CopyArgs) -> Result<ExitCode> {
    logs("error", false);
    let started = Instant::now();
    let report = runtime(0)?.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = interrupted()?;
        let seen = Arc::clone(&stop);
        tokio::spawn(async move {
            asked.await;
            seen.store(true, Ordering::Relaxed);
        });
        let mut shown = Shown::new();
        let mut told = |progress: CopyProgress| {
            shown.show(progress);
            if stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let report = if args.verify_only {
            lucid_store::compare(&STORES, &args.from, &args.to, &mut told).await
        } else {
            lucid_store::copy(&STORES, &args.from, &args.to, &Limits::default(), &mut told).await
        };
        shown.end();
        report.map_err(failed)
    })?;
    let mut out = out::out();
    match args.output {
        Output::Table => {
            table(&mut out, &report, args.verify_only, started.elapsed().as_secs_f64())?
        }
        Output::Json => writeln!(
            out,
            "{}",
            document(&report, args.verify_only, started.elapsed().as_secs_f64())
        )?,
    }
    Ok(if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failed(error: CopyError) -> anyhow::Error {
    if error.is_usage() {
        let cause = std::error::Error::source(&error)
            .map_or_else(String::new, |cause| format!(": {cause}"));
        return ConfigError(format!("{error}{cause}")).into();
    }
    error.into()
}

fn table(
    out: &mut impl Write,
    report: &CopyReport,
    verify_only: bool,
    seconds: f64,
) -> std::io::Result<()> {
    writeln!(out, "  from     {}", report.from)?;
    writeln!(out, "  to       {}", report.to)?;
    let resumed = if report.resumed { "; an earlier copy was taken up" } else { "" };
    writeln!(
        out,
        "  stamp    {} ({}), rail {}{resumed}",
        report.stamp.environment.name(),
        report.stamp.network,
        report.stamp.rail
    )?;
    for kind in &report.kinds {
        let (sign, took) =
            (if kind.from == kind.to { "✓" } else { "✗" }, kind.copied_in + kind.verified_in);
        let digest = kind.to.to_string().chars().take(16).collect::<String>();
        writeln!(
            out,
            "  {sign} {:<17} {:>12}  {digest}…  {:>8.1} s",
            kind.kind.name(),
            kind.to.count,
            took.as_secs_f64()
        )?;
        if let Some(key) = &kind.first_difference {
            writeln!(
                out,
                "    {} in FROM, {} in TO; the first that differs: {key}",
                kind.from.count, kind.to.count
            )?;
        }
    }
    let (accounts, streams) = report.ledger;
    writeln!(
        out,
        "  ledger   {accounts} accounts in {streams} streams, {} USDT in their credit",
        report.ledger_turnover
    )?;
    for line in seals(report) {
        writeln!(out, "  secrets  {line}")?;
    }
    for misfit in &report.misfits {
        writeln!(out, "  ✗ {misfit}")?;
    }
    let done = if verify_only { "compared" } else { "copied and read back" };
    match report.is_equal() {
        true => writeln!(out, "  ✓ {done} in {seconds:.1} s: both say the same"),
        false => writeln!(
            out,
            "  ✗ the two stores differ: no service starts on TO if it was just copied"
        ),
    }
}

/// What the service of the copy needs besides the copy.
fn seals(report: &CopyReport) -> Vec<String> {
    let Seals { keys, clear } = &report.seals;
    let sealed = keys.iter().map(|key| {
        format!("webhook secrets are sealed with key {key}: take secrets/seal.key (or SEAL_KEYS) along; without it register the webhooks anew")
    });
    let clear = (*clear > 0)
        .then(|| format!("{clear} webhook secrets are in clear: the next start seals them"));
    sealed.chain(clear).collect()
}

fn document(report: &CopyReport, verify_only: bool, seconds: f64) -> serde_json::Value {
    let kinds = report.kinds.iter().map(|kind| {
        json!({
            "kind": kind.kind.name(),
            "count": kind.to.count,
            "digest": kind.to.to_string(),
            "from_count": kind.from.count,
            "from_digest": kind.from.to_string(),
            "equal": kind.from == kind.to,
            "first_difference": kind.first_difference,
            "copied_in_s": kind.copied_in.as_secs_f64(),
            "verified_in_s": kind.verified_in.as_secs_f64(),
        })
    });
    json!({
        "equal": report.is_equal(),
        "from": report.from,
        "to": report.to,
        "verify_only": verify_only,
        "resumed": report.resumed,
        "family": report.stamp.family.to_string(),
        "environment": report.stamp.environment.name(),
        "seconds": seconds,
        "kinds": kinds.collect::<Vec<_>>(),
        "ledger": { "accounts": report.ledger.0, "streams": report.ledger.1, "in_credit_usdt": report.ledger_turnover.to_string() },
        "seal_keys": report.seals.keys,
        "secrets_in_clear": report.seals.clear,
        "misfits": report.misfits,
    })
}
