//! Golden cases: an input with the answer its author expects, as JSON.

use lucid_model::{
    epochs::facts::{
        ClaimFact, Fact, OBSERVATION_FACTS, REGISTRATION_FACTS, REGISTRATION_TEXTS,
        SCORE_CLAIM_FACTS, total_saturating,
    },
    policies::{
        Bundle, CallContext, PolicyKind, PolicyVerdict, RegistrationClaim, Scores, Weights,
    },
};
use serde_json::{Value, json};

use crate::{
    abi::Rows,
    case::{Case, at_word},
    gate::EPOCH_S,
    loaded::LoadedPolicy,
    problem::{Problem, shown},
    program::{Fault, fuel_of_this_thread},
};

const HOUR_S: u32 = 3_600;
const DAY_S: u32 = 86_400;
/// Differences of one case that are told.
const DIFFERENCES_MAX: usize = 5;

/// What a policy answered to a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The answer, in the form of a case's `expect`.
    pub value: Value,
    /// Rows of the input.
    pub rows: usize,
    /// What it took.
    pub fuel: u64,
    /// Time on this machine.
    pub micros: u64,
}

/// Runs all cases of a bundle.
///
/// # Errors
/// All cases that differ, with their places.
pub fn check(policy: &LoadedPolicy, bundle: &Bundle) -> Result<(), String> {
    let problems: Vec<_> =
        bundle.golden.iter().filter_map(|(name, text)| run(policy, name, text).err()).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Runs one case.
///
/// # Errors
/// What is wrong with the case, or how the answer differs, with the place.
pub fn run(policy: &LoadedPolicy, name: &str, text: &str) -> Result<Answer, String> {
    let file = format!("golden/{name}");
    let case = Case::parse(&file, text)?;
    let answer = answer(policy, &case).map_err(|(word, what)| at_word(&file, text, &word, what))?;
    let Some((expected, span)) = case.expect else {
        return Err(format!(
            "{file}: it expects nothing; `lucid policy test --update` writes what comes out"
        ));
    };
    let differences = differences(&expected, &answer.value);
    if differences.is_empty() {
        return Ok(answer);
    }
    let mut problems = Vec::new();
    for (key, what) in differences.iter().take(DIFFERENCES_MAX) {
        let quoted = format!("\"{key}\"");
        let within =
            text.get(span.clone()).and_then(|expect| expect.find(&quoted)).map_or(0, |place| place);
        let start = span.start.saturating_add(within);
        let length = if within == 0 { 1 } else { quoted.len() };
        problems.push(Problem::at(start..start.saturating_add(length), what.clone(), ""));
    }
    Err(shown(&file, text, problems))
}

/// What a policy answers to an input; an error of its own is an answer.
///
/// # Errors
/// What is wrong with the input, or with the policy: a word that stands at the place, and the
/// problem.
pub fn answer(policy: &LoadedPolicy, case: &Case) -> Result<Answer, (String, String)> {
    let kind = policy.identity().kind;
    let call = case.call.as_deref().unwrap_or(match kind {
        PolicyKind::Scoring => "score",
        PolicyKind::Payout => "weigh",
        PolicyKind::Validation => "judge-registration",
    });
    let policy = policy
        .with_params(&case.params)
        .map_err(|error| ("params".to_owned(), error.to_string()))?;
    let period_s = case.period_s.unwrap_or(if kind == PolicyKind::Payout { DAY_S } else { HOUR_S });
    let context = CallContext {
        epoch_start_s: case.epoch_s.unwrap_or(EPOCH_S),
        period_s,
        seed: case.seed,
        totals: Vec::new(),
    };
    let (started, fuel) = (std::time::Instant::now(), fuel_of_this_thread());
    let (rows, result) = match (kind, call) {
        (PolicyKind::Scoring, "score") => nodes(&policy, case, context, |context, rows| {
            policy.score_rows(context, rows).result.map(scores)
        })?,
        (PolicyKind::Payout, "weigh") => nodes(&policy, case, context, |context, rows| {
            policy.weigh_rows(context, rows).result.map(weights)
        })?,
        (PolicyKind::Validation, "judge-registration") => {
            (1, registration(&policy, case, &context)?)
        }
        (PolicyKind::Validation, "judge-observations") => {
            let rows = claims(case, &OBSERVATION_FACTS)?;
            (rows.len(), policy.observations(&context, &rows).result.map(|found| verdicts(&found)))
        }
        (PolicyKind::Validation, "judge-score-claims") => {
            let rows = claims(case, &SCORE_CLAIM_FACTS)?;
            (rows.len(), policy.score_claims(&context, &rows).result.map(|found| verdicts(&found)))
        }
        _ => {
            return Err((
                "call".to_owned(),
                format!("a {} policy has no call {call:?}", kind.name()),
            ));
        }
    };
    let value = match result {
        Ok(value) => value,
        Err(Fault::Refused { code, .. }) => json!({ "error": { "code": code } }),
        Err(fault) => return Err(("call".to_owned(), fault.to_string())),
    };
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Answer { value, rows, fuel: fuel_of_this_thread().saturating_sub(fuel), micros })
}

