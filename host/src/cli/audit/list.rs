use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lucid_wire::page::PageParams;

use super::super::{logs, remote::Remote, runtime};
use crate::up::Output;

#[derive(Args)]
#[command(after_help = "Examples:
  lucid token issue --role viewer > token
  lucid audit list --token-file token --action policy.activate
  lucid audit list --token-file token --from 2026-01-31T00:00:00Z --order asc --limit 100 --output json")]
pub struct ListArgs {
    #[command(flatten)]
    remote: Remote,
    /// Only by this actor.
    #[arg(long)]
    actor: Option<String>,
    /// Only with this action, such as node.register.
    #[arg(long)]
    action: Option<String>,
    /// Only about this subject: a node's id, a policy, …
    #[arg(long)]
    subject: Option<String>,
    /// Not before this time (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Before this time (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    /// Which page, from 1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    page: u64,
    /// Entries of a page, 1–100.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Oldest or newest first.
    #[arg(long, value_enum, default_value_t = Order::Desc)]
    order: Order,
    /// How entries are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

pub fn run(args: ListArgs) -> Result<ExitCode> {
    logs("error", false);
    let client = args.remote.client()?;
    let order = if args.order == Order::Asc { "asc" } else { "desc" };
    let page = PageParams { page: Some(args.page), limit: Some(args.limit), sort: None, order: Some(order.into()) };
    let filters = [("actor", &args.actor), ("action", &args.action), ("subject", &args.subject), ("from", &args.from), ("to", &args.to)];
    let filters: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let found = runtime(1)?.block_on(client.audit(&page, &filters))?;
    let mut out = std::io::stdout().lock();
    for entry in &found.entries {
        match args.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string(entry)?)?,
            Output::Table => {
                writeln!(out, "{}  {:<20} {:<24} {}  {}", entry.at, entry.actor, entry.action, entry.subject, entry.detail)?;
            }
        }
    }
    if args.output == Output::Table {
        let pages = found.pagination;
        writeln!(out, "page {} of {}, {} entries in all", pages.page, pages.pages, pages.total)?;
    }
    Ok(ExitCode::SUCCESS)
}
