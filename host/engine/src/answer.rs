//! What an answer must keep to, whatever the interface. The same wrong answer gives the same words
//! everywhere, since a failure is recorded and compared.

use lucid_model::{
    epochs::score::{PPM, Ppm},
    policies::Explanation,
};

use crate::abi::Failure;

/// Sentences in a table.
const REASONS_MAX: usize = 256;
/// Bytes of a sentence.
const REASON_BYTES_MAX: usize = 200;
/// Bytes that are kept of a policy's error.
pub const ERROR_BYTES_MAX: usize = 1_000;
/// Columns of an explanation.
const CONTRIBUTIONS_MAX: usize = 64;
/// Bytes of a column's name.
const CONTRIBUTION_NAME_BYTES_MAX: usize = 64;

/// There is one entry a row.
pub fn one_a_row(what: &str, length: usize, rows: u32) -> Result<(), Failure> {
    if usize::try_from(rows).is_ok_and(|rows| rows == length) {
        Ok(())
    } else {
        wrong(format!("answered {length} {what} for {rows} rows"))
    }
}

/// There is one entry a row, or none at all.
pub fn none_or_one_a_row(what: &str, length: usize, rows: u32) -> Result<(), Failure> {
    if length == 0 { Ok(()) } else { one_a_row(what, length, rows) }
}

/// No value is larger.
pub fn at_most(what: &str, values: &[u32], max: u32) -> Result<(), Failure> {
    // A fold over all has no exit in its loop and so becomes vector instructions.
    if values.iter().fold(0, |largest, value| largest.max(*value)) <= max {
        return Ok(());
    }
    match values.iter().enumerate().find(|(_, value)| **value > max) {
        Some((row, value)) => wrong(format!("{what} {value} of row {row} is larger than {max}")),
        None => Ok(()),
    }
}

/// A sentence a row, from indices into a table: 0 is none.
pub fn reasons(
    indices: &[u32],
    table: Vec<String>,
    rows: u32,
) -> Result<Vec<Option<String>>, Failure> {
    none_or_one_a_row("reasons", indices.len(), rows)?;
    if table.len() > REASONS_MAX {
        return wrong(format!(
            "its reason table has {} sentences, more than {REASONS_MAX}",
            table.len()
        ));
    }
    let table = table.into_iter().map(reason).collect::<Result<Vec<_>, _>>()?;
    let mut sentences = vec![None; usize::try_from(rows).unwrap_or_default()];
    for (row, (sentence, index)) in
        sentences.iter_mut().zip(indices).enumerate().filter(|(_, (_, index))| **index != 0)
    {
        let place = usize::try_from(*index).ok().and_then(|index| index.checked_sub(1));
        match place.and_then(|place| table.get(place)) {
            Some(found) => *sentence = Some(found.clone()),
            None => {
                return wrong(format!(
                    "reason {index} of row {row} is not in its table of {}",
                    table.len()
                ));
            }
        }
    }
    Ok(sentences)
}

/// A sentence of a proper length.
pub fn reason(sentence: String) -> Result<String, Failure> {
    if sentence.len() > REASON_BYTES_MAX {
        wrong(format!("a reason has {} bytes, more than {REASON_BYTES_MAX}", sentence.len()))
    } else {
        Ok(sentence)
    }
}

/// Columns by name, in millionths.
pub fn contributions(
    names: Vec<String>,
    columns: Vec<Vec<u32>>,
    rows: u32,
) -> Result<Explanation, Failure> {
    if names.len() != columns.len() || names.len() > CONTRIBUTIONS_MAX {
        return wrong(format!(
            "explained {} columns with {} names, at most {CONTRIBUTIONS_MAX}",
            columns.len(),
            names.len()
        ));
    }
    let mut contributions = Vec::with_capacity(names.len());
    for (name, column) in names.into_iter().zip(columns) {
        if name.len() > CONTRIBUTION_NAME_BYTES_MAX {
            return wrong(format!(
                "a contribution's name has {} bytes, more than {CONTRIBUTION_NAME_BYTES_MAX}",
                name.len()
            ));
        }
        one_a_row("contributions", column.len(), rows)?;
        at_most("contribution", &column, PPM)?;
        contributions.push((name, column.into_iter().map(Ppm).collect()));
    }
    Ok(Explanation { contributions })
}

/// What was left out is all defaults, so that a caller need not know that it may be.
pub fn filled<T: Clone + Default>(values: Vec<T>, rows: u32) -> Vec<T> {
    if values.is_empty() {
        vec![T::default(); usize::try_from(rows).unwrap_or_default()]
    } else {
        values
    }
}

/// The first `bytes_max` bytes, cut between characters.
pub fn kept(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

fn wrong<T>(what: String) -> Result<T, Failure> {
    Err(Failure::Wrong(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
        match result {
            Err(Failure::Wrong(words)) => words,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_of_another_length_is_wrong() {
        assert!(one_a_row("weights", 3, 3).is_ok() && none_or_one_a_row("caps", 0, 3).is_ok());
        assert_eq!(words(none_or_one_a_row("caps", 2, 3)), "answered 2 caps for 3 rows");
        assert_eq!(filled(Vec::<u64>::new(), 2), [0, 0]);
    }

    #[test]
    fn a_value_beyond_the_bound_is_named_with_its_row() {
        assert!(at_most("multiplier", &[1, 10], 10).is_ok());
        assert_eq!(
            words(at_most("multiplier", &[1, 11, 12], 10)),
            "multiplier 11 of row 1 is larger than 10"
        );
    }

    #[test]
    fn a_reason_outside_the_table_is_wrong() {
        let table = || vec!["late".to_owned()];
        assert_eq!(reasons(&[0, 1], table(), 2).unwrap(), [None, Some("late".to_owned())]);
        assert_eq!(reasons(&[], table(), 2).unwrap(), [None, None]);
        assert_eq!(
            words(reasons(&[0, 2], table(), 2)),
            "reason 2 of row 1 is not in its table of 1"
        );
        assert_eq!(
            words(reasons(&[], vec![String::new(); 257], 1)),
            "its reason table has 257 sentences, more than 256"
        );
        assert_eq!(
            words(reasons(&[], vec!["x".repeat(201)], 1)),
            "a reason has 201 bytes, more than 200"
        );
    }

    #[test]
    fn an_error_is_cut_between_characters() {
        assert_eq!(kept("aé".to_owned(), 2), "a");
    }
}
