use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use rusqlite::Connection;

use crate::{health::Condition, place::log_of};

/// How often the log is folded into the file, if something was written.
const INTERVAL: Duration = Duration::from_millis(500);
/// Log pages at which the writer is made to wait until the log can start over: 64 MiB at 4 KiB a
/// page.
const LOG_PAGES_MAX: i64 = 16_384;
/// Longest time that the writer waits for readers of the log: most finish within it. The log keeps
/// growing while a longer one, such as a backup, reads.
const READERS_WAIT: Duration = Duration::from_millis(50);
/// Most looks between two attempts to restart the log while a reader holds it: 8 s.
const LOOKS_APART_MAX: u32 = 16;

/// Folds the write-ahead log into the file beside the writer. SQLite would do it inside a COMMIT,
/// whose callers then wait for a sync of pages that have nothing to do with them.
pub(crate) struct Checkpointer {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(crate) fn start(
        name: &'static str,
        file: &Path,
        connection: Connection,
        condition: Arc<Condition>,
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let log = log_of(file);
        let thread = thread::Builder::new().name(format!("{name}-log")).spawn(move || {
            while catch_unwind(AssertUnwindSafe(|| {
                work(name, &log, &connection, &condition, &stopped)
            }))
            .is_err()
            {
                tracing::error!(file = name, "folding the log panicked and goes on");
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(
    name: &'static str,
    log: &Path,
    connection: &Connection,
    condition: &Condition,
    stopped: &mpsc::Receiver<()>,
) {
    let mut folded: Option<SystemTime> = None;
    let mut restarts = Restarts::default();
    if let Err(error) = connection.busy_timeout(READERS_WAIT) {
        tracing::warn!(file = name, %error, "the log's readers are waited for as long as anything else");
    }
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        let written = std::fs::metadata(log).and_then(|log| log.modified()).ok();
        if written == folded {
            continue;
        }
        folded = written;
        let outcome = fold(connection, "PASSIVE").and_then(|passed| {
            if passed.log_pages > LOG_PAGES_MAX && restarts.is_due() {
                restarts.note(fold(connection, "RESTART")?.is_busy);
            }
            Ok(())
        });
        if let Err(error) = outcome {
            // The log keeps everything meanwhile; it only grows.
            tracing::warn!(file = name, %error, "the log could not be folded into the file");
            condition.met(&error.into());
        }
    }
}

/// When the log is started over next.
#[derive(Default)]
struct Restarts {
    apart: u32,
    looks: u32,
}

impl Restarts {
    /// Called once a look.
    fn is_due(&mut self) -> bool {
        self.looks = self.looks.saturating_sub(1);
        self.looks == 0
    }

    fn note(&mut self, is_busy: bool) {
        self.apart = if is_busy { (self.apart * 2).clamp(1, LOOKS_APART_MAX) } else { 0 };
        self.looks = self.apart;
    }
}

struct Folded {
    /// A reader of the log's beginning, or a writer, was in the way.
    is_busy: bool,
    log_pages: i64,
}

fn fold(connection: &Connection, mode: &str) -> rusqlite::Result<Folded> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(Folded { is_busy: row.get(0)?, log_pages: row.get(1)? })
    })
}
