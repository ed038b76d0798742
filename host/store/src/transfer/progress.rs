use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{kind::Kind, record::Key, sum::Sum};

/// How far a copy has come; kept in the store that is filled, which nobody may serve meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    v: u8,
    /// Where it is copied from, without credentials.
    pub from: String,
    kinds: BTreeMap<Kind, KindProgress>,
}

/// Where an unfinished copy came from, by the mark that it left; for people.
pub fn source_of_copy(mark: &str) -> String {
    serde_json::from_str::<Progress>(mark)
        .map_or_else(|_| "FROM".to_owned(), |progress| progress.from)
}

/// How far one kind has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindProgress {
    /// The last record that is durable.
    pub after: Option<Key>,
    /// Over all records of the source up to there.
    pub sum: Sum,
    pub done: bool,
}

impl Progress {
    pub fn new(from: String) -> Self {
        Self { v: 1, from, kinds: BTreeMap::new() }
    }
    pub fn of(&mut self, kind: Kind) -> &mut KindProgress {
        self.kinds.entry(kind).or_default()
    }
    pub fn sum(&self, kind: Kind) -> Sum {
        self.kinds.get(&kind).map(|part| part.sum).unwrap_or_default()
    }
}