type Found = Result<Value, Fault>;

fn nodes(
    policy: &LoadedPolicy,
    case: &Case,
    mut context: CallContext,
    call: impl FnOnce(&CallContext, Rows<'_>) -> Found,
) -> Result<(usize, Found), (String, String)> {
    let count = case.rows(Fact::ALL.iter().map(|fact| fact.info().name))?;
    let column = |fact: &Fact| {
        let info = fact.info();
        case.facts.get(info.name).cloned().unwrap_or_else(|| vec![info.default; count])
    };
    let columns: Vec<Vec<i64>> = policy.identity().facts.iter().map(column).collect();
    context.totals = columns.iter().map(|column| total_saturating(column)).collect();
    let columns: Vec<&[i64]> = columns.iter().map(Vec::as_slice).collect();
    let rows =
        u32::try_from(count).map_err(|_| ("facts".to_owned(), "too many rows".to_owned()))?;
    Ok((count, call(&context, Rows { count: rows, columns: &columns })))
}

fn claims(case: &Case, catalogue: &[ClaimFact]) -> Result<Vec<Vec<i64>>, (String, String)> {
    let count = case.rows(catalogue.iter().map(|fact| fact.name))?;
    let value = |fact: &ClaimFact, row: usize| {
        case.facts
            .get(fact.name)
            .and_then(|column| column.get(row))
            .copied()
            .unwrap_or(fact.default)
    };
    Ok((0..count).map(|row| catalogue.iter().map(|fact| value(fact, row)).collect()).collect())
}

fn registration(
    policy: &LoadedPolicy,
    case: &Case,
    context: &CallContext,
) -> Result<Found, (String, String)> {
    if let Some(name) = case.texts.keys().find(|name| !REGISTRATION_TEXTS.contains(&name.as_str()))
    {
        let near = crate::problem::meant(name, REGISTRATION_TEXTS);
        return Err((name.clone(), format!("text {name:?} is not in the catalogue{near}")));
    }
    let facts = if case.facts.is_empty() {
        Vec::new()
    } else {
        claims(case, &REGISTRATION_FACTS)?.into_iter().next().unwrap_or_default()
    };
    let texts =
        REGISTRATION_TEXTS.iter().map(|name| case.texts.get(*name).cloned().flatten()).collect();
    Ok(policy.registration(context, &RegistrationClaim { facts, texts }).result.map(|verdict| {
        match verdict {
            Ok(()) => json!({ "verdict": "accept" }),
            Err(reason) => json!({ "reject": reason }),
        }
    }))
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

/// How an answer differs from what is expected, by key: a case may leave out what it is not about,
/// but not all.
pub fn differences(expected: &Value, answer: &Value) -> Vec<(String, String)> {
    let (Some(expected), Some(answer)) = (expected.as_object(), answer.as_object()) else {
        return vec![(String::new(), "`expect` is no object".to_owned())];
    };
    if expected.is_empty() {
        return vec![(String::new(), "`expect` is empty: nothing would ever differ".to_owned())];
    }
    let mut found = Vec::new();
    for (key, wanted) in expected {
        let Some(value) = answer.get(key) else {
            let keys: Vec<_> = answer.keys().map(String::as_str).collect();
            found.push((
                key.clone(),
                format!("expected {key}, and the answer has {}", keys.join(", ")),
            ));
            continue;
        };
        if value == wanted || both_none(wanted, value) {
            continue;
        }
        match (wanted.as_array(), value.as_array()) {
            (Some(wanted), Some(value)) if wanted.len() == value.len() => {
                let rows = wanted
                    .iter()
                    .zip(value)
                    .enumerate()
                    .filter(|(_, (wanted, value))| wanted != value);
                found.extend(rows.map(|(row, (wanted, value))| {
                    (key.clone(), format!("{key}[{row}]: expected {wanted}, got {value}"))
                }));
            }
            _ => found.push((key.clone(), format!("{key}: expected {wanted}, got {value}"))),
        }
    }
    found
}

/// `[]` stands for a list of nothing but zeros, as it does in the interface.
fn both_none(expected: &Value, found: &Value) -> bool {
    let zero = |value: &Value| *value == json!(0) || *value == json!("0");
    expected.as_array().is_some_and(Vec::is_empty)
        && found.as_array().is_some_and(|found| found.iter().all(zero))
}

/// The case with this answer as the one that is expected; the rest of the text stays as it is.
///
/// # Errors
/// What is wrong with the case.
pub fn updated(name: &str, text: &str, answer: &Value) -> Result<String, String> {
    let lines = answer
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("    \"{key}\": {}", spaced(value)));
    let expect = format!("{{\n{}\n  }}", lines.collect::<Vec<_>>().join(",\n"));
    let mut text = text.to_owned();
    match Case::parse(&format!("golden/{name}"), &text)?.expect {
        Some((_, span)) => text.replace_range(span, &expect),
        None => {
            let end = text.rfind('}').unwrap_or_default();
            let kept = text.get(..end).unwrap_or_default().trim_end().to_owned();
            text = format!("{kept},\n  \"expect\": {expect}\n}}\n");
        }
    }
    Ok(text)
}

/// A value on one line, with a space after each comma.
fn spaced(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_expects_nothing_does_not_hold() {
        let differs = |expected: Value, answer: Value| !differences(&expected, &answer).is_empty();
        assert!(differs(json!({}), json!({ "weights": [] })));
        assert!(differs(json!({ "weight": [] }), json!({ "weights": [] })));
        assert!(!differs(json!({ "held_ppm": [] }), json!({ "held_ppm": [0, 0], "caps": [] })));
        assert!(differs(json!({ "caps": [] }), json!({ "caps": ["0", "1"] })));
    }

    #[test]
    fn each_row_that_differs_is_told() {
        let told = differences(
            &json!({ "multipliers": [1, 2, 3] }),
            &json!({ "multipliers": [1, 5, 6], "reasons": [] }),
        );
        let told: Vec<_> = told.into_iter().map(|(_, what)| what).collect();
        assert_eq!(
            told,
            ["multipliers[1]: expected 2, got 5", "multipliers[2]: expected 3, got 6"]
        );
    }

    #[test]
    fn an_update_changes_nothing_but_the_answer() {
        let text =
            "{\n  \"facts\": { \"cores\": [1] },\n  \"expect\": { \"multipliers\": [7] }\n}\n";
        let new =
            updated("a.json", text, &json!({ "multipliers": [1, 2], "reasons": [null, "x"] }))
                .unwrap();
        let expected = "{\n  \"facts\": { \"cores\": [1] },\n  \"expect\": {\n    \"multipliers\": [1, 2],\n    \"reasons\": [null, \"x\"]\n  }\n}\n";
        assert_eq!(new, expected);
        assert_eq!(
            updated("a.json", &new, &json!({ "multipliers": [1, 2], "reasons": [null, "x"] }))
                .unwrap(),
            new
        );
        let without = updated(
            "a.json",
            "{\n  \"facts\": { \"cores\": [1] }\n}\n",
            &json!({ "multipliers": [7] }),
        )
        .unwrap();
        assert_eq!(
            Case::parse("a", &without).unwrap().expect.unwrap().0,
            json!({ "multipliers": [7] })
        );
    }
}
