//! Reads TOML key by key and keeps going after a problem, so that all of them are told at once.

use std::{cell::RefCell, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::problem::{Problem, nearest};

/// A value and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Where, in bytes.
    pub span: Range<usize>,
}

/// Problems of one text, in the order they were found.
#[derive(Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes one.
    pub fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// Reads a document; problems of its syntax are noted, and what could be read is there.
pub fn parse<'t>(text: &'t str, problems: &Problems) -> Spanned<DeTable<'t>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        problems.add(Problem {
            span: error.span(),
            what: error.message().to_owned(),
            label: String::new(),
        });
    }
    root
}

/// A table with the keys it may have.
pub struct Table<'d, 't> {
    problems: &'d Problems,
    /// Its name, and where it begins; none for the document.
    place: Option<(String, Range<usize>)>,
    table: &'d DeTable<'t>,
    keys: &'d [&'d str],
}

impl<'d, 't> Table<'d, 't> {
    /// The document's own table.
    pub fn root(
        root: &'d Spanned<DeTable<'t>>,
        keys: &'d [&'d str],
        problems: &'d Problems,
    ) -> Self {
        let table = Self { problems, place: None, table: root.get_ref(), keys };
        table.refuse_others();
        table
    }

    fn refuse_others(&self) {
        for key in self.table.keys().filter(|key| !self.keys.contains(&key.get_ref().as_ref())) {
            let place =
                self.place.as_ref().map_or_else(String::new, |(name, _)| format!(" in [{name}]"));
            let label = match nearest(key.get_ref(), self.keys.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("expected {}", list(self.keys)),
            };
            self.problems.add(Problem::at(
                key.span(),
                format!("unknown key `{}`{place}", key.get_ref()),
                label,
            ));
        }
    }

    fn value(&self, key: &str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Notes that a key is missing.
    fn missing<T>(&self, key: &str, example: &str) -> Option<T> {
        self.problems.add(match &self.place {
            None => Problem::of_all(format!("`{key}` is missing"), format!("such as {example}")),
            Some((name, span)) => Problem::at(
                span.clone(),
                format!("`{key}` is missing in [{name}]"),
                format!("such as {example}"),
            ),
        });
        None
    }

    fn mismatch<T>(&self, key: &str, value: &Spanned<DeValue<'t>>, expected: &str) -> Option<T> {
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.problems.add(Problem::at(
            value.span(),
            format!("`{key}` is {article} {found}"),
            format!("expected {expected}"),
        ));
        None
    }

    /// A text that may be left out.
    pub fn text_or_none(&self, key: &str) -> Option<Found<&'d str>> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Found { value: text, span: value.span() }),
            None => self.mismatch(key, value, "a text in quotes"),
        }
    }

    /// A text.
    pub fn text(&self, key: &str, example: &str) -> Option<Found<&'d str>> {
        if self.value(key).is_none() { self.missing(key, example) } else { self.text_or_none(key) }
    }

    /// A text in some form.
    pub fn parsed<T>(
        &self,
        key: &str,
        example: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Found<T>> {
        let Found { value, span } = self.text(key, example)?;
        match read(value) {
            Ok(value) => Some(Found { value, span }),
            Err(label) => {
                self.problems.add(Problem::at(span, format!("`{key}` cannot be {value:?}"), label));
                None
            }
        }
    }

    /// A whole number from 0 to `max`.
    pub fn number(&self, key: &str, example: &str, max: u64) -> Option<u64> {
        let Some(value) = self.value(key) else { return self.missing(key, example) };
        let expected = format!("a whole number from 0 to {max}");
        let Some(number) = value.get_ref().as_integer() else {
            return self.mismatch(key, value, &expected);
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if number <= max => Some(number),
            _ => {
                self.problems.add(Problem::at(
                    value.span(),
                    format!("`{key}` is out of range"),
                    format!("this host allows {expected}"),
                ));
                None
            }
        }
    }

    /// A table inside this one.
    pub fn table(&self, key: &str, keys: &'d [&'d str], example: &str) -> Option<Self> {
        let Some(value) = self.value(key) else { return self.missing(key, example) };
        let Some(table) = value.get_ref().as_table() else {
            return self.mismatch(key, value, &format!("a table: {example}"));
        };
        let table = Self {
            problems: self.problems,
            place: Some((key.to_owned(), value.span())),
            table,
            keys,
        };
        table.refuse_others();
        Some(table)
    }

    /// The tables of `[[key]]`.
    pub fn tables(&self, key: &str, keys: &'d [&'d str]) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            return self
                .mismatch(key, value, &format!("tables, each under [[{key}]]"))
                .unwrap_or_default();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(table) => {
                    let table = Self {
                        problems: self.problems,
                        place: Some((key.to_owned(), item.span())),
                        table,
                        keys,
                    };
                    table.refuse_others();
                    tables.push(table);
                }
                None => {
                    return self
                        .mismatch(key, item, &format!("a table under [[{key}]]"))
                        .unwrap_or_default();
                }
            }
        }
        tables
    }

    /// Whole numbers by names of the writer's own choice, in a table that may be left out.
    pub fn numbers(&self, key: &str) -> Vec<(String, i64, Range<usize>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            return self.mismatch(key, value, &format!("a table: [{key}]")).unwrap_or_default();
        };
        let mut numbers = Vec::new();
        for (name, value) in table {
            let number = value
                .get_ref()
                .as_integer()
                .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
            match number {
                Some(number) => numbers.push((name.get_ref().to_string(), number, name.span())),
                None => self.problems.add(Problem::at(
                    value.span(),
                    format!("param `{}` cannot be this", name.get_ref()),
                    "expected a whole number",
                )),
            }
        }
        numbers
    }
}

/// `a, b or c`.
pub fn list(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
