//! What became of payouts that the payment service does not tell.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use lucid_api_types::{
    error::{DETAIL_FIELD, DETAIL_PROBLEM, DETAIL_PROBLEMS},
    money::{
        payments::{NotPaidRequest, PaidRequest, ProposalBody, ResolvedBody},
        resolution::{ResolutionBody, ResolutionsRequest, in_file, read_csv},
    },
};
use lucid_client::ClientError;
use reqwest::Method;

use super::{Ask, path};
use crate::{cli::out, config::ConfigError};

#[derive(Args)]
pub struct Resolve {
    /// The payout.
    #[arg(required_unless_present = "file")]
    id: Option<String>,
    /// It was paid, by this transaction.
    #[arg(long, value_name = "TRANSACTION", required_unless_present_any = ["not_paid", "file"], conflicts_with = "not_paid")]
    paid: Option<String>,
    /// It was not paid, and never will be.
    #[arg(long)]
    not_paid: bool,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[arg(long, required_unless_present = "file")]
    evidence: Option<String>,
    /// A CSV file with the columns payout_id,outcome,txid,evidence: at most 1,000 payouts, each
    /// `paid` with its txid or `not_paid`. They are proposed as a whole, and another treasurer
    /// accepts or refuses all of it; nothing is proposed if a line is wrong.
    #[arg(long, value_name = "CSV", conflicts_with_all = ["id", "paid", "not_paid", "evidence"])]
    file: Option<PathBuf>,
}

pub fn run(ask: &Ask<'_>, resolve: &Resolve) -> Result<ExitCode> {
    if let Some(file) = &resolve.file {
        return of_file(ask, file);
    }
    // clap has seen that they are there.
    let (id, evidence) =
        (resolve.id.as_deref().unwrap_or_default(), resolve.evidence.clone().unwrap_or_default());
    match &resolve.paid {
        Some(txid) => {
            let body = PaidRequest { transaction_id: txid.clone(), evidence };
            ask.tell::<ResolvedBody>(
                Method::POST,
                &path("/payouts", id, "/resolve/paid"),
                Some(&body),
            )
        }
        None => ask.tell::<ResolvedBody>(
            Method::POST,
            &path("/payouts", id, "/resolve/not-paid"),
            Some(&NotPaidRequest { evidence }),
        ),
    }
}

fn of_file(ask: &Ask<'_>, file: &Path) -> Result<ExitCode> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    let read = read_csv(&text).map_err(|wrong| {
        ConfigError(format!("{name}: nothing is proposed\n  {}", wrong.join("\n  ")))
    })?;
    let (lines, resolutions): (Vec<usize>, Vec<ResolutionBody>) = read.into_iter().unzip();
    let answer = ask.ask::<ProposalBody>(
        Method::POST,
        "/payouts/resolutions",
        Some(&ResolutionsRequest { resolutions }),
    );
    let proposal = answer.map_err(|error| {
        match error.downcast_ref::<ClientError>().and_then(|refused| by_line(refused, &lines)) {
            Some(told) => error.context(format!("{name}: nothing is proposed{told}")),
            None => error,
        }
    })?;
    out::say(serde_json::to_string(&proposal)?)?;
    if proposal.state == "open" {
        note!(
            "another treasurer looks at it with `lucid payout proposal {0}`, and accepts all of it with `lucid payout accept {0}`",
            proposal.proposal_id
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What the service says of resolutions, by the lines of the file.
fn by_line(refused: &ClientError, lines: &[usize]) -> Option<String> {
    let ClientError::Api { details, .. } = refused else { return None };
    let mut told = String::new();
    for problem in details.get(DETAIL_PROBLEMS)?.as_array()? {
        let (field, problem) =
            (problem.get(DETAIL_FIELD)?.as_str()?, problem.get(DETAIL_PROBLEM)?.as_str()?);
        let (place, field) = field.strip_prefix("resolutions[")?.split_once("].")?;
        let line = lines.get(place.parse::<usize>().ok()?)?;
        // Writing into a text does not fail.
        let _ = write!(told, "\n  line {line}: {}", in_file(field, problem));
    }
    Some(told)
}
