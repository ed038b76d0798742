use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_agent::{AgentStatus, Health};
use lucid_model::time::TimeMs;
use serde::Serialize;

use crate::{
    cli::{out, out::Output},
    config::ConfigError,
};

/// How the agent of a folder is.
#[derive(Args)]
pub struct StatusArgs {
    /// The agent's folder.
    #[arg(long, default_value = "agent-data")]
    data: PathBuf,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    health: &'a Health,
    #[serde(flatten)]
    status: &'a AgentStatus,
}

pub fn run(args: &StatusArgs) -> Result<ExitCode> {
    // Nothing that could be read is an answer of its own: 2, as for an agent that does not run.
    let (status, is_running) =
        lucid_agent::status(&args.data).map_err(|error| ConfigError(error.to_string()))?;
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let health = status.health(is_running, TimeMs(i64::try_from(since_1970.as_millis())?));
    let mut out = out::out();
    match args.output {
        Output::Json => writeln!(
            out,
            "{}",
            serde_json::to_string(&Answer { health: &health, status: &status })?
        )?,
        Output::Table => table(&mut out, &health, &status)?,
    }
    Ok(match health {
        Health::Fine => ExitCode::SUCCESS,
        Health::Failing(_) => ExitCode::FAILURE,
        Health::NotRunning => ExitCode::from(2),
    })
}

fn table(out: &mut impl Write, health: &Health, status: &AgentStatus) -> Result<()> {
    match health {
        Health::Fine => writeln!(out, "agent           fine, since {}", status.started_at)?,
        Health::NotRunning => writeln!(
            out,
            "agent           not running; its last word was at {}",
            status.updated_at
        )?,
        Health::Failing(reasons) => {
            writeln!(out, "agent           failing")?;
            reasons.iter().try_for_each(|reason| writeln!(out, "                {reason}"))?;
        }
    }
    let known = |text: &Option<String>, otherwise: &str| {
        text.clone().unwrap_or_else(|| otherwise.to_owned())
    };
    writeln!(
        out,
        "node            {}, {}",
        known(&status.node_id, "not registered"),
        known(&status.node_status, "status not known yet")
    )?;
    writeln!(out, "service         {}", status.server)?;
    writeln!(out, "last sample     {}", known(&status.last_sample_at, "none"))?;
    match &status.last_accepted {
        None => writeln!(out, "last accepted   none")?,
        Some(report) => {
            writeln!(
                out,
                "last accepted   {}: report {}, {} samples, {} of them late",
                report.at, report.sequence, report.samples, report.late
            )?;
        }
    }
    let waiting = &status.spool;
    writeln!(
        out,
        "waiting         {} samples, {} bytes; the oldest of {}",
        waiting.samples,
        waiting.bytes,
        known(&waiting.oldest_at, "none")
    )?;
    writeln!(out, "dropped         {} samples", status.dropped_samples)?;
    match &status.last_error {
        None => writeln!(out, "last error      none")?,
        Some(error) => writeln!(out, "last error      {}: {}", error.at, error.reason)?,
    }
    match status.clock_offset_ms {
        None => writeln!(out, "clock           not compared yet")?,
        Some(offset) => writeln!(out, "clock           the service's is {offset} ms ahead")?,
    }
    Ok(())
}
