//! Log lines never stop the service. A thread of their own writes them to standard error; a line
//! that cannot be written, or that would have to wait behind too many others, is dropped and
//! counted.
//!
//! Standard error is somebody else's: a collector that ended, hangs, or has no space left must not
//! end or hold up a task.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use crate::printable;

/// Lines that wait to be written; more are dropped.
const LINES_WAITING_MAX: usize = 4_096;
/// How long the end of the process waits for lines that are not written yet.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Writes to standard error as `eprintln!` does, and never panics: who closed it does not read it.
macro_rules! note {
    ($($text:tt)*) => { $crate::logs::note(&format!($($text)*)) };
}
/// Writes to standard error as `eprint!` does, for lines that are drawn over, and never panics.
macro_rules! draw {
    ($($text:tt)*) => { $crate::logs::draw(format_args!($($text)*)) };
}

/// For [`note!`]: what is foreign in it cannot look like a line of ours.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable::set_in(text));
}

/// For [`draw!`].
pub fn draw(text: std::fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

enum Job {
    Line(Vec<u8>),
    /// Everything before it was written.
    Flush(Sender<()>),
}

static LINES: OnceLock<Lines> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Whether the last line was written.
static WRITTEN: AtomicBool = AtomicBool::new(true);

/// Takes whole lines for the thread that writes them.
#[derive(Clone)]
pub struct Lines(SyncSender<Job>);

/// Starts the thread that writes log lines; the same for everybody who asks again. Panics are
/// logged from now on.
pub fn start() -> Lines {
    let lines = LINES.get_or_init(|| {
        let (lines, waiting) = sync_channel(LINES_WAITING_MAX);
        // Without a thread every line is dropped, which is counted.
        let _ = thread::Builder::new()
            .name("log".into())
            .spawn(move || work(&waiting, &mut io::stderr()));
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            tracing::error!(
                place,
                thread = thread::current().name(),
                "panicked: {}",
                words(panic.payload())
            );
        }));
        Lines(lines)
    });
    lines.clone()
}

/// What a panic says.
pub fn words(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it does not say why".to_owned())
}

/// Waits until the lines so far are written, but not for long.
pub fn flush() {
    let Some(Lines(lines)) = LINES.get() else { return };
    let (done, written) = channel();
    if lines.try_send(Job::Flush(done)).is_ok() {
        let _ = written.recv_timeout(FLUSH_TIME_MAX);
    }
}

/// Log lines that were dropped since the process began.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Whether the last line could be written.
pub fn are_written() -> bool {
    WRITTEN.load(Ordering::Relaxed)
}

fn drop_one() {
    DROPPED.fetch_add(1, Ordering::Relaxed);
    WRITTEN.store(false, Ordering::Relaxed);
}

fn work(waiting: &Receiver<Job>, to: &mut dyn Write) {
    while let Ok(job) = waiting.recv() {
        match job {
            Job::Line(line) if to.write_all(&line).is_ok() => {
                WRITTEN.store(true, Ordering::Relaxed)
            }
            Job::Line(_) => drop_one(),
            Job::Flush(done) => drop(done.send(())),
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let safe = format!("{}\n", printable::one_line_styled(text.trim_end_matches('\n')));
        if self.0.try_send(Job::Line(safe.into_bytes())).is_err() {
            drop_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses every line until it is mended.
    struct Broken(Receiver<()>);

    impl Write for Broken {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.0.try_recv().is_ok() {
                Ok(line.len())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_counted_and_the_writer_is_told_nothing() {
        let (mend, mended) = channel();
        let (lines, waiting) = sync_channel(2);
        let mut lines = Lines(lines);
        let before = dropped();
        // Two wait; nobody waits for room.
        for _ in 0..3 {
            lines.write_all(b"a line\n").unwrap();
        }
        assert_eq!(dropped() - before, 1);
        let thread = thread::spawn(move || work(&waiting, &mut Broken(mended)));
        let flush = |lines: &Lines| {
            let (done, written) = channel();
            lines.0.send(Job::Flush(done)).unwrap();
            written.recv().unwrap();
        };
        flush(&lines);
        assert_eq!((dropped() - before, are_written()), (3, false));
        mend.send(()).unwrap();
        lines.write_all(b"a line\n").unwrap();
        flush(&lines);
        assert_eq!((dropped() - before, are_written()), (3, true));
        drop(lines);
        thread.join().unwrap();
    }
}
