//! What is noted of the clock for the next start on this machine: a file beside the secrets
//! (decision 45).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lucid_model::{clock::ClockMark, time::TimeMs};
use lucid_service::{Service, ServiceError};
use serde::{Deserialize, Serialize};

/// Between two looks at the clocks.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks from one note to the next.
const LOOKS_A_NOTE: u32 = 10;
/// Which start of the machine this is; the same in every container on it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A note, as it is in the file.
#[derive(Serialize, Deserialize)]
struct Note {
    boot: String,
    since_boot_ms: i64,
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    records_accepted: Option<String>,
}

/// The name of this start of the machine; where it has none, nothing is the same start.
pub fn boot_id() -> String {
    fs::read_to_string(BOOT_ID)
        .map_or_else(|_| uuid::Uuid::now_v7().to_string(), |id| id.trim().to_owned())
}

/// The file with the last note.
pub struct ClockNotes {
    file: PathBuf,
    /// The name of this start of the machine.
    pub boot: String,
}

impl ClockNotes {
    /// Of the service whose files are in this folder.
    pub fn of(data_dir: &Path) -> Self {
        Self { file: data_dir.join("clock.json"), boot: boot_id() }
    }

    /// The last note; none if there is none, or what is there is none.
    pub fn read(&self) -> Option<ClockMark> {
        let text = fs::read(&self.file).ok()?;
        let read = || -> Option<ClockMark> {
            let Note { boot, since_boot_ms, at, records_accepted } =
                serde_json::from_slice(&text).ok()?;
            let records_accepted = records_accepted.map(|at| at.parse()).transpose().ok()?;
            Some(ClockMark {
                boot,
                since_boot_ms,
                wall: at.parse::<TimeMs>().ok()?,
                records_accepted,
            })
        };
        let mark = read();
        if mark.is_none() {
            tracing::warn!(file = %self.file.display(), "the note of the clock cannot be read: the start goes by the newest record alone");
        }
        mark
    }

    /// Replaces the note. Losing it costs nothing but what it would have told, so that it is not
    /// synced.
    fn write(&self, mark: ClockMark) -> io::Result<()> {
        let note = Note {
            boot: mark.boot,
            since_boot_ms: mark.since_boot_ms,
            at: mark.wall.to_string(),
            records_accepted: mark.records_accepted.map(|at| at.to_string()),
        };
        let draft = self.file.with_extension("new");
        fs::write(&draft, serde_json::to_vec(&note)?)?;
        fs::rename(draft, &self.file)
    }
}

/// Looks at the clocks, and notes what they say now and then.
pub struct ClockKeeper {
    service: Arc<Service>,
    notes: Arc<ClockNotes>,
    /// Looks since the last note; many while there is none that is good.
    looks: AtomicU32,
}

impl ClockKeeper {
    /// Of a service.
    pub fn new(service: Arc<Service>, notes: ClockNotes) -> Self {
        Self { service, notes: Arc::new(notes), looks: AtomicU32::new(LOOKS_A_NOTE) }
    }

    /// One look.
    ///
    /// # Errors
    /// [`ServiceError::Store`]; the clocks were compared all the same.
    pub async fn step(&self) -> Result<bool, ServiceError> {
        let checked = self.service.check_clock().await;
        let mark = self.service.clock.mark(&self.notes.boot);
        // A clock that is trusted again is noted at once: the note before is of another line.
        let looks =
            if mark.is_some() { self.looks.load(Ordering::Relaxed) + 1 } else { LOOKS_A_NOTE };
        self.looks.store(looks, Ordering::Relaxed);
        if let Some(mark) = mark.filter(|_| looks >= LOOKS_A_NOTE) {
            self.looks.store(0, Ordering::Relaxed);
            let notes = Arc::clone(&self.notes);
            match tokio::task::spawn_blocking(move || notes.write(mark)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, file = %self.notes.file.display(), "the clock is not noted for the next start")
                }
                Err(error) => tracing::warn!(%error, "the clock is not noted for the next start"),
            }
        }
        checked.map(|()| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_one_that_is_none_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let notes = ClockNotes::of(dir.path());
        assert_eq!(notes.read(), None);
        for records_accepted in [None, Some(TimeMs(1_800_000_000_123))] {
            let mark = ClockMark {
                boot: notes.boot.clone(),
                since_boot_ms: 5,
                wall: TimeMs(1_790_000_000_456),
                records_accepted,
            };
            notes.write(mark.clone()).unwrap();
            assert_eq!(notes.read(), Some(mark));
        }
        fs::write(&notes.file, "{").unwrap();
        assert_eq!(notes.read(), None);
    }
}
