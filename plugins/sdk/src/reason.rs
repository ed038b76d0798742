//! Sentences for rows, kept once each.

use std::borrow::Cow;

use crate::PolicyError;

/// A sentence for the node's owner, at most 200 bytes; longer ones are cut.
pub type Reason = Cow<'static, str>;

/// The most sentences one answer may hold.
const TABLE_LEN_MAX: usize = 256;
/// The longest sentence.
const REASON_BYTES_MAX: usize = 200;

/// Cuts a sentence to what the interface allows, at a character's boundary.
pub(crate) fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

/// The distinct sentences of one answer.
#[derive(Debug, Default)]
pub(crate) struct ReasonTable(Vec<Reason>);

impl ReasonTable {
    /// The sentence's index counted from 1, adding it if it is new.
    pub(crate) fn intern(&mut self, reason: Reason) -> Result<u32, PolicyError> {
        let known = self.0.iter().position(|entry| cut(entry) == cut(&reason));
        let index = match known {
            Some(index) => index,
            // Dropping a sentence instead would make a row's result depend on its neighbours.
            None if self.0.len() == TABLE_LEN_MAX => {
                return Err(PolicyError::new(PolicyError::REASONS, "more than 256 different reasons in one batch"));
            }
            None => {
                self.0.push(reason);
                self.0.len() - 1
            }
        };
        u32::try_from(index + 1).map_err(|_| PolicyError::range("reason index", i64::MAX))
    }

    pub(crate) fn into_strings(self) -> Vec<String> {
        self.0.into_iter().map(|reason| cut(&reason).to_owned()).collect()
    }
}

/// A column of sentences that stays empty, and costs nothing, until a row has one.
#[derive(Debug, Default)]
pub(crate) struct ReasonColumn {
    /// As far as the last row that has one.
    indexes: Vec<u32>,
    table: ReasonTable,
}

impl ReasonColumn {
    /// Records the sentence of row `row`, if it has one; rows come in order.
    #[inline(always)]
    pub(crate) fn push(&mut self, row: usize, reason: Option<Reason>) -> Result<(), PolicyError> {
        match reason {
            Some(reason) => self.push_index(row, reason),
            None => Ok(()),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_index(&mut self, row: usize, reason: Reason) -> Result<(), PolicyError> {
        self.indexes.resize(row, 0);
        self.indexes.push(self.table.intern(reason)?);
        Ok(())
    }

    /// The column for `count` rows, and its table.
    pub(crate) fn into_parts(mut self, count: usize) -> (Vec<u32>, Vec<String>) {
        if !self.indexes.is_empty() {
            self.indexes.resize(count, 0);
        }
        (self.indexes, self.table.into_strings())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_kept_once_and_rows_before_the_first_have_none() {
        let mut column = ReasonColumn::default();
        column.push(0, None).unwrap();
        column.push(1, Some("late".into())).unwrap();
        column.push(2, Some(String::from("late").into())).unwrap();
        column.push(3, None).unwrap();
        assert_eq!(column.into_parts(4), (vec![0, 1, 1, 0], vec!["late".to_owned()]));
    }

    #[test]
    fn a_column_without_sentences_is_empty() {
        let mut column = ReasonColumn::default();
        column.push(0, None).unwrap();
        assert_eq!(column.into_parts(1), (vec![], vec![]));
    }

    #[test]
    fn the_257th_different_sentence_is_an_error() {
        let mut table = ReasonTable::default();
        for n in 0..256 {
            table.intern(format!("reason {n}").into()).unwrap();
        }
        assert_eq!(table.intern("reason 7".into()).unwrap(), 8);
        assert_eq!(table.intern("one too many".into()).unwrap_err().code, PolicyError::REASONS);
    }

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        let long = "ä".repeat(150);
        assert_eq!(cut(&long).len(), 200);
        assert_eq!(cut(&format!("x{long}")).len(), 199);
    }
}
