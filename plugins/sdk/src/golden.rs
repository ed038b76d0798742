//! Golden cases: input and expected output as JSON, run natively here and in WebAssembly by the host.
//!
//! ```json
//! { "call": "score",
//!   "context": { "epoch": 1760000400, "period_seconds": 3600, "seed": "0", "params": {} },
//!   "facts": { "observed-s": [3600, 0], "period-s": [3600, 3600] },
//!   "expect": { "multipliers": [1000000, 1000000], "reasons": [null, null] } }
//! ```
//!
//! For `judge-registration` the facts are single numbers and `texts` stands beside them.

use core::fmt;
use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Payout, Scoring, Validation, Verdict,
    native::{Call, CallError},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    call: String,
    context: CaseContext,
    facts: BTreeMap<String, Column>,
    #[serde(default)]
    texts: BTreeMap<String, Option<String>>,
    expect: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseContext {
    epoch: i64,
    period_seconds: u32,
    /// A string, because JSON's numbers end at 2⁵³.
    seed: String,
    #[serde(default)]
    params: BTreeMap<String, i64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Column {
    One(i64),
    Rows(Vec<i64>),
}

/// What is wrong with a folder of golden cases, a line a case.
#[derive(Clone, PartialEq, Eq)]
pub struct GoldenError(String);

impl fmt::Display for GoldenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same as `Display`, so that a test's `unwrap` shows the lines as they are.
impl fmt::Debug for GoldenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for GoldenError {}

/// Runs every `*.json` of a folder against a scoring policy and returns how many there were.
///
/// # Errors
/// Names every case that is unreadable or differs; also if there is none.
pub fn scoring<P: Scoring>(folder: impl AsRef<Path>) -> Result<usize, GoldenError> {
    run(folder.as_ref(), |kind, call| match kind {
        "score" => Some(call.score::<P>().map(|out| {
            json!({ "multipliers": out.multipliers,
                    "reasons": sentences(&out.reasons, &out.reason_table, out.multipliers.len()) })
        })),
        _ => None,
    })
}

/// Runs every `*.json` of a folder against a payout policy and returns how many there were.
///
/// # Errors
/// As [`scoring`].
pub fn payout<P: Payout>(folder: impl AsRef<Path>) -> Result<usize, GoldenError> {
    let decimal = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>();
    run(folder.as_ref(), |kind, call| match kind {
        "weigh" => Some(call.weigh::<P>().map(|out| {
            json!({ "weights": decimal(&out.weights), "held_ppm": out.held_ppm, "caps": decimal(&out.caps),
                    "reasons": sentences(&out.reasons, &out.reason_table, out.weights.len()) })
        })),
        _ => None,
    })
}

/// Runs every `*.json` of a folder against a validation policy and returns how many there were.
///
/// # Errors
/// As [`scoring`].
pub fn validation<P: Validation>(folder: impl AsRef<Path>) -> Result<usize, GoldenError> {
    let rows = |out: crate::abi::Verdicts| json!({ "verdicts": sentences(&out.verdicts, &out.reason_table, out.verdicts.len()) });
    run(folder.as_ref(), |kind, call| match kind {
        "judge-registration" => Some(call.judge_registration::<P>().map(|verdict| match verdict {
            Verdict::Accept => json!({ "verdict": "accept" }),
            Verdict::Reject(reason) => json!({ "reject": reason }),
        })),
        "judge-observations" => Some(call.judge_observations::<P>().map(rows)),
        "judge-score-claims" => Some(call.judge_score_claims::<P>().map(rows)),
        _ => None,
    })
}

/// A sentence a row instead of indexes into a table, since the table's order is nobody's business.
fn sentences(indexes: &[u32], table: &[String], rows: usize) -> Vec<Option<String>> {
    let sentence = |row| {
        let index = usize::try_from(*indexes.get(row)?).ok()?.checked_sub(1)?;
        table.get(index).cloned()
    };
    (0..rows).map(sentence).collect()
}

type Answer = Option<Result<Value, CallError>>;

fn run(folder: &Path, answer: impl Fn(&str, &Call) -> Answer) -> Result<usize, GoldenError> {
    let entries = fs::read_dir(folder).map_err(|error| GoldenError(format!("{}: {error}", folder.display())))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let differing: Vec<String> = files
        .iter()
        .filter_map(|file| {
            let difference = run_file(file, &answer).err()?;
            Some(format!("{}: {difference}", file.file_name().unwrap_or_default().to_string_lossy()))
        })
        .collect();
    if files.is_empty() {
        return Err(GoldenError(format!("{} has no golden case", folder.display())));
    }
    if differing.is_empty() { Ok(files.len()) } else { Err(GoldenError(format!("\n{}", differing.join("\n")))) }
}

fn run_file(file: &Path, answer: &impl Fn(&str, &Call) -> Answer) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let case: Case = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let seed = case.context.seed.parse().map_err(|_| format!("seed {:?} is no number", case.context.seed))?;
    let mut call = Call::new().period(case.context.epoch, case.context.period_seconds).seed(seed);
    for (name, value) in &case.context.params {
        call = call.param(name, *value);
    }
    for (name, column) in case.facts {
        call = call.column(
            &name,
            match column {
                Column::One(value) => vec![value],
                Column::Rows(values) => values,
            },
        );
    }
    for (name, text) in &case.texts {
        if let Some(text) = text {
            call = call.text(name, text);
        }
    }
    let got = match answer(&case.call, &call) {
        None => return Err(format!("this kind of policy has no call {:?}", case.call)),
        Some(Ok(value)) => value,
        Some(Err(CallError::Policy(error))) => json!({ "error": { "code": error.code } }),
        Some(Err(CallError::Asked(what))) => return Err(what),
    };
    if matches(&case.expect, &got) { Ok(()) } else { Err(format!("expected {}, got {got}", case.expect)) }
}

/// Whether every key that is expected is there and equal. A case may leave out what it is not about, but not
/// everything.
fn matches(expected: &Value, got: &Value) -> bool {
    match (expected.as_object(), got.as_object()) {
        (Some(expected), Some(got)) => !expected.is_empty() && expected.iter().all(|(key, value)| got.get(key) == Some(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_expects_nothing_does_not_hold() {
        assert!(!matches(&json!({}), &json!({ "weights": [] })));
        assert!(!matches(&json!({ "weight": [] }), &json!({ "weights": [] })));
        assert!(matches(&json!({ "weights": [] }), &json!({ "weights": [], "caps": [] })));
    }

    #[test]
    fn sentences_take_the_place_of_indexes() {
        assert_eq!(sentences(&[0, 1], &["late".into()], 2), [None, Some("late".to_owned())]);
        assert_eq!(sentences(&[], &[], 2), [None, None]);
    }
}
