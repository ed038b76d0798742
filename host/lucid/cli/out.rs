//! Standard output. Whoever reads it may stop reading (`| head`): what is written then is dropped,
//! and the command ends as it would have.
//!
//! `writeln!` writes one line, whatever is in its values: what a terminal would obey is escaped
//! ([`crate::printable`]).

use std::{
    fmt::{self, Display},
    io::{self, ErrorKind, IsTerminal, Stdout, Write},
};

use clap::ValueEnum;

use crate::printable::{one_line, one_line_styled, our_lines};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: a line of JSON each.
    Json,
}

/// Standard output.
pub struct Out {
    to: Stdout,
    /// Whether styles of ours are written; what is foreign in such lines is
    /// [`crate::printable::Foreign`].
    styled: bool,
}

/// Standard output.
pub fn out() -> Out {
    Out { to: io::stdout(), styled: false }
}

/// The same for lines with marks in colour.
pub fn styled() -> Out {
    Out { styled: true, ..out() }
}

/// Writes one line.
///
/// # Errors
/// What standard output says, other than that nobody reads it.
pub fn say(text: impl Display) -> io::Result<()> {
    writeln!(out(), "{text}")
}

/// Whether a person reads.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

impl Out {
    /// Writes lines that this program made, the last one's end included.
    ///
    /// # Errors
    /// What standard output says, other than that nobody reads it.
    pub fn lines(&mut self, text: impl Display) -> io::Result<()> {
        let text = text.to_string();
        self.whole(our_lines(text.trim_end(), self.styled).as_bytes())?;
        self.whole(b"\n")
    }

    fn whole(&mut self, bytes: &[u8]) -> io::Result<()> {
        unless_gone(self.to.write_all(bytes), ())
    }
}

/// Who stopped reading is no error.
fn unless_gone<T>(written: io::Result<T>, instead: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(instead),
        other => other,
    }
}

impl Write for Out {
    /// Bytes of a file that was asked for: as they are, but where a person looks.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.is_terminal() {
            self.whole(our_lines(&String::from_utf8_lossy(bytes), false).as_bytes())?;
            return Ok(bytes.len());
        }
        unless_gone(self.to.write(bytes), bytes.len())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let text = fmt::format(text);
        let (line, end) = text.strip_suffix('\n').map_or((text.as_str(), ""), |line| (line, "\n"));
        let line = if self.styled { one_line_styled(line) } else { one_line(line) };
        self.whole(format!("{line}{end}").as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_gone(self.to.flush(), ())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    fn sources(dir: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn nothing_else_writes_to_standard_output() {
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("host/lucid")) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.replace("eprint", "");
                let writes = line.contains(concat!("std", "out()"))
                    || line.contains("println!(")
                    || line.contains("print!(");
                let allowed = path.ends_with("cli/out.rs") || line.trim_start().starts_with("//");
                assert!(!writes || allowed, "{}:{number}: use cli::out", path.display());
            }
        }
    }
}
