use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lucid_api_types::{
    audit::AuditEntryBody,
    page::{AuditList, PageParams, Pagination},
};
use lucid_model::time::TimeMs;
use lucid_ports::{AuditFilter, PageRequest};

use crate::{
    cli::{logs, out, out::Output, place::opened, remote::Remote, runtime},
    config::ConfigError,
    stores::STORES,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid token issue --role viewer > token
  lucid audit list --token-file token --action policy.activate
  lucid audit list --token-file token --from 2026-01-31T00:00:00Z --order asc --limit 100 --output json
  lucid audit list --store mongodb://db/lucid --subject treasury    without a service")]
pub struct ListArgs {
    #[command(flatten)]
    remote: Remote,
    /// Read this store (sqlite://DIR or mongodb://HOST/DATABASE) in place of asking a service.
    #[arg(long, value_name = "URL", conflicts_with_all = ["server", "token_file", "ca_file"])]
    store: Option<String>,
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
    let found = match &args.store {
        Some(store) => runtime(1)?.block_on(of_store(&args, store))?,
        None => of_service(&args)?,
    };
    let mut out = out::out();
    for entry in &found.entries {
        match args.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string(entry)?)?,
            Output::Table => {
                writeln!(
                    out,
                    "{}  {:<20} {:<24} {}  {}",
                    entry.at, entry.actor, entry.action, entry.subject, entry.detail
                )?;
            }
        }
    }
    if args.output == Output::Table {
        let pages = found.pagination;
        writeln!(out, "page {} of {}, {} entries in all", pages.page, pages.pages, pages.total)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn of_service(args: &ListArgs) -> Result<AuditList> {
    let client = args.remote.client()?;
    let order = if args.order == Order::Asc { "asc" } else { "desc" };
    let page = PageParams {
        page: Some(args.page),
        limit: Some(args.limit),
        sort: None,
        order: Some(order.into()),
    };
    let filters = [
        ("actor", &args.actor),
        ("action", &args.action),
        ("subject", &args.subject),
        ("from", &args.from),
        ("to", &args.to),
    ];
    let filters: Vec<_> =
        filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    Ok(runtime(1)?.block_on(client.audit(&page, &filters))?)
}

async fn of_store(args: &ListArgs, store: &str) -> Result<AuditList> {
    let time = |name: &str, text: &Option<String>| -> Result<Option<TimeMs>, ConfigError> {
        let wrong = || {
            ConfigError(format!("--{name} must be an RFC 3339 time such as 2026-01-31T12:00:00Z"))
        };
        text.as_ref().map(|text| text.parse().map_err(|_| wrong())).transpose()
    };
    let filter = AuditFilter {
        actor: args.actor.clone(),
        action: args.action.clone(),
        area: None,
        subject: args.subject.clone(),
        from: time("from", &args.from)?,
        to: time("to", &args.to)?,
    };
    let order = if args.order == Order::Asc {
        lucid_ports::Order::Ascending
    } else {
        lucid_ports::Order::Descending
    };
    let log = opened(STORES.open_audit_log(store).await)?;
    let found = log
        .audit(&filter, PageRequest { page: args.page, limit: args.limit, sort: (), order })
        .await?;
    let entries = found.items.iter().map(AuditEntryBody::from).collect();
    Ok(AuditList { entries, pagination: Pagination::new(args.page, args.limit, found.total) })
}
