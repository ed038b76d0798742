//! Payouts, as many as there are.

use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, builder::PossibleValuesParser};
use lucid_api_types::{
    csv,
    money::payout::PayoutBody,
    page::{PAGE_LIMIT_MAX, PayoutList},
};
use lucid_client::with_query;
use lucid_model::money::payout::{PayoutState, PayoutStatus};
use reqwest::Method;

use super::{Ask, ListOutput, NOTHING};
use crate::cli::out;

#[derive(Args)]
pub struct List {
    /// Only in this state (reserved, submitting, unknown, accepted, confirmed, failed, cancelled,
    /// manual), or with this status (pending, processing, completed).
    #[arg(long, value_parser = PossibleValuesParser::new(words()), hide_possible_values = true)]
    state: Option<String>,
    /// Only to this node.
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    /// Only of this run.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    output: ListOutput,
}

/// States, and the statuses that are none.
fn words() -> Vec<&'static str> {
    let states = PayoutState::ALL.iter().map(|state| state.name());
    states
        .chain(
            PayoutStatus::ALL
                .iter()
                .map(|status| status.name())
                .filter(|name| PayoutState::from_name(name).is_none()),
        )
        .collect()
}

const COLUMNS: [&str; 11] = [
    "payout_id",
    "node_id",
    "user_id",
    "amount",
    "state",
    "status",
    "created_at",
    "updated_at",
    "transaction_id",
    "wallet_address",
    "reason",
];

pub fn run(ask: &Ask<'_>, list: &List) -> Result<ExitCode> {
    let mut out = out::out();
    if list.output == ListOutput::Csv {
        out.write_all(csv::line(&COLUMNS).as_bytes())?;
    }
    let (mut page, mut shown) = (1_u64, 0);
    loop {
        let found: PayoutList = ask.ask(Method::GET, &asked(list, page), NOTHING)?;
        for payout in
            found.payouts.iter().take(usize::try_from(list.limit - shown).unwrap_or(usize::MAX))
        {
            write(&mut out, payout, list.output)?;
            shown += 1;
        }
        let total = found.pagination.total;
        if found.payouts.is_empty() || shown >= list.limit || page >= found.pagination.pages {
            if shown < total {
                note!("{shown} of {total} payouts: more with --limit");
            }
            return Ok(ExitCode::SUCCESS);
        }
        page += 1;
    }
}

fn asked(list: &List, page: u64) -> String {
    let (page, limit) = (page.to_string(), PAGE_LIMIT_MAX.to_string());
    let state = list.state.as_deref().map(|word| {
        (if PayoutState::from_name(word).is_some() { "state" } else { "status" }, word)
    });
    let mut query = vec![("page", page.as_str()), ("limit", limit.as_str())];
    query.extend(state);
    query.extend(list.node.as_deref().map(|node| ("node_id", node)));
    query.extend(list.run.as_deref().map(|run| ("run_id", run)));
    with_query("/payouts", &query)
}

fn write(out: &mut impl Write, payout: &PayoutBody, output: ListOutput) -> Result<()> {
    let (amount, txid, reason) =
        (payout.amount.to_string(), payout.transaction_id.as_deref(), payout.reason.as_deref());
    match output {
        ListOutput::Json => writeln!(out, "{}", serde_json::to_string(payout)?)?,
        ListOutput::Csv => {
            let cells = [
                &*payout.payout_id,
                &payout.node_id,
                &payout.user_id,
                &amount,
                &payout.state,
                &payout.status,
                &payout.created_at,
                &payout.updated_at,
                txid.unwrap_or_default(),
                &payout.wallet_address,
                reason.unwrap_or_default(),
            ];
            out.write_all(csv::line(&cells).as_bytes())?;
        }
        ListOutput::Table => {
            let why = reason.or(txid).unwrap_or_default();
            writeln!(
                out,
                "{}  {:<10} {amount:>14} USDT  node {}  since {}  {why}",
                payout.payout_id, payout.state, payout.node_id, payout.updated_at
            )?;
        }
    }
    Ok(())
}
