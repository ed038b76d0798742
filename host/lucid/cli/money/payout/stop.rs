//! Stopping payments, and what the payment service tells otherwise of.

use std::{process::ExitCode, thread, time::Duration};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lucid_api_types::{
    money::{
        mismatch::RemedyRequest,
        payments::{PaymentsSwitchBody, ResolvedBody, StandingBody},
    },
    page::MismatchList,
    reason::ReasonRequest,
};
use reqwest::Method;

use super::{Ask, NOTHING, path};
use crate::cli::out;

/// Between two looks at how far freezing is.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Args)]
pub struct Freeze {
    /// Why; it is in the audit log.
    #[arg(long)]
    reason: String,
    /// Do not wait until nothing can be on its way any more.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Args)]
pub struct Mismatches {
    /// Those that were ended, too.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RemedyWord {
    /// The books are right.
    Dismiss,
    /// The payee was paid twice over: what is available is taken back, the rest is owed.
    Recover,
    /// The payee was not paid: the amount is available again.
    Restore,
}

#[derive(Args)]
pub struct End {
    /// The mismatch.
    id: String,
    /// What is done about it.
    #[arg(long, value_enum)]
    remedy: RemedyWord,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[arg(long)]
    evidence: String,
}

/// Freezes payments, and waits until nothing can be on its way any more.
pub fn freeze(ask: &Ask<'_>, asked: &Freeze) -> Result<ExitCode> {
    let mut switch: PaymentsSwitchBody = ask.ask(
        Method::POST,
        "/payouts/freeze",
        Some(&ReasonRequest { reason: asked.reason.clone() }),
    )?;
    let mut told = None;
    while switch.state == "freezing" && !asked.no_wait {
        if told != switch.in_flight {
            let (count, usdt) =
                (switch.in_flight.unwrap_or(0), switch.in_flight_usdt.as_deref().unwrap_or("0"));
            note!(
                "freezing: nothing more is sent; {count} requests of {usdt} USDT may still be on their way"
            );
            told = switch.in_flight;
        }
        thread::sleep(LOOK);
        switch = ask.ask::<StandingBody>(Method::GET, "/payouts/status", NOTHING)?.payments;
    }
    out::say(serde_json::to_string(&switch)?)?;
    // Somebody else may have let payments go again meanwhile.
    Ok(if switch.state == "active" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub fn mismatches(ask: &Ask<'_>, asked: &Mismatches) -> Result<ExitCode> {
    ask.tell::<MismatchList>(
        Method::GET,
        if asked.all { "/payouts/mismatches" } else { "/payouts/mismatches?open=true" },
        NOTHING,
    )
}

pub fn end(ask: &Ask<'_>, asked: &End) -> Result<ExitCode> {
    let remedy = match asked.remedy {
        RemedyWord::Dismiss => "dismiss",
        RemedyWord::Recover => "recover",
        RemedyWord::Restore => "restore",
    };
    let body = RemedyRequest { remedy: remedy.into(), evidence: asked.evidence.clone() };
    ask.tell::<ResolvedBody>(
        Method::POST,
        &path("/payouts/mismatches", &asked.id, "/end"),
        Some(&body),
    )
}
