//! What the commands share: an engine of their own, bundles, and how findings are shown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use lucid_engine::{LoadedPolicy, PolicyEngine, read_bundle};
use lucid_model::policies::Bundle;

use crate::{
    cli::out,
    compose,
    config::{Config, ConfigError, Policies},
    printable::{one_line, our_lines},
};

/// An engine with a cache of this run's own: nothing may depend on what an earlier one left.
pub struct ScratchEngine {
    pub engine: Arc<PolicyEngine>,
    cache: PathBuf,
}

impl ScratchEngine {
    /// Takes unsigned bundles, too.
    pub fn open() -> Result<Self> {
        Self::trusting(Policies { require_signed: false, ..Policies::default() })
    }

    pub fn trusting(policies: Policies) -> Result<Self> {
        let cache =
            std::env::temp_dir().join(format!("lucid-policy-{}", uuid::Uuid::now_v7().simple()));
        let engine = compose::engine(&Config { policies, ..Config::default() }, cache.clone())?;
        Ok(Self { engine, cache })
    }

    /// A bundle that can be called.
    pub fn load(&self, bundle: &Bundle) -> Result<LoadedPolicy> {
        self.engine.try_out(bundle).map_err(wrong)
    }
}

impl Drop for ScratchEngine {
    fn drop(&mut self) {
        // What is left of it in the temporary folder is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.cache);
    }
}

/// A bundle or an input that is wrong: exit code 2.
pub fn wrong(problem: impl std::fmt::Display) -> anyhow::Error {
    ConfigError(problem.to_string()).into()
}

/// A bundle, from a folder or an archive.
pub fn bundle(path: &Path) -> Result<Bundle> {
    read_bundle(path).map_err(|error| wrong(format!("{:#}", anyhow::Error::from(error))))
}

/// A mark in colour where a person looks.
pub fn mark(good: bool) -> String {
    let (code, mark) = if good { ("32", "✓") } else { ("31", "✗") };
    let colour = out::is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if colour { format!("\x1b[{code}m{mark}\x1b[0m") } else { mark.to_owned() }
}

/// A text of several lines, each but the first set in.
pub fn set_in(text: &str, by: usize) -> String {
    our_lines(text, false).replace('\n', &format!("\n{}", " ".repeat(by)))
}

/// Rows in columns as wide as they need to be; numbers to the right.
pub fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| one_line(cell).into_owned()).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|name| name.chars().count())).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cell = |(cell, width): (&String, &usize)| {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
            let number = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            if number { format!("{gap}{cell}") } else { format!("{cell}{gap}") }
        };
        cells.iter().zip(&widths).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<_> = head.iter().map(|name| one_line(name).into_owned()).collect();
    std::iter::once(line(&head))
        .chain(rows.iter().map(|row| line(row)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A number with a space between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed_and_numbers_stand_to_the_right() {
        let rows = [vec!["1".into(), "long name".into()], vec!["10".into(), "x".into()]];
        assert_eq!(columns(&["#", "name"], &rows), "#   name\n 1  long name\n10  x");
        assert_eq!((grouped(1_234_567), grouped(12)), ("1 234 567".to_owned(), "12".to_owned()));
    }
}
