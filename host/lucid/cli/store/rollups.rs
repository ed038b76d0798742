use std::{io::Write, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_ports::Walked;
use serde_json::json;

use crate::{
    cli::{logs, out, out::Output, runtime},
    compose::existing,
};

/// Nodes of a step.
const NODES_A_STEP: u32 = 100;

#[derive(Args)]
#[command(after_help = "Examples:
  lucid store rollups sqlite:///var/lib/lucid/
  lucid store rollups mongodb://db1/lucid --output json

Stop the service first. Of each hour of which samples are kept (7 days, unless said otherwise) the rollups of 5 minutes and
of the hour are made once more. What is there is replaced only by what is made of at least as many samples, so that running it twice,
or without need, changes nothing. Stopped, it begins again.

Exit codes: 0 done, 1 the store failed, 2 wrong arguments.")]
pub struct RollupsArgs {
    /// The store: sqlite://DIR/ or mongodb://HOST/DATABASE.
    store: String,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &RollupsArgs) -> Result<ExitCode> {
    logs("error", false);
    let (mut nodes, mut hours) = (0_u64, 0_u64);
    runtime(0)?.block_on(async {
        let store = existing(&args.store).await?;
        let mut after = None;
        loop {
            let Walked { done, next } = store.roll_up_again(after, NODES_A_STEP).await?;
            let Some(last) = next else { return Ok::<_, anyhow::Error>(()) };
            (after, hours, nodes) = (Some(last), hours + done, nodes + u64::from(NODES_A_STEP));
            note!("up to {nodes} nodes, {hours} hours of them");
        }
    })?;
    let mut out = out::out();
    match args.output {
        Output::Table => {
            writeln!(out, "  ✓ {hours} hours of nodes are rolled up from their samples")?
        }
        Output::Json => writeln!(out, "{}", json!({ "hours": hours }))?,
    }
    Ok(ExitCode::SUCCESS)
}
