//! What is wrong in a text, shown where it is.

use std::{fmt, ops::Range};

/// Problems of one text that are shown; a file that is of another kind altogether has hundreds.
const SHOWN_MAX: usize = 12;
/// Characters of a line that are shown.
const LINE_LENGTH_MAX: usize = 160;

/// Something that is wrong at some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, in bytes; none if it is about the whole.
    pub span: Option<Range<usize>>,
    pub what: String,
    /// What was expected, or what may have been meant: stands at the place.
    pub label: String,
}

impl Problem {
    /// A problem at a place.
    pub fn at(span: Range<usize>, what: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span: Some(span), what: what.into(), label: label.into() }
    }

    /// A problem of the whole.
    pub fn of_all(what: impl Into<String>, label: impl Into<String>) -> Self {
        Self { span: None, what: what.into(), label: label.into() }
    }
}

/// Problems as people read them: `file:line:column: what`, the line, and a mark under the place.
pub fn shown(file: &str, text: &str, mut problems: Vec<Problem>) -> String {
    problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
    let mut parts: Vec<_> =
        problems.iter().take(SHOWN_MAX).map(|problem| one(file, text, problem)).collect();
    if problems.len() > SHOWN_MAX {
        parts.push(format!("and {} more", problems.len() - SHOWN_MAX));
    }
    parts.join("\n")
}

fn one(file: &str, text: &str, problem: &Problem) -> String {
    let Some(span) = &problem.span else {
        let label =
            if problem.label.is_empty() { String::new() } else { format!("; {}", problem.label) };
        return format!("{file}: {}{label}", problem.what);
    };
    let place = Place::of(text, span.start);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let shown: String = place
        .text
        .chars()
        .take(LINE_LENGTH_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let within =
        text.get(span.start..span.end.min(place.end)).map_or(0, |marked| marked.chars().count());
    let column = place.column.min(LINE_LENGTH_MAX);
    let marks = "^".repeat(within.clamp(1, LINE_LENGTH_MAX + 1 - column));
    let label =
        if problem.label.is_empty() { String::new() } else { format!(" {}", problem.label) };
    let indent = " ".repeat(column - 1);
    format!(
        "{file}:{place}: {}\n{gutter} |\n{number} | {shown}\n{gutter} | {indent}{marks}{label}",
        problem.what
    )
}

/// A line and a column, both from 1.
pub struct Place<'t> {
    line: usize,
    column: usize,
    /// The line, and where it ends.
    text: &'t str,
    end: usize,
}

impl<'t> Place<'t> {
    /// The place of a byte.
    pub fn of(text: &'t str, byte: usize) -> Self {
        let byte = text.floor_char_boundary(byte);
        let (before, after) = text.split_at(byte);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = byte + after.find('\n').unwrap_or(after.len());
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        Self { line, column, text: text.get(start..end).unwrap_or_default(), end }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a line (from 1) and a column (from 1, in bytes) are, in bytes.
pub fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    text.floor_char_boundary((start + column.saturating_sub(1)).min(text.len()))
}

/// The word that was probably meant.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |word: &str| word.to_lowercase().replace(['_', ' ', '.'], "-");
    let word = plain(word);
    let reach = (word.chars().count() / 3).max(1);
    let distance = |known: &str| {
        let known = plain(known);
        // The unit, or another end, was left out or added.
        let begins = word.len() >= 3
            && (known.starts_with(&format!("{word}-")) || word.starts_with(&format!("{known}-")));
        if begins { 1 } else { strsim::damerau_levenshtein(&word, &known) }
    };
    known
        .into_iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, known)| known)
}

/// `; did you mean X?`, if something near is known.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_where_it_is() {
        let text = "a = 1\nµ = \"x\ty\"\n";
        let problems = vec![
            Problem::at(11..16, "no", "expected z"),
            Problem::at(0..1, "first", ""),
            Problem::of_all("misses b", "such as b = 1"),
        ];
        insta::assert_snapshot!(shown("f.toml", text, problems), @r#"
        f.toml:1:1: first
          |
        1 | a = 1
          | ^
        f.toml: misses b; such as b = 1
        f.toml:2:5: no
          |
        2 | µ = "x y"
          |     ^^^^^ expected z
        "#);
    }

    #[test]
    fn places_outside_the_text_are_at_its_end() {
        let past = shown("f", "a", vec![Problem::at(7..9, "ends", "")]);
        assert!(past.starts_with("f:1:2: ends"), "{past}");
        assert_eq!((offset("ab\ncd", 2, 2), offset("ab", 9, 9)), (4, 2));
        assert!(shown("f", "", vec![Problem::at(0..0, "x", ""); 20]).ends_with("and 8 more"));
        let long = "x".repeat(500);
        assert!(
            shown("f", &long, vec![Problem::at(400..500, "x", "")])
                .lines()
                .all(|line| line.len() < 200)
        );
    }

    #[test]
    fn what_was_meant_is_near_or_lacks_a_unit() {
        let known = ["uptime-ppm", "observed-s", "cores"];
        for (word, meant) in [
            ("uptme-ppm", "uptime-ppm"),
            ("uptime", "uptime-ppm"),
            ("observed_s", "observed-s"),
            ("Cores", "cores"),
            ("cores-count", "cores"),
        ] {
            assert_eq!(nearest(word, known), Some(meant), "{word}");
        }
        assert_eq!(nearest("luck", known), None);
    }
}
