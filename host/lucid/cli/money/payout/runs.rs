//! Runs: planned, told of, executed and followed.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;
use lucid_api_types::money::run::{PlanRunRequest, RunBody, RunReportBody};
use reqwest::Method;

use super::{Ask, ListOutput, NOTHING};

use crate::cli::out;

/// Between two looks at a run.
const LOOK: Duration = Duration::from_millis(500);
/// So long nothing may happen before it is said that somebody should look.
const STILL: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Plan {
    /// For this node; several times for several. Without it, for everybody who can be paid.
    #[arg(long = "node", value_name = "ID")]
    nodes: Vec<String>,
    /// How it is told.
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    output: ListOutput,
}

#[derive(Args)]
pub struct Report {
    /// The run.
    id: String,
    /// How it is told.
    #[arg(long, value_enum, default_value_t = ListOutput::Table)]
    output: ListOutput,
    /// Where to; standard output, if nothing is said.
    #[arg(long)]
    file: Option<PathBuf>,
}

#[derive(Args)]
pub struct Execute {
    /// The run.
    id: String,
    /// Do not follow it.
    #[arg(long)]
    no_wait: bool,
}

fn path(id: &str) -> String {
    super::path("/payouts/runs", id, "")
}

pub fn plan(ask: &Ask<'_>, plan: &Plan) -> Result<ExitCode> {
    let body = PlanRunRequest { node_ids: (!plan.nodes.is_empty()).then(|| plan.nodes.clone()) };
    let mut run: RunBody = ask.ask(Method::POST, "/payouts/runs", Some(&body))?;
    let mut line = Line::default();
    while run.planning {
        line.say(&format!("run {} is being planned", run.run_id));
        thread::sleep(LOOK);
        run = ask.ask(Method::GET, &path(&run.run_id), NOTHING)?;
    }
    line.end();
    report(ask, &Report { id: run.run_id, output: plan.output, file: None })
}

pub fn report(ask: &Ask<'_>, asked: &Report) -> Result<ExitCode> {
    let path = format!("{}/report", path(&asked.id));
    match asked.output {
        ListOutput::Csv => ask.save(&format!("{path}?format=csv"), asked.file.as_deref()),
        ListOutput::Json => ask.save(&path, asked.file.as_deref()),
        ListOutput::Table => {
            let report = table(&ask.ask(Method::GET, &path, NOTHING)?);
            match &asked.file {
                Some(file) => std::fs::write(file, report)?,
                None => out::out().write_all(report.as_bytes())?,
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Lets a run go and follows it: exit 1 if it did not pay everybody.
pub fn execute(ask: &Ask<'_>, asked: &Execute) -> Result<ExitCode> {
    let run: RunBody = ask.ask(Method::POST, &format!("{}/execute", path(&asked.id)), NOTHING)?;
    if asked.no_wait {
        out::say(serde_json::to_string(&run)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut line, mut told, mut since) = (Line::default(), String::new(), Instant::now());
    loop {
        let asked_at = Instant::now();
        let report: RunReportBody =
            ask.ask(Method::GET, &format!("{}/report", path(&asked.id)), NOTHING)?;
        // The report of a large run is work for the service, which has something better to do
        // meanwhile.
        let pause = LOOK.max(asked_at.elapsed() * 4);
        let count = |states: &[&str]| {
            report
                .payouts
                .iter()
                .filter(|part| states.contains(&part.state.as_str()))
                .map(|part| part.count)
                .sum::<u64>()
        };
        let (paid, waits, person) =
            (count(&["confirmed"]), count(&["reserved"]), count(&["manual"]));
        let not_paid = count(&["failed", "cancelled"]);
        let all: u64 = report.payouts.iter().map(|part| part.count).sum();
        let now = format!(
            "{paid} of {all} paid, {} on their way, {waits} not sent yet, {not_paid} not paid, {person} for a treasurer",
            all - paid - waits - person - not_paid
        );
        if now != told {
            (told, since) = (now, Instant::now());
        }
        line.say(&told);
        let is_over = report.run.state != "approved";
        if is_over || (person > 0 && person + paid + not_paid == all) {
            line.end();
            out::out().lines(table(&report))?;
            return Ok(if is_over && paid == all { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if since.elapsed() > STILL {
            line.end();
            note!(
                "nothing has happened for {} s: look at `lucid status`; the run goes on by itself",
                STILL.as_secs()
            );
            return Ok(ExitCode::FAILURE);
        }
        thread::sleep(pause);
    }
}

/// One line of progress, rewritten on a terminal; elsewhere a line each time it changes.
#[derive(Default)]
struct Line {
    last: String,
}

impl Line {
    fn say(&mut self, text: &str) {
        if self.last == text {
            return;
        }
        text.clone_into(&mut self.last);
        if std::io::stderr().is_terminal() { draw!("\r\x1b[2K{text}") } else { note!("{text}") }
    }

    fn end(&self) {
        if !self.last.is_empty() && std::io::stderr().is_terminal() {
            note!("");
        }
    }
}

fn table(report: &RunReportBody) -> String {
    let run = &report.run;
    let mut rows = vec![
        ("run".to_owned(), run.run_id.clone()),
        (
            "state".to_owned(),
            if run.planning { "being planned".to_owned() } else { run.state.clone() },
        ),
        ("planned by".to_owned(), run.planner.clone()),
        ("approved by".to_owned(), run.approver.clone().unwrap_or_else(|| "-".to_owned())),
        ("executed by".to_owned(), run.executor.clone().unwrap_or_else(|| "-".to_owned())),
        ("to pay".to_owned(), format!("{} payouts, {} USDT", run.payout_count, run.total_usdt)),
    ];
    rows.extend(run.reason.iter().map(|reason| ("because".to_owned(), reason.clone())));
    rows.extend(report.payouts.iter().map(|part| {
        (part.state.clone(), format!("{} payouts, {} USDT", part.count, part.total_usdt))
    }));
    rows.extend(report.left_out.iter().map(|of| {
        (
            format!("left out: {}", of.reason),
            format!("{} nodes with {} USDT available", of.nodes, of.available_usdt),
        )
    }));
    rows.extend(report.since_previous.iter().map(|since| {
        (
            "since the last".to_owned(),
            format!("{:+} payouts, {} USDT", since.payouts, since.total_usdt),
        )
    }));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}
