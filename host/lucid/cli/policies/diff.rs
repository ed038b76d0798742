use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_api_types::policies::PolicyDiffBody;
use lucid_engine::{Case, LoadedPolicy};
use lucid_model::policies::{
    Bundle, Changed, ChangedParam, ComponentSize, Moved, ParamSpec, PolicyDifferences,
};
use serde_json::{Value, json};

use super::scratch_engine::{ScratchEngine, bundle, grouped, wrong};
use crate::{
    cli::{out, out::Output},
    printable::Foreign,
};

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
    let scratch = ScratchEngine::open()?;
    let (before, after) = (scratch.load(&old)?, scratch.load(&new)?);
    let differences = before.profile(&old).differences(&after.profile(&new));
    let answers = answers(&[&old, &new], &before, &after)?;
    let text = match args.output {
        Output::Json => as_json(
            &PolicyDiffBody::new(&before.identity().policy, &after.identity().policy, &differences),
            &answers,
        )?,
        Output::Table => format!(
            "{} → {}\n{}",
            before.identity().policy,
            after.identity().policy,
            table(&differences, &answers)
        ),
    };
    out::out().lines(text)?;
    Ok(if answers.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the API answers, and what only this command asks.
fn as_json(body: &PolicyDiffBody, answers: &[(String, Rows)]) -> Result<String> {
    let of_case = |(case, rows): &(String, Rows)| {
        let row = |(what, old, new): &(String, String, String)| json!({ "case": case, "what": what, "before": old, "after": new });
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let mut document = serde_json::to_value(body)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("answers".to_owned(), answers.iter().flat_map(of_case).collect());
    }
    Ok(document.to_string())
}

fn table(differences: &PolicyDifferences, answers: &[(String, Rows)]) -> String {
    let nothing = "–".to_owned();
    let mut text = String::new();
    for (what, old, new) in lines(differences) {
        let _ = writeln!(
            text,
            "  {:<28} {} → {}",
            Foreign(what),
            Foreign(old.as_ref().unwrap_or(&nothing)),
            Foreign(new.as_ref().unwrap_or(&nothing))
        );
    }
    for (case, rows) in answers {
        let _ = writeln!(text, "  {}", Foreign(case));
        for (what, old, new) in rows.iter().take(ROWS_SHOWN_MAX) {
            let _ = writeln!(text, "    {:<26} {} → {}", Foreign(what), Foreign(old), Foreign(new));
        }
        if rows.len() > ROWS_SHOWN_MAX {
            let _ = writeln!(text, "    and {} more", rows.len() - ROWS_SHOWN_MAX);
        }
    }
    text + if answers.is_empty() {
        "both answer alike to the inputs of their golden cases"
    } else {
        "they answer differently"
    }
}

/// Each difference: what, as it was, as it is.
fn lines(found: &PolicyDifferences) -> Vec<(String, Option<String>, Option<String>)> {
    let mut lines = Vec::new();
    let mut line = |what: String, before: Option<String>, after: Option<String>| {
        lines.push((what, before, after))
    };
    for changed in &found.manifest {
        line(changed.what.to_owned(), Some(changed.before.clone()), Some(changed.after.clone()));
    }
    if let Some(Changed { what, before, after }) = &found.component {
        let size = |component: &ComponentSize| {
            Some(format!("{} ({} bytes)", component.digest, grouped(component.bytes)))
        };
        line((*what).to_owned(), size(before), size(after));
    }
    for changed in &found.limits {
        line(
            format!("limits.{}", changed.what),
            Some(grouped(changed.before)),
            Some(grouped(changed.after)),
        );
    }
    for (name, there) in gone_and_new(&found.imports) {
        line(format!("imports {name}"), there.0, there.1);
    }
    for (fact, there) in gone_and_new(&found.facts) {
        line(format!("reads {} of a {}", fact.name, fact.of), there.0, there.1);
    }
    for ChangedParam { name, before, after } in &found.params {
        let doc = before.as_ref().map(|spec| &spec.doc) != after.as_ref().map(|spec| &spec.doc);
        let spec = |spec: &ParamSpec| {
            let doc = if doc {
                format!(": {}", spec.doc.replace('\n', " ").trim())
            } else {
                String::new()
            };
            format!("{} {} in {}..={}{doc}", spec.default, spec.unit, spec.min, spec.max)
        };
        line(format!("param {name}"), before.as_ref().map(spec), after.as_ref().map(spec));
    }
    lines
}

type OnEachSide = (Option<String>, Option<String>);

fn gone_and_new<T>(moved: &Moved<T>) -> impl Iterator<Item = (&T, OnEachSide)> {
    let yes = || Some("yes".to_owned());
    let gone = moved.removed.iter().map(move |one| (one, (yes(), None)));
    gone.chain(moved.added.iter().map(move |one| (one, (None, yes()))))
}

type Rows = Vec<(String, String, String)>;

/// What both answer to the inputs of all golden cases, where it differs.
fn answers(
    bundles: &[&Bundle],
    before: &LoadedPolicy,
    after: &LoadedPolicy,
) -> Result<Vec<(String, Rows)>> {
    let inputs: BTreeMap<_, _> = bundles
        .iter()
        .rev()
        .flat_map(|bundle| &bundle.golden)
        .map(|(name, text)| (name, text))
        .collect();
    let mut all = Vec::new();
    for (name, text) in inputs {
        let case = Case::parse(name, text).map_err(wrong)?;
        let ask = |policy: &LoadedPolicy| {
            policy
                .answer(&case)
                .map(|answer| answer.value)
                .unwrap_or_else(|(_, problem)| json!({ "failed": problem }))
        };
        let rows = rows(&ask(before), &ask(after));
        if !rows.is_empty() {
            all.push((name.clone(), rows));
        }
    }
    Ok(all)
}

fn rows(old: &Value, new: &Value) -> Rows {
    let keys = |value: &Value| {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
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
                let differing =
                    old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
                found.extend(differing.map(|(row, (old, new))| {
                    (format!("{name}[{row}]"), old.to_string(), new.to_string())
                }));
            }
            _ if old != new => found.push((name, old.to_string(), new.to_string())),
            _ => {}
        }
    }
    found
}
