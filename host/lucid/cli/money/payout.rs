//! Payouts of a running service, as treasurers and operators work on them.

mod list;
mod proof;
mod resolve;
mod runs;
mod stop;
mod unpaid;

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use lucid_api_types::{
    money::{
        payments::{
            BooksVerifiedBody, CorrectionRequest, PaymentsSwitchBody, ProposalBody,
            ReconcileRequest, ResolvedBody, StandingBody,
        },
        payout::PayoutBody,
        run::RunBody,
    },
    page::{ProposalList, RunList},
    reason::ReasonRequest,
};
use lucid_client::{percent_encoded, with_query};
use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};

use crate::cli::{out, remote::Remote, runtime};

/// Works on payouts of a running service.
#[derive(Args)]
#[command(after_help = "Examples:
  lucid payout freeze --reason 'wallet provider reports a breach' --token-file treasurer.token
  lucid payout resume --reason 'cleared, ticket 4711' --token-file treasurer.token
  lucid payout plan --token-file alice.token
  lucid payout plan --node 0192f0c1-… --node 0192f0c2-… --token-file alice.token
  lucid payout report 01a203b6-… --output csv --file run.csv --token-file bob.token
  lucid payout approve 01a203b6-… --token-file bob.token
  lucid payout execute 01a203b6-… --token-file alice.token
  lucid payout retry 5f0c… --token-file alice.token
  lucid payout cancel 5f0c… --reason 'wrong wallet' --token-file treasurer.token
  lucid payout list --state manual --output csv --token-file alice.token > manual.csv
  lucid payout unpaid --token-file alice.token
  lucid payout resolve 5f0c… --paid 9a4e… --evidence 'TronScan, ticket 4711' --token-file alice.token
  lucid payout mismatches --token-file alice.token
  lucid payout end-mismatch 3e0c… --remedy recover --evidence 'TronScan, ticket 4713' --token-file alice.token
  lucid payout resolve --file resolutions.csv --token-file alice.token
  lucid payout correct 0192f0c1-… --correction release_hold --amount 2.5 --reason 'ticket 4712' --token-file alice.token
  lucid payout accept 01a203b7-… --token-file bob.token
  lucid payout reconcile --since 2026-11-26T00:00:00Z --token-file treasurer.token
  lucid payout proof 5f0c… --file proof.json --token-file owner.token
  lucid payout verify proof.json
  lucid payout audit --token-file treasurer.token
  lucid payout statement --year 2026 --format csv --file 2026.csv --token-file owner.token

Exit codes: 0 done, 1 failed or refused, 2 wrong use. Answers are JSON, if nothing else is said; progress goes to standard error.")]
pub struct PayoutArgs {
    #[command(subcommand)]
    command: PayoutCommand,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Subcommand)]
enum PayoutCommand {
    /// Stop every payment that is not on its way yet, and wait until nothing can be on its way any
    /// more.
    Freeze(stop::Freeze),
    /// Let payments go again.
    Resume(Why),
    /// List runs, the newest first.
    Runs,
    /// Plan a run: for everybody who can be paid, or for chosen nodes. Waits until it is planned,
    /// and tells what is in it.
    Plan(runs::Plan),
    /// Show a run.
    Run(Which),
    /// Tell what is in a run, who is left out and why, and what is different from the run before.
    Report(runs::Report),
    /// Approve a planned run, which another person planned. A scheduled one goes at once.
    Approve(Which),
    /// Let an approved run go, and follow it to its end.
    Execute(runs::Execute),
    /// Take a run back: what was not sent is cancelled.
    CancelRun(Cancel),
    /// Plan a payout again that failed or was cancelled: a run of its node alone.
    Retry(Which),
    /// List payouts, the newest first: all, or those in a state or of a node.
    List(list::List),
    /// List who has money that was not paid, since when, and why not.
    Unpaid(unpaid::Unpaid),
    /// Show a payout.
    Show(Which),
    /// Take a payout back that was not sent.
    Cancel(Cancel),
    /// Say what became of a payout that the payment service does not tell, or of many at once from
    /// a file.
    Resolve(resolve::Resolve),
    /// List payouts that the payment service contradicts.
    Mismatches(stop::Mismatches),
    /// End a mismatch: say what is done about it.
    EndMismatch(stop::End),
    /// Put a node's balances right: release or forfeit what is held back, or give or take
    /// something.
    Correct(Correct),
    /// List what treasurers proposed.
    Proposals,
    /// Show a proposal; of one about several payouts, what became of each.
    Proposal(Which),
    /// Confirm what another treasurer proposed: of several payouts, all of it.
    Accept(Which),
    /// Refuse what a treasurer proposed.
    Refuse(Which),
    /// Have payouts compared with the payment service, while payments are frozen: needed before
    /// those of a restored store are resumed.
    Reconcile(Reconcile),
    /// Have the service recompute all books now: exit 1 if they are not in order.
    Audit,
    /// Write a payout with its receipt into a file, which proves without the service what was paid.
    Proof(proof::Proof),
    /// Check such a file, without a service or a store: exit 1 if it proves nothing.
    Verify(proof::Verify),
    /// Write a statement: of a node, or of all of an owner's nodes.
    Statement(Statement),
}

