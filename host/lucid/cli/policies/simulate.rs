use std::{collections::BTreeMap, io::Write, process::ExitCode};

use anyhow::Result;
use clap::{Args, ValueEnum};
use lucid_api_types::policies::{
    EarningNodeBody, PayoutSimulationBody, SimulatePolicyRequest, SimulatedNodeBody, SimulationBody,
};

use super::scratch_engine::wrong;
use crate::cli::{out, remote::Remote, runtime};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy simulate steady@1.1.0 --token-file author.token
  lucid policy simulate steady@1.1.0 --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z --param bonus-ppm=50000 --token-file author.token
  lucid policy simulate flat@2.0.0 --kind payout --from 2026-11-01T00:00:00Z --token-file author.token
  lucid policy simulate steady@1.1.0 --pool 01a219e8-6616-74a2-8a11-71c0b8d71673 --output csv --token-file author.token > nodes.csv

The service asks the version, which was handed in and is active nowhere yet, about the frames of epochs that are over (a payout
policy: about settled periods, in USDT), and says who would have gained and who would have lost. Nothing is changed.")]
pub struct SimulateArgs {
    /// The version: NAME@VERSION.
    policy: String,
    /// What the version decides.
    #[arg(long, value_enum, default_value_t = Kind::Scoring)]
    kind: Kind,
    /// Closed epochs, or settled periods, that begin at this time or later; by default the day, or
    /// the week, before --to.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Those that begin before this time; by default now.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only the nodes of this pool; `unassigned`: those in none.
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// A param: NAME=NUMBER; may be repeated.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = param)]
    param: Vec<(String, i64)>,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// Totals, and those who gain and lose most.
    Json,
    /// Every node.
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Multipliers of scores.
    Scoring,
    /// Shares of a budget.
    Payout,
}

fn param(text: &str) -> Result<(String, i64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=NUMBER")?;
    Ok((name.to_owned(), value.parse().map_err(|_| "expected a whole number after =")?))
}

pub fn run(args: &SimulateArgs) -> Result<ExitCode> {
    let (name, version) =
        args.policy.split_once('@').ok_or_else(|| wrong("name the version as NAME@VERSION"))?;
    let asked = SimulatePolicyRequest {
        params: args.param.iter().cloned().collect::<BTreeMap<_, _>>(),
        from: args.from.clone(),
        to: args.to.clone(),
        pool_id: args.pool.clone(),
    };
    let kind = if args.kind == Kind::Payout { "payout" } else { "scoring" };
    let client = args.remote.client()?;
    let answer = runtime(1)?.block_on(client.simulate(
        (kind, name, version),
        &asked,
        args.output == Form::Csv,
    ))?;
    let mut out = out::out();
    match args.output {
        Form::Table if args.kind == Kind::Payout => {
            money_table(&mut out, &serde_json::from_slice(&answer)?)?
        }
        Form::Table => table(&mut out, &serde_json::from_slice(&answer)?)?,
        Form::Json => writeln!(out, "{}", String::from_utf8_lossy(&answer).trim_end())?,
        Form::Csv => out.write_all(&answer)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(out: &mut impl Write, told: &SimulationBody) -> std::io::Result<()> {
    writeln!(
        out,
        "  {} {} over {} epochs: {} scores of {} nodes, {} of them changed",
        told.policy.name,
        told.policy.version,
        told.epochs,
        told.scores,
        told.nodes,
        told.nodes_changed
    )?;
    writeln!(out, "  {:<22} {:>20} {:>20}", "", "as it was", "simulated")?;
    writeln!(
        out,
        "  {:<22} {:>20} {:>20}",
        "mean score",
        told.before.mean_score.as_str(),
        told.after.mean_score.as_str()
    )?;
    for (what, before, after) in [
        ("score-seconds", told.before.score_seconds, told.after.score_seconds),
        ("clamped at 100", told.before.clamped, told.after.clamped),
        ("held", told.before.held, told.after.held),
    ] {
        writeln!(out, "  {what:<22} {before:>20} {after:>20}")?;
    }
    for (what, nodes) in [("gain most", &told.winners), ("lose most", &told.losers)] {
        if nodes.is_empty() {
            continue;
        }
        writeln!(out)?;
        writeln!(out, "  {what:<38} {:>8} {:>9} {:>22}", "was", "would be", "score-seconds")?;
        for SimulatedNodeBody { node_id, before, after, difference, .. } in nodes {
            writeln!(
                out,
                "  {node_id:<38} {:>8} {:>9} {difference:>+22}",
                before.mean_score.as_str(),
                after.mean_score.as_str()
            )?;
        }
    }
    Ok(())
}

fn money_table(out: &mut impl Write, told: &PayoutSimulationBody) -> std::io::Result<()> {
    let PayoutSimulationBody { policy, periods, nodes, nodes_changed, usdt, .. } = told;
    writeln!(
        out,
        "  {} {} over {periods} periods: {nodes} nodes, {nodes_changed} of them changed",
        policy.name, policy.version
    )?;
    writeln!(out, "  {:<38} {:>20} {:>20} {:>20}", "USDT", "as it was", "simulated", "difference")?;
    writeln!(
        out,
        "  {:<38} {:>20} {:>20} {:>20}",
        "all", usdt.before, usdt.after, usdt.difference
    )?;
    for (what, nodes) in [("gain most", &usdt.winners), ("lose most", &usdt.losers)] {
        if nodes.is_empty() {
            continue;
        }
        writeln!(out)?;
        writeln!(out, "  {what}")?;
        for EarningNodeBody { node_id, before, after, difference, .. } in nodes {
            writeln!(out, "  {node_id:<38} {before:>20} {after:>20} {difference:>20}")?;
        }
    }
    Ok(())
}
