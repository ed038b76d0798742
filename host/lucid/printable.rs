//! Text of others on its way to a terminal or a log: it is shown, and nothing in it is obeyed.
//!
//! What would move a cursor, begin a line, change a colour or the order of letters is written as
//! JSON escapes it, so that JSON stays JSON.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
};

/// Colours and styles that this program itself writes.
const STYLES: [&str; 13] =
    ["0", "1", "2", "3", "31", "32", "33", "34", "35", "36", "37", "90", "91"];

/// What becomes of a character that would be obeyed.
#[derive(Clone, Copy)]
struct Kept {
    /// Lines stay lines; each but the first begins with two spaces, so that none looks like one of
    /// ours.
    lines: Lines,
    /// Styles of this program pass.
    styles: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A line's end is escaped.
    One,
    /// It stays.
    Many,
    /// It stays, and the next line is set in.
    SetIn,
}

/// A value of others in one of our lines: it stays within that line, and its width is what is seen.
pub struct Foreign<T>(pub T);

impl<T: Display> Display for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0.to_string()))
    }
}

/// One line without its end.
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, Kept { lines: Lines::One, styles: false })
}

/// The same with styles of ours in it.
pub fn one_line_styled(text: &str) -> Cow<'_, str> {
    shown(text, Kept { lines: Lines::One, styles: true })
}

/// Lines that this program made, each of which keeps within itself what is foreign in it.
pub fn our_lines(text: &str, styles: bool) -> Cow<'_, str> {
    shown(text, Kept { lines: Lines::Many, styles })
}

/// A text that may have lines of others in it, an error for instance: each but the first is set in.
pub fn set_in(text: &str) -> Cow<'_, str> {
    shown(text, Kept { lines: Lines::SetIn, styles: false })
}

/// Whether a character only shows itself.
fn is_shown(c: char) -> bool {
    let is_obeyed = c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !is_obeyed
}

fn shown(text: &str, kept: Kept) -> Cow<'_, str> {
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, style(rest)) {
            ('\u{1b}', Some(style)) if kept.styles => {
                safe.push_str(style);
                rest = rest.get(style.len()..).unwrap_or_default();
                continue;
            }
            ('\n', _) if kept.lines == Lines::Many => safe.push(c),
            ('\n', _) if kept.lines == Lines::SetIn => safe
                .push_str(if after.is_empty() || after.starts_with("  ") { "\n" } else { "\n  " }),
            (c, _) if is_shown(c) => safe.push(c),
            ('\n', _) => safe.push_str("\\n"),
            ('\t', _) => safe.push_str("\\t"),
            ('\r', _) => safe.push_str("\\r"),
            (c, _) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(safe, "\\u{unit:04x}");
                }
            }
        }
        rest = after;
    }
    Cow::Owned(safe)
}

/// The style that a text begins with, if it is one of ours.
fn style(text: &str) -> Option<&str> {
    let (code, _) = text.strip_prefix("\u{1b}[")?.split_once('m')?;
    STYLES.contains(&code).then(|| text.get(..code.len() + 3)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, safe) in [
            ("plain, ä, 漢字, 🙂", "plain, ä, 漢字, 🙂"),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{1b}[2J\u{7}\u{7f}\u{9b}0m", r"\u001b[2J\u0007\u007f\u009b0m"),
            ("user\u{202e}nimda\u{2066}", r"user\u202enimda\u2066"),
            ("a\u{2028}b\u{feff}\u{200b}\u{e0041}", r"a\u2028b\ufeff\u200b\udb40\udc41"),
        ] {
            assert_eq!(one_line(text), safe);
        }
        assert_eq!(format!("{:<6}|{:>4}", Foreign("a\n"), Foreign(7)), r"a\n   |   7");
    }

    #[test]
    fn styles_and_lines_pass_only_where_they_are_ours() {
        let text = "\u{1b}[32m✓\u{1b}[0m \u{1b}[8mhidden\u{1b}[1;31m\nnext";
        assert_eq!(
            one_line_styled(text),
            "\u{1b}[32m✓\u{1b}[0m \\u001b[8mhidden\\u001b[1;31m\\nnext"
        );
        assert_eq!(one_line("\u{1b}[32m"), r"\u001b[32m");
        assert_eq!(our_lines("a\nb\u{1b}[0m\n", false), "a\nb\\u001b[0m\n");
        assert_eq!(set_in("a\nlucid: done\n  b\n"), "a\n  lucid: done\n  b\n");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a": "\u{9b}\u{202e}\u{7f}\u{e0041}\n\u{1b}" });
        let line = one_line(&value.to_string()).into_owned();
        assert!(line.is_ascii(), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
