//! Golden cases: an input with the answer its author expects, as JSON.

use std::collections::BTreeMap;

use lucid_model::{
    facts::{ClaimFact, Fact, OBSERVATION_FACTS, REGISTRATION_FACTS, REGISTRATION_TEXTS, SCORE_CLAIM_FACTS, total_saturating},
    policy::{CallContext, ParamValues, PolicyKind, PolicyVerdict, RegistrationClaim, Scores, Weights},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{abi::Rows, loaded::LoadedPolicy, program::Fault};

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
    /// A text, because JSON's numbers end at 2⁵³.
    seed: String,
    #[serde(default)]
    params: ParamValues,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Column {
    One(i64),
    Rows(Vec<i64>),
}

impl Column {
    fn rows(&self) -> &[i64] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Rows(values) => values,
        }
    }
}

/// Runs one case.
///
/// # Errors
/// What is wrong with the case, or how the answer differs.
pub fn run(policy: &LoadedPolicy, text: &str) -> Result<(), String> {
    let case: Case = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let seed = case.context.seed.parse().map_err(|_| format!("seed {:?} is not a number", case.context.seed))?;
    let policy = policy.with_params(&case.context.params).map_err(|error| error.to_string())?;
    let context = CallContext { epoch_start_s: case.context.epoch, period_s: case.context.period_seconds, seed, totals: Vec::new() };
    let kind = policy.identity().kind;
    let answer = match (kind, case.call.as_str()) {
        (PolicyKind::Scoring, "score") => nodes(&policy, &case, context, |context, rows| policy.score_rows(context, rows).result.map(scores))?,
        (PolicyKind::Payout, "weigh") => nodes(&policy, &case, context, |context, rows| policy.weigh_rows(context, rows).result.map(weights))?,
        (PolicyKind::Validation, "judge-registration") => registration(&policy, &case, &context)?,
        (PolicyKind::Validation, "judge-observations") => {
            policy.observations(&context, &claims(&case, &OBSERVATION_FACTS)?).result.map(|found| verdicts(&found))
        }
        (PolicyKind::Validation, "judge-score-claims") => {
            policy.score_claims(&context, &claims(&case, &SCORE_CLAIM_FACTS)?).result.map(|found| verdicts(&found))
        }
        _ => return Err(format!("a {} policy has no call {:?}", kind.name(), case.call)),
    };
    let answer = match answer {
        Ok(value) => value,
        Err(Fault::Refused { code, .. }) => json!({ "error": { "code": code } }),
        Err(fault) => return Err(fault.to_string()),
    };
    if holds(&case.expect, &answer) { Ok(()) } else { Err(format!("expected {}, got {answer}", case.expect)) }
}

type Answer = Result<Value, Fault>;

fn nodes(
    policy: &LoadedPolicy,
    case: &Case,
    mut context: CallContext,
    call: impl FnOnce(&CallContext, Rows<'_>) -> Answer,
) -> Result<Answer, String> {
    let count = row_count(case, |name| Fact::from_name(name).is_some())?;
    let column = |fact: &Fact| {
        let info = fact.info();
        case.facts.get(info.name).map_or_else(|| vec![info.default; count], |column| column.rows().to_vec())
    };
    let columns: Vec<Vec<i64>> = policy.identity().facts.iter().map(column).collect();
    context.totals = columns.iter().map(|column| total_saturating(column)).collect();
    let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    let count = u32::try_from(count).map_err(|_| "too many rows".to_owned())?;
    Ok(call(&context, Rows { count, columns: &columns }))
}

fn claims(case: &Case, catalogue: &[ClaimFact]) -> Result<Vec<Vec<i64>>, String> {
    let count = row_count(case, |name| catalogue.iter().any(|fact| fact.name == name))?;
    let value = |fact: &ClaimFact, row: usize| case.facts.get(fact.name).and_then(|column| column.rows().get(row)).copied().unwrap_or(fact.default);
    Ok((0..count).map(|row| catalogue.iter().map(|fact| value(fact, row)).collect()).collect())
}

fn registration(policy: &LoadedPolicy, case: &Case, context: &CallContext) -> Result<Answer, String> {
    if let Some(name) = case.texts.keys().find(|name| !REGISTRATION_TEXTS.contains(&name.as_str())) {
        return Err(format!("text {name:?} is not in the catalogue"));
    }
    let facts = if case.facts.is_empty() { Vec::new() } else { claims(case, &REGISTRATION_FACTS)?.into_iter().next().unwrap_or_default() };
    let texts = REGISTRATION_TEXTS.iter().map(|name| case.texts.get(*name).cloned().flatten()).collect();
    Ok(policy.registration(context, &RegistrationClaim { facts, texts }).result.map(|verdict| match verdict {
        Ok(()) => json!({ "verdict": "accept" }),
        Err(reason) => json!({ "reject": reason }),
    }))
}

/// The one length that all columns have.
fn row_count(case: &Case, known: impl Fn(&str) -> bool) -> Result<usize, String> {
    let mut count = None;
    for (name, column) in &case.facts {
        if !known(name) {
            return Err(format!("fact {name:?} is not in the catalogue"));
        }
        let rows = column.rows().len();
        if *count.get_or_insert(rows) != rows {
            return Err(format!("fact {name} has {rows} rows, others have {}", count.unwrap_or_default()));
        }
    }
    count.filter(|count| *count > 0).ok_or_else(|| "it has no rows".to_owned())
}

fn scores(found: Scores) -> Value {
    json!({ "multipliers": found.multipliers.iter().map(|multiplier| multiplier.0).collect::<Vec<_>>(), "reasons": found.reasons })
}

fn weights(found: Weights) -> Value {
    let decimal = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>();
    let held: Vec<_> = found.held.iter().map(|held| held.0).collect();
    json!({ "weights": decimal(&found.weights), "held_ppm": held, "caps": decimal(&found.caps), "reasons": found.reasons })
}

fn verdicts(found: &[PolicyVerdict]) -> Value {
    json!({ "verdicts": found.iter().map(|verdict| verdict.as_ref().err()).collect::<Vec<_>>() })
}

/// Whether everything that is expected is there and equal. A case may leave out what it is not about, but not all.
fn holds(expected: &Value, answer: &Value) -> bool {
    let (Some(expected), Some(answer)) = (expected.as_object(), answer.as_object()) else { return false };
    let equal = |(key, value): (&String, &Value)| answer.get(key).is_some_and(|found| found == value || both_none(value, found));
    !expected.is_empty() && expected.iter().all(equal)
}

/// `[]` stands for a list of nothing but zeros, as it does in the interface.
fn both_none(expected: &Value, found: &Value) -> bool {
    let zero = |value: &Value| *value == json!(0) || *value == json!("0");
    expected.as_array().is_some_and(Vec::is_empty) && found.as_array().is_some_and(|found| found.iter().all(zero))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_expects_nothing_does_not_hold() {
        assert!(!holds(&json!({}), &json!({ "weights": [] })));
        assert!(!holds(&json!({ "weight": [] }), &json!({ "weights": [] })));
        assert!(holds(&json!({ "held_ppm": [] }), &json!({ "held_ppm": [0, 0], "caps": [] })));
        assert!(!holds(&json!({ "caps": [] }), &json!({ "caps": ["0", "1"] })));
    }
}
