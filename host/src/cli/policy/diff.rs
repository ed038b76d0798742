use std::{collections::BTreeMap, io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_engine::{Case, LoadedPolicy, PolicyEngine};
use lucid_model::policy::Bundle;
use serde_json::{Value, json};

use super::workshop::{Workshop, bundle, grouped, wrong};
use crate::up::Output;

/// Rows of one case that are told.
const ROWS_SHOWN_MAX: usize = 10;

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy diff bundles/steady/1.0.0 bundles/steady/1.1.0
  lucid policy diff policies/observation-weighted/1.0.0 policies/observation-only/1.0.0 --output json

Both are asked about the inputs of both bundles' golden cases.")]
pub struct DiffArgs {
    /// The older one: a folder or an archive.
    old: PathBuf,
    /// The newer one.
    new: PathBuf,
    /// How differences are written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &DiffArgs) -> Result<ExitCode> {
    let (old, new) = (bundle(&args.old)?, bundle(&args.new)?);
    let workshop = Workshop::open()?;
    let (before, after) = (workshop.load(&old)?, workshop.load(&new)?);
    let said = [said(&workshop.engine, &old, &before)?, said(&workshop.engine, &new, &after)?];
    let [ours, theirs] = &said;
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differs: Vec<_> =
        keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key)).map(|key| (key, ours.get(key), theirs.get(key))).collect();
    let answers = answers(&[&old, &new], &before, &after)?;
    let mut out = std::io::stdout().lock();
    if args.output == Output::Json {
        let differs: Vec<_> = differs.iter().map(|(key, old, new)| json!({ "what": key, "old": old, "new": new })).collect();
        let rows: Vec<_> = answers
            .iter()
            .flat_map(|(case, rows)| rows.iter().map(move |row| json!({ "case": case, "what": row.0, "old": row.1, "new": row.2 })))
            .collect();
        writeln!(out, "{}", json!({ "differences": differs, "answers": rows }))?;
    } else {
        writeln!(out, "{} → {}", before.identity().policy, after.identity().policy)?;
        let shown = |value: &Option<&String>| value.map_or_else(|| "–".to_owned(), Clone::clone);
        for (key, old, new) in &differs {
            writeln!(out, "  {key:<28} {} → {}", shown(old), shown(new))?;
        }
        for (case, rows) in &answers {
            writeln!(out, "  {case}")?;
            for (what, old, new) in rows.iter().take(ROWS_SHOWN_MAX) {
                writeln!(out, "    {what:<26} {old} → {new}")?;
            }
            if rows.len() > ROWS_SHOWN_MAX {
                writeln!(out, "    and {} more", rows.len() - ROWS_SHOWN_MAX)?;
            }
        }
        let verdict = if answers.is_empty() { "both answer alike to the inputs of their golden cases" } else { "they answer differently" };
        writeln!(out, "{verdict}")?;
    }
    Ok(if answers.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything a bundle says of itself, by what it is about.
fn said(engine: &PolicyEngine, bundle: &Bundle, policy: &LoadedPolicy) -> Result<BTreeMap<String, String>> {
    let manifest = policy.manifest();
    let surface = engine.surface(bundle).map_err(wrong)?;
    let limits = &manifest.limits;
    let mut said: BTreeMap<String, String> = [
        ("name", manifest.policy.name.clone()),
        ("version", manifest.policy.version.to_string()),
        ("kind", manifest.kind.name().to_owned()),
        ("abi", manifest.abi.clone()),
        ("digest", manifest.policy.digest.to_string()),
        ("author", manifest.author.clone()),
        ("description", manifest.description.clone()),
        ("compiler", manifest.compiler.clone()),
        ("component bytes", bundle.component.len().to_string()),
        ("imports", surface.imports.join(", ")),
        ("limits.memory_bytes_max", limits.memory_bytes_max.to_string()),
        ("limits.fuel_base", grouped(limits.fuel_base)),
        ("limits.fuel_per_node", grouped(limits.fuel_per_node)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for fact in policy.facts_read() {
        said.insert(format!("reads {} of a {}", fact.name, fact.of), "yes".to_owned());
    }
    for spec in policy.specs() {
        said.insert(format!("param {}", spec.name), format!("{} {} in {}..={}", spec.default, spec.unit, spec.min, spec.max));
    }
    Ok(said)
}

type Rows = Vec<(String, String, String)>;

/// What both answer to the inputs of all golden cases, where it differs.
fn answers(bundles: &[&Bundle], before: &LoadedPolicy, after: &LoadedPolicy) -> Result<Vec<(String, Rows)>> {
    let inputs: BTreeMap<_, _> = bundles.iter().rev().flat_map(|bundle| &bundle.golden).map(|(name, text)| (name, text)).collect();
    let mut all = Vec::new();
    for (name, text) in inputs {
        let case = Case::parse(name, text).map_err(wrong)?;
        let ask = |policy: &LoadedPolicy| policy.answer(&case).map(|answer| answer.value).unwrap_or_else(|(_, problem)| json!({ "failed": problem }));
        let rows = rows(&ask(before), &ask(after));
        if !rows.is_empty() {
            all.push((name.clone(), rows));
        }
    }
    Ok(all)
}

fn rows(old: &Value, new: &Value) -> Rows {
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut found = Vec::new();
    let mut names = keys(old);
    names.extend(keys(new));
    names.sort_unstable();
    names.dedup();
    let nothing = Value::Null;
    for name in names {
        let (old, new) = (old.get(&name).unwrap_or(&nothing), new.get(&name).unwrap_or(&nothing));
        match (old.as_array(), new.as_array()) {
            (Some(old), Some(new)) if old.len() == new.len() => {
                let differing = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
                found.extend(differing.map(|(row, (old, new))| (format!("{name}[{row}]"), old.to_string(), new.to_string())));
            }
            _ if old != new => found.push((name, old.to_string(), new.to_string())),
            _ => {}
        }
    }
    found
}
