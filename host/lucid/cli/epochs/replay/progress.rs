use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// How often a terminal's line is drawn anew.
const EVERY: Duration = Duration::from_millis(100);
/// Characters of a bar.
const WIDTH: usize = 32;

/// A bar on standard error; nothing where there is no terminal.
pub(super) struct Bar {
    what: &'static str,
    total: u64,
    drawn: Option<Instant>,
    terminal: bool,
}

impl Bar {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        Self { what, total, drawn: None, terminal: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&mut self, done: u64) {
        if !self.terminal
            || (done < self.total && self.drawn.is_some_and(|drawn| drawn.elapsed() < EVERY))
        {
            return;
        }
        self.drawn = Some(Instant::now());
        draw!("\r\x1b[K{}", line(self.what, done, self.total));
    }

    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() {
            draw!("\r\x1b[K");
        }
    }
}

fn line(what: &str, done: u64, total: u64) -> String {
    let share = |of: u64| done.saturating_mul(of).checked_div(total).unwrap_or(of).min(of);
    let filled = usize::try_from(share(WIDTH as u64)).unwrap_or(WIDTH);
    format!(
        "[{}{}] {:>3} % {done} of {total} {what}",
        "#".repeat(filled),
        ".".repeat(WIDTH - filled),
        share(100)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_it_is() {
        assert_eq!(
            line("chunks", 1, 4),
            format!("[{}{}]  25 % 1 of 4 chunks", "#".repeat(8), ".".repeat(24))
        );
        assert_eq!(line("chunks", 0, 0), format!("[{}] 100 % 0 of 0 chunks", "#".repeat(32)));
    }
}
