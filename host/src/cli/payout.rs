//! Payouts of a running service, as treasurers and operators work on them.

mod runs;
mod stop;

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
use lucid_wire::{
    page::{ProposalList, RunList},
    payments::{BooksVerifiedBody, CorrectionRequest, NotPaidRequest, PaidRequest, PaymentsSwitchBody, ReconcileRequest, ResolvedBody, StandingBody},
    payout::PayoutBody,
    reason::ReasonRequest,
    run::{PayoutProofBody, RunBody},
};
use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};

use super::{remote::Remote, runtime};

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
  lucid payout resolve 5f0c… --paid 9a4e… --evidence 'TronScan, ticket 4711' --token-file alice.token
  lucid payout mismatches --token-file alice.token
  lucid payout end-mismatch 3e0c… --remedy recover --evidence 'TronScan, ticket 4713' --token-file alice.token
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
    /// Stop every payment that is not on its way yet, and wait until nothing can be on its way any more.
    Freeze(stop::Freeze),
    /// Let payments go again.
    Resume(Why),
    /// List runs, the newest first.
    Runs,
    /// Plan a run: for everybody who can be paid, or for chosen nodes. Waits until it is planned, and tells what is in it.
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
    /// Show a payout.
    Show(Which),
    /// Take a payout back that was not sent.
    Cancel(Cancel),
    /// Say what became of a payout that the payment service does not tell.
    Resolve(Resolve),
    /// List payouts that the payment service tells otherwise of.
    Mismatches(stop::Mismatches),
    /// End a mismatch: say what is done about it.
    EndMismatch(stop::End),
    /// Put a node's balances right: release or forfeit what is held back, or give or take something.
    Correct(Correct),
    /// List what treasurers proposed.
    Proposals,
    /// Confirm what another treasurer proposed.
    Accept(Which),
    /// Refuse what a treasurer proposed.
    Refuse(Which),
    /// Have payouts compared with the payment service, while payments are frozen: needed before those of a restored store are resumed.
    Reconcile(Reconcile),
    /// Have the service recompute all books now: exit 1 if they are not in order.
    Audit,
    /// Write a payout with its receipt into a file, which proves without the service what was paid.
    Proof(Proof),
    /// Check such a file, without a service or a store: exit 1 if it proves nothing.
    Verify(Verify),
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
    /// Payouts that changed last at this time or later: for a restored store, when the backup was made.
    #[arg(long, value_name = "TIME")]
    since: String,
}

#[derive(Args)]
struct Resolve {
    /// The payout.
    id: String,
    /// It was paid, by this transaction.
    #[arg(long, value_name = "TRANSACTION", required_unless_present = "not_paid", conflicts_with = "not_paid")]
    paid: Option<String>,
    /// It was not paid, and never will be.
    #[arg(long)]
    not_paid: bool,
    /// How that is known: an extract, a ticket, a letter of the payment service.
    #[arg(long)]
    evidence: String,
}

