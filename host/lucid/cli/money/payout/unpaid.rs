//! Who has money that was not paid.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use lucid_api_types::{
    money::unpaid::{UnpaidBody, UnpaidList},
    page::PAGE_LIMIT_MAX,
};
use lucid_client::with_query;
use reqwest::Method;

use super::{Ask, ListOutput, NOTHING};
use crate::cli::out;

#[derive(Args)]
pub struct Unpaid {
    /// Only what is not paid for this reason, such as no_wallet, wallet_cooling_down,
    /// payout_manual, run_not_approved, frozen.
    #[arg(long)]
    reason: Option<String>,
    /// Only of this node.
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Only of this owner's nodes.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    output: ListOutput,
    /// Where to; standard output, if nothing is said.
    #[arg(long)]
    file: Option<PathBuf>,
}

pub fn run(ask: &Ask<'_>, asked: &Unpaid) -> Result<ExitCode> {
    let filters = [
        ("reason", asked.reason.as_deref()),
        ("node_id", asked.node.as_deref()),
        ("user_id", asked.user.as_deref()),
    ];
    let filters: Vec<_> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if asked.output == ListOutput::Csv {
        let query: Vec<_> = [("format", "csv")].into_iter().chain(filters).collect();
        return ask.save(&with_query("/payouts/unpaid", &query), asked.file.as_deref());
    }
    let mut out: Box<dyn Write> = match &asked.file {
        Some(file) => Box::new(
            std::fs::File::create(file)
                .with_context(|| format!("cannot write {}", file.display()))?,
        ),
        None => Box::new(out::out()),
    };
    let mut page = 1_u64;
    loop {
        let (number, limit) = (page.to_string(), PAGE_LIMIT_MAX.to_string());
        let query: Vec<_> = [("page", &*number), ("limit", &*limit), ("order", "asc")]
            .into_iter()
            .chain(filters.iter().copied())
            .collect();
        let found: UnpaidList =
            ask.ask(Method::GET, &with_query("/payouts/unpaid", &query), NOTHING)?;
        if page == 1 && asked.output == ListOutput::Table {
            totals(&mut out, &found)?;
        }
        for line in &found.unpaid {
            match asked.output {
                ListOutput::Table => row(&mut out, line)?,
                ListOutput::Json | ListOutput::Csv => {
                    writeln!(out, "{}", serde_json::to_string(line)?)?
                }
            }
        }
        if page >= found.pagination.pages {
            return Ok(ExitCode::SUCCESS);
        }
        page += 1;
    }
}

fn totals(out: &mut impl Write, found: &UnpaidList) -> std::io::Result<()> {
    if found.totals.is_empty() {
        return writeln!(out, "everybody is paid");
    }
    for total in &found.totals {
        writeln!(
            out,
            "{:<20} {:>16} USDT of {} nodes",
            total.reason, total.amount_usdt, total.nodes
        )?;
    }
    writeln!(out)
}

fn row(out: &mut impl Write, line: &UnpaidBody) -> std::io::Result<()> {
    let payout = line.payout_id.as_deref().map_or_else(String::new, |id| format!("  payout {id}"));
    let owner = line.user_id.as_deref().unwrap_or("-");
    writeln!(
        out,
        "{}  owner {owner}  {:<9} {:>16} USDT  since {}  {}{payout}",
        line.node_id, line.balance, line.amount_usdt, line.since, line.reason
    )
}
