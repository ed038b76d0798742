use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, Subcommand};
use lucid_api_types::{
    fleet::enrolment::{CreateEnrolmentRequest, EnrolmentBody},
    page::PageParams,
};

use crate::cli::{logs, out, out::Output, remote::Remote, runtime};

/// Enrolment tokens: a machine that has one joins without its owner's token.
#[derive(Args)]
pub struct EnrolArgs {
    #[command(subcommand)]
    command: EnrolCommand,
}

#[derive(Subcommand)]
enum EnrolCommand {
    /// Make one and print it; it is shown once.
    #[command(
        after_help = "Examples:\n  lucid enrol create --token-file owner.token --name \"rack 7\" --uses 20 --hours 72 > rack7.token\n  \
                            lucid agent --server http://10.0.0.5:8095 --ip 10.0.0.9 --enrolment-token-file rack7.token"
    )]
    Create(CreateArgs),
    /// List them; the tokens themselves are not kept.
    List(ListArgs),
    /// Take one back; nodes that were registered with it stay.
    Revoke(RevokeArgs),
}

#[derive(Args)]
struct CreateArgs {
    #[command(flatten)]
    remote: Remote,
    /// For people.
    #[arg(long)]
    name: String,
    /// How many nodes may be registered with it, 1–10000.
    #[arg(long, default_value_t = 1)]
    uses: u32,
    /// For how many hours it is good, 1–8760.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// The pool that its nodes are put into.
    #[arg(long, value_name = "ID")]
    pool: Option<String>,
    /// Whose nodes are registered with it, if not yours; for operators.
    #[arg(long, value_name = "ID")]
    owner: Option<String>,
    /// Its nodes are approved already; for operators.
    #[arg(long)]
    approve: bool,
    /// How the answer is written; `table` prints the token alone.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Args)]
struct ListArgs {
    #[command(flatten)]
    remote: Remote,
    /// Which page, from 1.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// Tokens of a page, 1–100.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Args)]
struct RevokeArgs {
    #[command(flatten)]
    remote: Remote,
    /// The token's id, as `list` shows it.
    id: String,
}

pub fn run(args: EnrolArgs) -> Result<ExitCode> {
    logs("error", false);
    match args.command {
        EnrolCommand::Create(args) => create(args),
        EnrolCommand::List(args) => list(&args),
        EnrolCommand::Revoke(args) => {
            runtime(1)?.block_on(args.remote.client()?.revoke_enrolment(&args.id))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn create(args: CreateArgs) -> Result<ExitCode> {
    let request = CreateEnrolmentRequest {
        name: args.name,
        scope: args.approve.then(|| "approve".to_owned()),
        owner_id: args.owner,
        pool_id: args.pool,
        uses_max: Some(args.uses),
        expires_in_hours: Some(args.hours),
    };
    let made = runtime(1)?.block_on(args.remote.client()?.create_enrolment(&request))?;
    let mut out = out::out();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&made)?)?,
        Output::Table => {
            note!(
                "enrolment token {} for {} nodes until {}; it is shown once:",
                made.enrolment_id,
                made.uses_max,
                made.expires_at
            );
            writeln!(out, "{}", made.token.unwrap_or_default())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(args: &ListArgs) -> Result<ExitCode> {
    let page = PageParams {
        page: Some(u64::from(args.page)),
        limit: Some(args.limit),
        ..PageParams::default()
    };
    let found = runtime(1)?.block_on(args.remote.client()?.enrolments(&page))?;
    let mut out = out::out();
    for token in &found.enrolment_tokens {
        match args.output {
            Output::Json => writeln!(out, "{}", serde_json::to_string(token)?)?,
            Output::Table => {
                let EnrolmentBody { enrolment_id, name, scope, uses, uses_max, expires_at, .. } =
                    token;
                let state = if token.usable { "good" } else { "spent" };
                writeln!(
                    out,
                    "{enrolment_id}  {state:<5}  {uses:>5}/{uses_max:<5}  {scope:<8}  {expires_at}  {name}"
                )?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
