use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use lucid_engine::{LoadedPolicy, Manifest, Surface};
use lucid_model::policies::Bundle;
use serde_json::{Value, json};

use super::scratch_engine::{ScratchEngine, bundle, columns, grouped, wrong};
use crate::{
    cli::{out, out::Output},
    printable::Foreign,
};

#[derive(Args)]
#[command(after_help = "Examples:
  lucid policy inspect policies/observation-weighted/1.0.0
  lucid policy inspect steady-1.0.0.tar --output json | jq .params")]
pub struct InspectArgs {
    /// A folder or an archive.
    bundle: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub fn run(args: &InspectArgs) -> Result<ExitCode> {
    let bundle = bundle(&args.bundle)?;
    let scratch = ScratchEngine::open()?;
    let manifest = scratch.engine.manifest(&bundle).map_err(wrong)?;
    let surface = scratch.engine.surface(&bundle).map_err(wrong)?;
    // What no host would run can be looked at all the same.
    let policy = scratch.engine.try_out(&bundle);
    let text = match args.output {
        Output::Json => as_json(&bundle, &manifest, &surface, &policy).to_string(),
        Output::Table => table(&bundle, &manifest, &surface, &policy),
    };
    out::out().lines(text)?;
    Ok(if policy.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn as_json(
    bundle: &Bundle,
    manifest: &Manifest,
    surface: &Surface,
    policy: &Result<LoadedPolicy, String>,
) -> Value {
    let facts = |policy: &LoadedPolicy| -> Vec<_> {
        policy
            .facts_read()
            .iter()
            .map(|f| json!({ "of": f.of, "name": f.name, "unit": f.unit, "default": f.default }))
            .collect()
    };
    let params = |policy: &LoadedPolicy| -> Vec<_> {
        let spec = |s: &lucid_model::policies::ParamSpec| json!({ "name": s.name, "unit": s.unit, "default": s.default, "min": s.min, "max": s.max, "doc": s.doc });
        policy.specs().iter().map(spec).collect()
    };
    let limits = &manifest.limits;
    json!({
        "name": manifest.policy.name, "version": manifest.policy.version.to_string(), "kind": manifest.kind.name(), "abi": manifest.abi,
        "digest": manifest.policy.digest.to_string(), "author": manifest.author, "description": manifest.description, "compiler": manifest.compiler,
        "component_bytes": bundle.component.len(), "golden_cases": bundle.golden.len(), "imports": surface.imports, "exports": surface.exports,
        "facts": policy.as_ref().ok().map(facts), "params": policy.as_ref().ok().map(params),
        "limits": { "memory_bytes_max": limits.memory_bytes_max, "fuel_base": limits.fuel_base, "fuel_per_node": limits.fuel_per_node },
        "signed_by_keys": bundle.signatures.iter().map(|signed| signed.key.to_string()).collect::<Vec<_>>(), "problem": policy.as_ref().err(),
    })
}

fn table(
    bundle: &Bundle,
    manifest: &Manifest,
    surface: &Surface,
    policy: &Result<LoadedPolicy, String>,
) -> String {
    let limits = &manifest.limits;
    let listed =
        |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let keys: Vec<_> = bundle.signatures.iter().map(|signed| signed.key.to_string()).collect();
    let size = |bytes: usize| grouped(u64::try_from(bytes).unwrap_or(u64::MAX));
    let lines = [
        ("policy", format!("{} ({})", manifest.policy, manifest.kind.name())),
        ("description", manifest.description.clone()),
        ("author", manifest.author.clone()),
        ("digest", manifest.policy.digest.to_string()),
        (
            "component",
            format!("{} bytes, built by {}", size(bundle.component.len()), manifest.compiler),
        ),
        ("imports", listed(&surface.imports)),
        ("exports", listed(&surface.exports)),
        (
            "limits",
            format!(
                "{} bytes of memory, {} fuel and {} a node",
                size(limits.memory_bytes_max),
                grouped(limits.fuel_base),
                grouped(limits.fuel_per_node)
            ),
        ),
        ("golden cases", bundle.golden.len().to_string()),
        ("signed by", if keys.is_empty() { "nobody".to_owned() } else { keys.join(", ") }),
    ];
    let mut text = lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<13} {}", Foreign(value));
        text
    });
    match policy {
        Err(problem) => text.push_str(&format!("\nno host would run it: {}\n", Foreign(problem))),
        Ok(policy) => {
            let optional = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
            let fact = |f: &lucid_model::policies::FactRead| {
                vec![
                    f.name.to_owned(),
                    f.of.to_owned(),
                    optional(f.unit.map(str::to_owned)),
                    optional(f.default.map(|d| d.to_string())),
                ]
            };
            let facts: Vec<_> = policy.facts_read().iter().map(fact).collect();
            text.push_str(&format!("\n{}\n", columns(&["fact", "of", "unit", "default"], &facts)));
            let param = |s: &lucid_model::policies::ParamSpec| {
                vec![
                    s.name.clone(),
                    s.unit.clone(),
                    s.default.to_string(),
                    format!("{}..={}", s.min, s.max),
                    s.doc.replace('\n', " ").trim().to_owned(),
                ]
            };
            let params: Vec<_> = policy.specs().iter().map(param).collect();
            if !params.is_empty() {
                text.push_str(&format!(
                    "\n{}\n",
                    columns(&["param", "unit", "default", "range", "meaning"], &params)
                ));
            }
        }
    }
    text
}
