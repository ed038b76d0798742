use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use clap::Args;
use lucid_model::money::MicroUsdt;
use lucid_service::{BooksProgress, BooksVerified, verify_books};
use serde_json::json;

use crate::{
    cli::{
        logs, out,
        out::Output,
        place::{Place, opened},
        runtime,
    },
    stores::STORES,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid ledger verify                           the store that is configured (MONGODB_URI, lucid.toml), else ./data
  lucid ledger verify --data /var/lib/lucid --output json
  lucid ledger verify --store mongodb://db1,db2,db3/lucid?replicaSet=rs
  lucid ledger verify --data backup             a copy

Each entry's legs have to add up to zero, lead from the balances before it to those after it, and have the next place of its stream. What
each settled period says has to be what its entries add up to, with nothing left on a budget; each payout has to have what was set aside for
it, and be closed once, as it ended. The first entry that is wrong is named. Where all money is comes with it.")]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &VerifyArgs) -> Result<ExitCode> {
    logs("error", false);
    let (url, _) = args.place.find()?;
    let terminal = std::io::stderr().is_terminal();
    let mut told = |progress: BooksProgress| {
        if terminal {
            draw!(
                "\r{} payouts, {} entries of {} streams ",
                progress.payouts,
                progress.entries,
                progress.streams
            );
        }
    };
    let began = Instant::now();
    let found = runtime(1)?.block_on(async {
        let books = opened(STORES.open_books(&url).await)?;
        Ok::<_, anyhow::Error>(verify_books(books.as_ref(), &mut told).await?)
    })?;
    if terminal {
        draw!("\r\x1b[K");
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut out = out::out();
    match args.output {
        Output::Table => table(&mut out, &found, seconds)?,
        Output::Json => writeln!(out, "{}", document(&found, seconds))?,
    }
    Ok(if found.flaw.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is told of where the money is: a word and an amount each.
fn places(found: &BooksVerified) -> [(&'static str, MicroUsdt); 9] {
    let totals = &found.totals;
    [
        ("deposited", MicroUsdt(totals.deposited)),
        ("treasury", MicroUsdt(totals.treasury)),
        ("available", MicroUsdt(totals.available)),
        ("held", MicroUsdt(totals.held)),
        ("reserved", MicroUsdt(totals.reserved)),
        ("paid", MicroUsdt(totals.paid)),
        ("unclaimed", MicroUsdt(totals.unclaimed)),
        ("receivable", MicroUsdt(totals.receivable)),
        ("on_its_way", found.on_its_way),
    ]
}

fn table(out: &mut impl Write, found: &BooksVerified, seconds: f64) -> std::io::Result<()> {
    let BooksProgress { entries, streams, settlements, payouts } = found.progress;
    writeln!(
        out,
        "  read        {entries} entries of {streams} streams, {settlements} settled periods, {payouts} payouts in {seconds:.1} s"
    )?;
    if let Some(newest) = found.newest {
        writeln!(out, "  newest      {newest}")?;
    }
    for (word, amount) in places(found) {
        writeln!(out, "  {word:<11} {:>20} USDT", amount.to_string())?;
    }
    match &found.flaw {
        None => writeln!(out, "  ✓ in order"),
        Some(flaw) => writeln!(out, "  ✗ {flaw}"),
    }
}

fn document(found: &BooksVerified, seconds: f64) -> serde_json::Value {
    let BooksProgress { entries, streams, settlements, payouts } = found.progress;
    let usdt: serde_json::Map<_, _> = places(found)
        .into_iter()
        .map(|(word, amount)| (word.to_owned(), json!(amount.to_string())))
        .collect();
    json!({
        "in_order": found.flaw.is_none(),
        "flaw": found.flaw.as_ref().map(ToString::to_string),
        "entries": entries,
        "streams": streams,
        "settlements": settlements,
        "payouts": payouts,
        "newest": found.newest.map(|at| at.to_string()),
        "usdt": usdt,
        "seconds": seconds,
    })
}
