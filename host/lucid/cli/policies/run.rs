use std::{fs, io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;
use lucid_engine::{Answer, Case};
use serde_json::{Value, json};

use super::scratch_engine::{ScratchEngine, bundle, columns, grouped, wrong};
use crate::cli::{out, out::Output};

#[derive(Args)]
#[command(after_help = "Examples:
  printf 'uptime-ppm,nodes-same-ip\\n900000,1\\n900000,9\\n' > nodes.csv
  lucid policy run bundles/steady/1.0.0 nodes.csv
  lucid policy run bundles/steady/1.0.0 golden/typical.json --param nodes-per-ip-max=2 --output json

The input is a table of facts (CSV, names in the first line) or a golden case, whose context and answer may be left out.
Facts that are not in it have the catalogue's defaults.")]
pub struct RunArgs {
    /// A folder or an archive.
    bundle: PathBuf,
    /// A .json or .csv file.
    input: PathBuf,
    /// A param that is not at its default: NAME=VALUE.
    #[arg(long = "param", value_parser = param)]
    params: Vec<(String, i64)>,
    /// Which function of a validation policy: judge-registration, judge-observations,
    /// judge-score-claims.
    #[arg(long)]
    call: Option<String>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn param(text: &str) -> Result<(String, i64), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.parse().map_err(|_| format!("{value:?} is not a whole number"))?))
}

pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let text = fs::read_to_string(&args.input)
        .with_context(|| format!("cannot read {}", args.input.display()))?;
    let file = args.input.display().to_string();
    let csv = args.input.extension().is_some_and(|end| end == "csv");
    let mut case =
        if csv { Case::table(&file, &text) } else { Case::parse(&file, &text) }.map_err(wrong)?;
    case.params.extend(args.params.iter().cloned());
    case.call = args.call.clone().or(case.call);
    let scratch = ScratchEngine::open()?;
    let policy = scratch.load(&bundle(&args.bundle)?)?;
    let answer = policy.answer(&case).map_err(|(_, what)| wrong(format!("{file}: {what}")))?;
    let mut out = out::out();
    match args.output {
        Output::Json => {
            let policy = policy.identity().policy.to_string();
            writeln!(
                out,
                "{}",
                json!({ "policy": policy, "answer": answer.value, "rows": answer.rows, "fuel": answer.fuel, "micros": answer.micros })
            )?;
        }
        Output::Table => {
            out.lines(shown(&case, &answer))?;
            writeln!(
                out,
                "{} rows, {} fuel, {} µs on a fresh instance",
                answer.rows,
                grouped(answer.fuel),
                answer.micros
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A row a node: what went in, what came out.
fn shown(case: &Case, answer: &Answer) -> String {
    let answers: Vec<_> = answer.value.as_object().into_iter().flatten().collect();
    let lists: Vec<_> = answers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_array()?)))
        .collect();
    if lists.is_empty() {
        return answer.value.to_string();
    }
    let head: Vec<_> = ["row"]
        .into_iter()
        .chain(case.facts.keys().map(String::as_str))
        .chain(lists.iter().map(|(name, _)| *name))
        .collect();
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let row = |row: usize| {
        let facts = case
            .facts
            .values()
            .map(|column| column.get(row).map(i64::to_string).unwrap_or_default());
        let answers = lists.iter().map(|(_, values)| cell(values.get(row)));
        std::iter::once(row.to_string()).chain(facts).chain(answers).collect::<Vec<_>>()
    };
    columns(&head, &(0..answer.rows).map(row).collect::<Vec<_>>())
}
