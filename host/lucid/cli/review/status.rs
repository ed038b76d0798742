use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_api_types::money::payments::StandingBody;
use reqwest::Method;

use crate::{
    cli::{out, out::Output, remote::Remote, runtime},
    printable::Foreign,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid status --token-file operator.token
  lucid status --server https://nodes.example --token-file operator.token --output json

Exit codes: 0 money is safe, 1 a person should look (or the service cannot be asked), 2 payments are stopped or the books are not in order.")]
pub struct StatusArgs {
    #[command(flatten)]
    remote: Remote,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &StatusArgs) -> Result<ExitCode> {
    let client = args.remote.client()?;
    let standing: StandingBody =
        runtime(1)?.block_on(client.call(Method::GET, "/payouts/status", None::<&()>))?;
    let mut out = out::styled();
    match args.output {
        Output::Table => table(&mut out, &standing, out::is_terminal())?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(&standing)?)?,
    }
    Ok(match standing.safety.as_str() {
        "safe" => ExitCode::SUCCESS,
        "attention" => ExitCode::from(1),
        _ => ExitCode::from(2),
    })
}

fn table(out: &mut impl Write, standing: &StandingBody, colour: bool) -> std::io::Result<()> {
    let (mark, code, words) = match standing.safety.as_str() {
        "safe" => ("✓", "32", "money is safe"),
        "attention" => ("!", "33", "nothing is lost, and a person should look"),
        _ => ("✗", "31", "payments are stopped, or the books are not in order"),
    };
    if colour {
        writeln!(out, "  \x1b[{code}m{mark} {words}\x1b[0m")?;
    } else {
        writeln!(out, "  {mark} {words}")?;
    }
    for reason in &standing.reasons {
        writeln!(out, "    - {}", Foreign(reason))?;
    }
    let rail = standing.rail.as_deref().unwrap_or("none: nothing is paid");
    writeln!(out, "  rail        {}", Foreign(rail))?;
    writeln!(out, "  treasury    {} USDT not promised to anybody", standing.treasury_usdt)?;
    writeln!(
        out,
        "  unclaimed   {} USDT that nodes left behind, kept apart",
        standing.unclaimed_usdt
    )?;
    match &standing.books {
        Some(books) => writeln!(
            out,
            "  books       {} at {}: {} entries, {} payouts",
            if books.in_order { "in order" } else { "not in order" },
            books.verified_at,
            books.entries,
            books.payouts
        )?,
        None => writeln!(out, "  books       not verified by this replica since it started")?,
    }
    for open in &standing.open_payouts {
        writeln!(
            out,
            "  {:<11} {} payouts, {} USDT, the oldest of {}",
            open.state, open.count, open.total_usdt, open.oldest_at
        )?;
    }
    match (standing.last_epoch, standing.last_epoch_lateness_seconds) {
        (Some(epoch), Some(late)) => {
            writeln!(out, "  last epoch  {epoch}, closed {late} s after its end")?
        }
        _ => writeln!(out, "  last epoch  none")?,
    }
    match standing.last_period {
        Some(period) => writeln!(out, "  settled     up to the period that began at {period}")?,
        None => writeln!(out, "  settled     nothing yet")?,
    }
    let created = standing
        .store
        .created_at
        .as_deref()
        .map_or_else(String::new, |at| format!(", created at {at}"));
    writeln!(out, "  store       family {}{created}", standing.store.family)?;
    let late = standing
        .tasks
        .iter()
        .filter_map(|task| Some((task.success_age_seconds?, &task.name)))
        .max();
    match late {
        Some((age, name)) => writeln!(
            out,
            "  tasks       {}; the longest without success: {name}, {age} s",
            standing.tasks.len()
        ),
        None => writeln!(out, "  tasks       other replicas do them"),
    }
}
