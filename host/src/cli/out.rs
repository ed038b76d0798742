//! Standard output. Whoever reads it may stop reading (`| head`): what is written then is dropped, and the command ends as it would have.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IsTerminal, Stdout, Write},
};

/// Standard output.
pub struct Out(Stdout);

/// Standard output.
pub fn out() -> Out {
    Out(io::stdout())
}

/// Writes one line, or several.
///
/// # Errors
/// What standard output says, other than that nobody reads it.
pub fn say(text: impl Display) -> io::Result<()> {
    writeln!(out(), "{text}")
}

/// Whether a person reads.
pub fn is_terminal() -> bool {
    out().0.is_terminal()
}

/// Who stopped reading is no error.
fn unless_gone<T>(written: io::Result<T>, instead: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(instead),
        other => other,
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_gone(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_gone(self.0.flush(), ())
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
        for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("host/src")) {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let line = line.replace("eprint", "");
                let writes = line.contains(concat!("std", "out()")) || line.contains("println!(") || line.contains("print!(");
                let allowed = path.ends_with("cli/out.rs") || line.trim_start().starts_with("//");
                assert!(!writes || allowed, "{}:{number}: use cli::out", path.display());
            }
        }
    }
}
