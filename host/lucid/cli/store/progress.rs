use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use lucid_store::{CopyProgress, Kind, Step};

/// How often a terminal's line is drawn anew.
const TERMINAL_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Characters of a bar.
const BAR: usize = 24;

/// Progress on standard error: a bar at a terminal, else a line every few seconds.
pub(super) struct Shown {
    terminal: bool,
    drawn: Option<Instant>,
    /// The kind that is being dealt with, when that began, and how much was done then.
    current: Option<(Step, Kind, Instant, u64, u64)>,
}

impl Shown {
    pub(super) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), drawn: None, current: None }
    }

    pub(super) fn show(&mut self, progress: CopyProgress) {
        let (since, records, units) = match self.current {
            Some((step, kind, since, records, units))
                if (step, kind) == (progress.step, progress.kind) =>
            {
                (since, records, units)
            }
            _ => {
                self.current = Some((
                    progress.step,
                    progress.kind,
                    Instant::now(),
                    progress.records,
                    progress.units,
                ));
                self.drawn = None;
                (Instant::now(), progress.records, progress.units)
            }
        };
        let every = if self.terminal { TERMINAL_EVERY } else { LINE_EVERY };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < every) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = line(progress, since.elapsed(), records, units);
        if self.terminal { draw!("\r\x1b[K{line}") } else { note!("{line}") }
    }

    pub(super) fn end(&self) {
        if self.terminal {
            draw!("\r\x1b[K");
        }
    }
}

fn line(progress: CopyProgress, since: Duration, records_before: u64, units_before: u64) -> String {
    let CopyProgress { step, kind, records, units, units_total } = progress;
    let verb = match step {
        Step::Copying => "copying",
        Step::Verifying => "reading back",
    };
    let (place, count) = (
        Kind::ALL.iter().position(|other| *other == kind).map_or(0, |place| place + 1),
        Kind::ALL.len(),
    );
    let milliseconds = since.as_millis().max(1);
    let rate = u128::from(records.saturating_sub(records_before)) * 1000 / milliseconds;
    let parts = u128::from(units.saturating_sub(units_before));
    let left = u128::from(units_total.saturating_sub(units));
    let eta = match left.saturating_mul(milliseconds).checked_div(parts) {
        Some(milliseconds) => format!("{} s left", milliseconds / 1000),
        None => "…".to_owned(),
    };
    let filled = usize::try_from(
        u128::from(units.min(units_total)) * BAR as u128 / u128::from(units_total.max(1)),
    )
    .unwrap_or(0);
    let bar = format!("{}{}", "█".repeat(filled), "·".repeat(BAR.saturating_sub(filled)));
    format!(
        "[{place:>2}/{count}] {verb} {:<17} {bar} {records} records, {rate}/s, {eta}",
        kind.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let progress = CopyProgress {
            step: Step::Copying,
            kind: Kind::Nodes,
            records: 1_500,
            units: 1_500,
            units_total: 2_000,
        };
        let line = line(progress, Duration::from_secs(2), 500, 500);
        assert!(
            line.contains("copying nodes") && line.contains("1500 records, 500/s, 1 s left"),
            "{line}"
        );
        assert!(line.contains(&"█".repeat(18)) && !line.contains(&"█".repeat(19)), "{line}");
    }
}
