//! Comma-separated values (RFC 4180) for spreadsheets.

/// A text as a cell that no spreadsheet takes for a formula (OWASP, CSV injection): such a text
/// begins with an apostrophe.
pub(crate) fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// A line of cells, with its end.
pub fn line(cells: &[&str]) -> String {
    cells.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",") + "\n"
}

/// Reads lines of cells: the number of the line at which each begins, and its cells. Blank lines
/// are left out, and the mark that some programs put before the first one.
///
/// # Errors
/// The line at which a quote begins that is not closed, or goes on after its end.
pub(crate) fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begins) = (1, 1);
    let mut characters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    loop {
        match characters.next() {
            Some('"') if cell.is_empty() => {
                let opened = line;
                loop {
                    match characters.next() {
                        Some('"') if characters.peek() == Some(&'"') => {
                            cell.extend(characters.next())
                        }
                        Some('"') => break,
                        Some(other) => {
                            line += usize::from(other == '\n');
                            cell.push(other);
                        }
                        None => return Err(format!("line {opened}: a quote is not closed")),
                    }
                }
                if !matches!(characters.peek(), None | Some(',' | '\r' | '\n')) {
                    return Err(format!("line {line}: a comma is missing after a quote"));
                }
            }
            Some(',') => row.push(std::mem::take(&mut cell)),
            Some('\r') if characters.peek() == Some(&'\n') => {}
            end @ (Some('\n') | None) => {
                row.push(std::mem::take(&mut cell));
                let is_blank = row.iter().all(|cell: &String| cell.trim().is_empty());
                let ended = (begins, std::mem::take(&mut row));
                if !is_blank {
                    rows.push(ended);
                }
                if end.is_none() {
                    return Ok(rows);
                }
                line += 1;
                begins = line;
            }
            Some(other) => cell.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_none_breaks_its_cell() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("a,b", "\"a,b\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let written =
            line(&["a", "b,c", "two\nlines", "\"quoted\"", ""]) + &line(&["d", "", "", "", "e"]);
        let row = |line: usize, cells: [&str; 5]| (line, cells.map(str::to_owned).to_vec());
        assert_eq!(
            rows(&written),
            Ok(vec![
                row(1, ["a", "b,c", "two\nlines", "\"quoted\"", ""]),
                row(3, ["d", "", "", "", "e"])
            ])
        );
        assert_eq!(rows("a,\"b\"c\n"), Err("line 1: a comma is missing after a quote".into()));
        assert_eq!(rows("a\n\n,\nb"), Ok(vec![(1, vec!["a".into()]), (4, vec!["b".into()])]));
    }
}
