//! A clock of a process's own, which is not the machine's and may be set while the process runs.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// Where Debian's `faketime` keeps its library for programs with threads.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/// The wall clock of whoever is started with its settings; time that passes is the machine's.
pub struct WallClock {
    library: &'static str,
    file: PathBuf,
    _dir: TempDir,
}

impl WallClock {
    /// One that is so far ahead of the machine's; says that a test is skipped if there is no
    /// library.
    pub fn ahead(seconds: i64) -> Option<Self> {
        let Some(library) =
            LIBRARIES.into_iter().find(|library| fs::exists(library).is_ok_and(|there| there))
        else {
            println!("skipped: a test over clocks; there is no libfaketime");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let clock = Self { library, file: dir.path().join("offset"), _dir: dir };
        clock.set(seconds);
        Some(clock)
    }

    pub fn set(&self, seconds: i64) {
        // Whoever looks finds the one or the other.
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{seconds:+}s\n")).unwrap();
        fs::rename(fresh, &self.file).unwrap();
    }

    /// Of a process that has it.
    pub fn settings(&self) -> [(&str, &str); 4] {
        let file = self.file.to_str().unwrap();
        [
            ("LD_PRELOAD", self.library),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}