#[derive(Args)]
struct Why {
    /// Why; it is in the audit log.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
struct Which {
    /// Its id.
    id: String,
}

#[derive(Args)]
struct Cancel {
    /// The payout, or the run.
    id: String,
    /// Why; it is in the audit log.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
struct Correct {
    /// The node.
    node: String,
    /// What is done.
    #[arg(long, value_name = "release_hold|forfeit_hold|credit|debit")]
    correction: String,
    /// With how much: USDT, above zero.
    #[arg(long, value_name = "USDT")]
    amount: String,
    /// Why; it is in the ledger.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
struct Reconcile {
    /// Payouts that changed last at this time or later: for a restored store, when the backup was
    /// made.
    #[arg(long, value_name = "TIME")]
    since: String,
}

#[derive(Args)]
struct Statement {
    /// Of this node; without it, of all of an owner's nodes.
    #[arg(long)]
    node: Option<String>,
    /// Of this owner, for who sees all records; without it, the caller's own.
    #[arg(long, conflicts_with = "node")]
    user: Option<String>,
    /// All of this year.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    year: Option<u32>,
    /// Not before.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Where to; standard output, if nothing is said.
    #[arg(long)]
    file: Option<PathBuf>,
}

/// How a list or a report is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For spreadsheets.
    Csv,
    /// With sums and balances.
    Json,
}

pub fn run(args: &PayoutArgs) -> Result<ExitCode> {
    let ask = Ask { remote: &args.remote };
    match &args.command {
        PayoutCommand::Freeze(freeze) => stop::freeze(&ask, freeze),
        PayoutCommand::Mismatches(mismatches) => stop::mismatches(&ask, mismatches),
        PayoutCommand::EndMismatch(end) => stop::end(&ask, end),
        PayoutCommand::Resume(why) => ask.tell::<PaymentsSwitchBody>(
            Method::POST,
            "/payouts/resume",
            Some(&ReasonRequest { reason: why.reason.clone() }),
        ),
        PayoutCommand::Runs => ask.tell::<RunList>(Method::GET, "/payouts/runs", NOTHING),
        PayoutCommand::Plan(plan) => runs::plan(&ask, plan),
        PayoutCommand::Report(report) => runs::report(&ask, report),
        PayoutCommand::Execute(execute) => runs::execute(&ask, execute),
        PayoutCommand::CancelRun(cancel) => {
            let body = ReasonRequest { reason: cancel.reason.clone() };
            ask.tell::<RunBody>(
                Method::POST,
                &path("/payouts/runs", &cancel.id, "/cancel"),
                Some(&body),
            )
        }
        PayoutCommand::Retry(which) => {
            ask.tell::<RunBody>(Method::POST, &path("/payouts/retries", &which.id, ""), NOTHING)
        }
        PayoutCommand::Run(which) => {
            ask.tell::<RunBody>(Method::GET, &path("/payouts/runs", &which.id, ""), NOTHING)
        }
        PayoutCommand::Approve(which) => ask.tell::<RunBody>(
            Method::POST,
            &path("/payouts/runs", &which.id, "/approve"),
            NOTHING,
        ),
        PayoutCommand::Show(which) => {
            ask.tell::<PayoutBody>(Method::GET, &path("/payouts", &which.id, ""), NOTHING)
        }
        PayoutCommand::Cancel(cancel) => {
            let body = ReasonRequest { reason: cancel.reason.clone() };
            ask.tell::<PayoutBody>(
                Method::POST,
                &path("/payouts/cancellations", &cancel.id, ""),
                Some(&body),
            )
        }
        PayoutCommand::List(list) => list::run(&ask, list),
        PayoutCommand::Unpaid(unpaid) => unpaid::run(&ask, unpaid),
        PayoutCommand::Resolve(resolve) => resolve::run(&ask, resolve),
        PayoutCommand::Accept(which) => ask.tell::<ResolvedBody>(
            Method::POST,
            &path("/payouts/proposals", &which.id, "/accept"),
            NOTHING,
        ),
        PayoutCommand::Refuse(which) => ask.tell::<ResolvedBody>(
            Method::POST,
            &path("/payouts/proposals", &which.id, "/refuse"),
            NOTHING,
        ),
        PayoutCommand::Correct(Correct { node, correction, amount, reason }) => {
            let body = CorrectionRequest {
                correction: correction.clone(),
                amount_usdt: amount.clone(),
                reason: reason.clone(),
            };
            ask.tell::<ResolvedBody>(
                Method::POST,
                &path("/nodes", node, "/corrections"),
                Some(&body),
            )
        }
        PayoutCommand::Proposal(which) => ask.tell::<ProposalBody>(
            Method::GET,
            &path("/payouts/proposals", &which.id, ""),
            NOTHING,
        ),
        PayoutCommand::Proposals => {
            ask.tell::<ProposalList>(Method::GET, "/payouts/proposals", NOTHING)
        }
        PayoutCommand::Reconcile(reconcile) => ask.reconcile(reconcile),
        PayoutCommand::Audit => {
            let found: BooksVerifiedBody = ask.ask(Method::POST, "/payouts/verify", NOTHING)?;
            out::say(serde_json::to_string(&found)?)?;
            Ok(if found.in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        PayoutCommand::Proof(proof) => proof::save(&ask, proof),
        PayoutCommand::Verify(verify) => proof::check(verify),
        PayoutCommand::Statement(statement) => ask.statement(statement),
    }
}

/// A path with an id in it, whatever somebody types for one.
fn path(before: &str, id: &str, after: &str) -> String {
    format!("{before}/{}{after}", percent_encoded(id))
}

/// A request without a body.
const NOTHING: Option<&()> = None;

struct Ask<'a> {
    remote: &'a Remote,
}

impl Ask<'_> {
    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T> {
        let client = self.remote.client()?;
        Ok(runtime(1)?.block_on(client.call(method, path, body))?)
    }

    fn tell<T: DeserializeOwned + Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<ExitCode> {
        out::say(serde_json::to_string(&self.ask::<T>(method, path, body)?)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Waits until it is done: exit 1 if the payment service tells otherwise of a payout.
    fn reconcile(&self, asked: &Reconcile) -> Result<ExitCode> {
        let mut switch: PaymentsSwitchBody = self.ask(
            Method::POST,
            "/payouts/reconcile",
            Some(&ReconcileRequest { since: asked.since.clone() }),
        )?;
        let mut told = BTreeSet::new();
        loop {
            let standing: StandingBody = self.ask(Method::GET, "/payouts/status", NOTHING)?;
            if standing.payments.reconciled_at.is_some()
                || standing.payments.reconciling_since != switch.reconciling_since
            {
                switch = standing.payments;
                break;
            }
            if standing.mismatches_open > 0 {
                note!(
                    "the payment service contradicts {} payouts: end each that lucid payout mismatches lists",
                    standing.mismatches_open
                );
                return Ok(ExitCode::FAILURE);
            }
            for again in standing
                .compared_again
                .iter()
                .filter(|again| told.insert((again.payout_id.clone(), again.looks)))
            {
                note!(
                    "payout {} is looked up again: after {} look-ups the payment service says: {}",
                    again.payout_id,
                    again.looks,
                    again.said
                );
            }
            thread::sleep(Duration::from_millis(500));
        }
        out::say(serde_json::to_string(&switch)?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn statement(&self, asked: &Statement) -> Result<ExitCode> {
        let (format, year) = (
            if matches!(asked.format, Format::Csv) { "csv" } else { "json" },
            asked.year.map(|year| year.to_string()),
        );
        let range = [
            ("year", year.as_deref()),
            ("from", asked.from.as_deref()),
            ("to", asked.to.as_deref()),
            ("user_id", asked.user.as_deref()),
        ];
        let query: Vec<_> = [("format", format)]
            .into_iter()
            .chain(range.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .collect();
        let path = asked.node.as_ref().map_or_else(
            || "/payouts/statement".to_owned(),
            |node| path("/nodes", node, "/statement"),
        );
        self.save(&with_query(&path, &query), asked.file.as_deref())
    }

    /// Writes an answer as it is: into a file, or to standard output.
    fn save(&self, path: &str, file: Option<&Path>) -> Result<ExitCode> {
        let client = self.remote.client()?;
        let bytes = runtime(1)?.block_on(client.bytes(path))?;
        match file {
            Some(file) => std::fs::write(file, &bytes)
                .with_context(|| format!("cannot write {}", file.display()))?,
            None => out::out().write_all(&bytes)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