#[derive(Args)]
struct Proof {
    /// The payout.
    id: String,
    /// Where to; standard output, if nothing is said.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
struct Verify {
    /// What `lucid payout proof` wrote.
    file: PathBuf,
    /// The key that has to have signed it, 64 hex digits: GET /api/v1/audit/heads shows the service's.
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
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
        PayoutCommand::Resume(why) => {
            ask.tell::<PaymentsSwitchBody>(Method::POST, "/payouts/resume", Some(&ReasonRequest { reason: why.reason.clone() }))
        }
        PayoutCommand::Runs => ask.tell::<RunList>(Method::GET, "/payouts/runs", NOTHING),
        PayoutCommand::Plan(plan) => runs::plan(&ask, plan),
        PayoutCommand::Report(report) => runs::report(&ask, report),
        PayoutCommand::Execute(execute) => runs::execute(&ask, execute),
        PayoutCommand::CancelRun(cancel) => {
            let body = ReasonRequest { reason: cancel.reason.clone() };
            ask.tell::<RunBody>(Method::POST, &format!("/payouts/runs/{}/cancel", cancel.id), Some(&body))
        }
        PayoutCommand::Retry(which) => ask.tell::<RunBody>(Method::POST, &format!("/payouts/{}/retry", which.id), NOTHING),
        PayoutCommand::Run(which) => ask.tell::<RunBody>(Method::GET, &format!("/payouts/runs/{}", which.id), NOTHING),
        PayoutCommand::Approve(which) => ask.tell::<RunBody>(Method::POST, &format!("/payouts/runs/{}/approve", which.id), NOTHING),
        PayoutCommand::Show(which) => ask.tell::<PayoutBody>(Method::GET, &format!("/payouts/{}", which.id), NOTHING),
        PayoutCommand::Cancel(cancel) => {
            let body = ReasonRequest { reason: cancel.reason.clone() };
            ask.tell::<PayoutBody>(Method::POST, &format!("/payouts/{}/cancel", cancel.id), Some(&body))
        }
        PayoutCommand::Resolve(resolve) => {
            let (path, evidence) = (format!("/payouts/{}/resolve", resolve.id), resolve.evidence.clone());
            match &resolve.paid {
                Some(txid) => {
                    ask.tell::<ResolvedBody>(Method::POST, &format!("{path}/paid"), Some(&PaidRequest { transaction_id: txid.clone(), evidence }))
                }
                None => ask.tell::<ResolvedBody>(Method::POST, &format!("{path}/not-paid"), Some(&NotPaidRequest { evidence })),
            }
        }
        PayoutCommand::Accept(which) => ask.tell::<ResolvedBody>(Method::POST, &format!("/payouts/proposals/{}/accept", which.id), NOTHING),
        PayoutCommand::Refuse(which) => ask.tell::<ResolvedBody>(Method::POST, &format!("/payouts/proposals/{}/refuse", which.id), NOTHING),
        PayoutCommand::Correct(Correct { node, correction, amount, reason }) => {
            let body = CorrectionRequest { correction: correction.clone(), amount_usdt: amount.clone(), reason: reason.clone() };
            ask.tell::<ResolvedBody>(Method::POST, &format!("/nodes/{node}/corrections"), Some(&body))
        }
        PayoutCommand::Proposals => ask.tell::<ProposalList>(Method::GET, "/payouts/proposals", NOTHING),
        PayoutCommand::Reconcile(reconcile) => ask.reconcile(reconcile),
        PayoutCommand::Audit => {
            let found: BooksVerifiedBody = ask.ask(Method::POST, "/payouts/verify", NOTHING)?;
            println!("{}", serde_json::to_string(&found)?);
            Ok(if found.in_order { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        PayoutCommand::Proof(proof) => ask.save(&format!("/payouts/{}/proof", proof.id), proof.file.as_deref()),
        PayoutCommand::Verify(verify) => check(verify),
        PayoutCommand::Statement(statement) => ask.statement(statement),
    }
}

/// Checks a proof by itself.
fn check(asked: &Verify) -> Result<ExitCode> {
    let name = asked.file.display();
    let text = std::fs::read(&asked.file).with_context(|| format!("cannot read {name}"))?;
    let proof: PayoutProofBody = serde_json::from_slice(&text).with_context(|| format!("{name} is no proof of a payout"))?;
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
    let transaction = of.transaction_id.as_deref().map_or_else(String::new, |txid| format!(" by transaction {txid}"));
    println!("payout {} of {} {} to {} is {}{transaction}", of.payout_id, of.amount, of.currency, of.wallet_address, of.state);
    println!("receipt {} of {} of run {}, whose root {} is signed by {}", proof.index + 1, proof.receipts, of.run_id, proof.root, proof.public_key);
    Ok(ExitCode::SUCCESS)
}

/// A request without a body.
const NOTHING: Option<&()> = None;

struct Ask<'a> {
    remote: &'a Remote,
}

impl Ask<'_> {
    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&(impl Serialize + Sync)>) -> Result<T> {
        let client = self.remote.client()?;
        Ok(runtime(1)?.block_on(client.call(method, path, body))?)
    }

    fn tell<T: DeserializeOwned + Serialize>(&self, method: Method, path: &str, body: Option<&(impl Serialize + Sync)>) -> Result<ExitCode> {
        println!("{}", serde_json::to_string(&self.ask::<T>(method, path, body)?)?);
        Ok(ExitCode::SUCCESS)
    }

    /// Waits until it is done: exit 1 if the payment service tells otherwise of a payout.
    fn reconcile(&self, asked: &Reconcile) -> Result<ExitCode> {
        let mut switch: PaymentsSwitchBody = self.ask(Method::POST, "/payouts/reconcile", Some(&ReconcileRequest { since: asked.since.clone() }))?;
        let mut told = BTreeSet::new();
        loop {
            let standing: StandingBody = self.ask(Method::GET, "/payouts/status", NOTHING)?;
            if standing.payments.reconciled_at.is_some() || standing.payments.reconciling_since != switch.reconciling_since {
                switch = standing.payments;
                break;
            }
            if standing.mismatches_open > 0 {
                note!("{} payouts are told otherwise of: see lucid payout mismatches, and end each", standing.mismatches_open);
                return Ok(ExitCode::FAILURE);
            }
            for again in standing.compared_again.iter().filter(|again| told.insert((again.payout_id.clone(), again.looks))) {
                note!("payout {} is looked up again: after {} look-ups the payment service says: {}", again.payout_id, again.looks, again.said);
            }
            thread::sleep(Duration::from_millis(500));
        }
        println!("{}", serde_json::to_string(&switch)?);
        Ok(ExitCode::SUCCESS)
    }

    fn statement(&self, asked: &Statement) -> Result<ExitCode> {
        let mut query = vec![format!("format={}", if matches!(asked.format, Format::Csv) { "csv" } else { "json" })];
        query.extend(asked.year.map(|year| format!("year={year}")));
        query.extend(asked.from.as_ref().map(|from| format!("from={from}")));
        query.extend(asked.to.as_ref().map(|to| format!("to={to}")));
        query.extend(asked.user.as_ref().map(|user| format!("user_id={user}")));
        let path = asked.node.as_ref().map_or_else(|| "/payouts/statement".to_owned(), |node| format!("/nodes/{node}/statement"));
        self.save(&format!("{path}?{}", query.join("&")), asked.file.as_deref())
    }

    /// Writes an answer as it is: into a file, or to standard output.
    fn save(&self, path: &str, file: Option<&Path>) -> Result<ExitCode> {
        let client = self.remote.client()?;
        let bytes = runtime(1)?.block_on(client.bytes(path))?;
        match file {
            Some(file) => std::fs::write(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?,
            None => std::io::stdout().lock().write_all(&bytes)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
