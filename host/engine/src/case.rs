//! Inputs of a call as authors write them: a golden case's JSON, or a table of facts.

use std::{collections::BTreeMap, ops::Range};

use lucid_model::policies::ParamValues;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::problem::{Problem, meant, offset, shown};

/// Rows of an input.
const ROWS_MAX: usize = 10_000;

/// An input, and perhaps the answer its author expects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Case {
    /// Which function; the kind's first if it is not said.
    pub call: Option<String>,
    /// Start of the epoch or period, Unix seconds.
    pub epoch_s: Option<i64>,
    pub period_s: Option<u32>,
    /// The seed.
    pub seed: u64,
    /// Params that are not at their defaults.
    pub params: ParamValues,
    /// Values by fact, one a row.
    pub facts: BTreeMap<String, Vec<i64>>,
    /// Texts of a registration.
    pub texts: BTreeMap<String, Option<String>>,
    /// The answer, and where it stands in the text.
    pub expect: Option<(serde_json::Value, Range<usize>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'t> {
    call: Option<String>,
    context: Option<Context>,
    facts: BTreeMap<String, Column>,
    #[serde(default)]
    texts: BTreeMap<String, Option<String>>,
    #[serde(borrow)]
    expect: Option<&'t RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
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

impl Case {
    /// Reads JSON.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let problem = |error: serde_json::Error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
            // An untagged value's error has no words of its own.
            let label = if what.contains("untagged enum Column") {
                "expected a whole number, or a list of them"
            } else {
                ""
            };
            let place = offset(text, error.line(), error.column());
            shown(
                file,
                text,
                vec![Problem::at(
                    place..place,
                    if label.is_empty() { what } else { "not the values of a fact".into() },
                    label,
                )],
            )
        };
        let read: File<'_> = serde_json::from_str(text).map_err(problem)?;
        let expect = match read.expect {
            Some(raw) => {
                let start = raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
                Some((
                    serde_json::from_str(raw.get()).map_err(problem)?,
                    start..start.saturating_add(raw.get().len()),
                ))
            }
            None => None,
        };
        let mut case = Self { call: read.call, texts: read.texts, expect, ..Self::default() };
        if let Some(context) = read.context {
            case.seed = match context.seed.parse() {
                Ok(seed) => seed,
                Err(_) => {
                    return Err(at_word(
                        file,
                        text,
                        "seed",
                        format!("seed {:?} is not a number", context.seed),
                    ));
                }
            };
            (case.epoch_s, case.period_s, case.params) =
                (Some(context.epoch), Some(context.period_seconds), context.params);
        }
        let rows = |column| match column {
            Column::One(value) => vec![value],
            Column::Rows(values) => values,
        };
        case.facts = read.facts.into_iter().map(|(name, column)| (name, rows(column))).collect();
        Ok(case)
    }

    /// Reads a table: names of facts in the first line, a row a node in the others.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn table(file: &str, text: &str) -> Result<Self, String> {
        let mut lines = lines(text).filter(|(_, line)| !line.trim().is_empty());
        let Some((_, head)) = lines.next() else {
            return Err(format!("{file}: empty; the first line names the facts"));
        };
        let names: Vec<_> = head.split(',').map(str::trim).collect();
        let mut columns = vec![Vec::new(); names.len()];
        for (number, (start, line)) in lines.enumerate() {
            if number >= ROWS_MAX {
                return Err(format!("{file}: more than {ROWS_MAX} rows"));
            }
            let wrong = |what: String| {
                shown(
                    file,
                    text,
                    vec![Problem::at(start..start.saturating_add(line.len()), what, "")],
                )
            };
            let values: Vec<_> = line.split(',').map(str::trim).collect();
            if values.len() != names.len() {
                return Err(wrong(format!("{} values for {} facts", values.len(), names.len())));
            }
            for ((column, value), name) in columns.iter_mut().zip(values).zip(&names) {
                column.push(
                    value
                        .parse()
                        .map_err(|_| wrong(format!("{name}: {value:?} is not a whole number")))?,
                );
            }
        }
        let mut facts = BTreeMap::new();
        for (name, column) in names.iter().zip(columns) {
            if facts.insert((*name).to_owned(), column).is_some() {
                return Err(at_word(file, text, name, format!("fact {name} is there twice")));
            }
        }
        Ok(Self { facts, ..Self::default() })
    }

    /// The one length that all facts have, each of which is `known`.
    ///
    /// # Errors
    /// The fact that is not, or has another length.
    pub fn rows<'k>(
        &self,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> Result<usize, (String, String)> {
        let mut count = None;
        for (name, column) in &self.facts {
            if !known.clone().any(|known| known == name) {
                return Err((
                    name.clone(),
                    format!("fact {name:?} is not in the catalogue{}", meant(name, known)),
                ));
            }
            if *count.get_or_insert(column.len()) != column.len() {
                return Err((
                    name.clone(),
                    format!(
                        "fact {name} has {} rows, others have {}",
                        column.len(),
                        count.unwrap_or_default()
                    ),
                ));
            }
        }
        count
            .filter(|count| *count > 0)
            .ok_or_else(|| ("facts".to_owned(), "it has no rows".to_owned()))
    }
}

/// Lines with where they start.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0_usize;
    text.split_inclusive('\n').map(move |line| {
        let begins = start;
        start = start.saturating_add(line.len());
        (begins, line.trim_end())
    })
}

/// A problem at the first place where a word stands.
pub fn at_word(file: &str, text: &str, word: &str, what: String) -> String {
    let quoted = format!("\"{word}\"");
    let found = text.find(&quoted).map(|start| start..start.saturating_add(quoted.len()));
    let found =
        found.or_else(|| text.find(word).map(|start| start..start.saturating_add(word.len())));
    shown(file, text, vec![Problem { span: found, what, label: String::new() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_cannot_be_read_is_shown_where_it_breaks() {
        let wrong = |text: &str| Case::parse("golden/a.json", text).unwrap_err();
        insta::assert_snapshot!(wrong(
            "{\n  \"facts\": { \"observed-s\": [1, 2.5] },\n  \"expect\": {}\n}"
        ));
        insta::assert_snapshot!(wrong("{\n  \"facts\": {},\n  \"expct\": {}\n}"));
        insta::assert_snapshot!(wrong(
            "{ \"context\": { \"epoch\": 1, \"period_seconds\": 1, \"seed\": \"x\" }, \"facts\": {} }"
        ));
        insta::assert_snapshot!(wrong("{"));
    }

    #[test]
    fn a_table_is_read_by_its_first_line() {
        let case = Case::table("in.csv", "observed-s, period-s\n1, 2\n\n3,4\n").unwrap();
        assert_eq!(
            case.facts,
            BTreeMap::from([("observed-s".into(), vec![1, 3]), ("period-s".into(), vec![2, 4])])
        );
        insta::assert_snapshot!(
            Case::table("in.csv", "observed-s,period-s\n1,2\n3,x\n").unwrap_err()
        );
        assert!(Case::table("in.csv", "a,b\n1\n").unwrap_err().contains("1 values for 2 facts"));
        assert!(Case::table("in.csv", "a,a\n1,1\n").unwrap_err().contains("twice"));
    }

    #[test]
    fn where_the_answer_stands_is_known() {
        let text = "{ \"facts\": { \"a\": 7 }, \"expect\": { \"b\": [1] } }";
        let (value, span) = Case::parse("f", text).unwrap().expect.unwrap();
        assert_eq!((value, &text[span]), (serde_json::json!({ "b": [1] }), "{ \"b\": [1] }"));
    }
}
