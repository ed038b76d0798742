//! Told by the system that the folder changed, as long as the system can.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// A watch on a folder, which may have to be set up again: the system has a limited number of them,
/// and a folder may be replaced by another of the same name.
pub struct FolderWatch {
    changed: mpsc::Sender<()>,
    /// Held for as long as it is to watch; and which folder it watches.
    watcher: Option<(RecommendedWatcher, (u64, u64))>,
}

impl FolderWatch {
    /// A watch that is not set up, and what it tells changes through.
    pub fn new() -> (Self, mpsc::Receiver<()>) {
        // One waiting message is enough: the look that follows sees everything.
        let (changed, changes) = mpsc::channel(1);
        (Self { changed, watcher: None }, changes)
    }

    /// Watches what is at `dir` now. `Ok(false)` if nothing is there.
    ///
    /// # Errors
    /// The system has no watch to give.
    pub fn renew(&mut self, dir: &Path) -> notify::Result<bool> {
        let Ok(there) = dir.metadata().map(|found| (found.dev(), found.ino())) else {
            self.watcher = None;
            return Ok(false);
        };
        if self.watcher.as_ref().is_some_and(|(_, watched)| *watched == there) {
            return Ok(true);
        }
        let changed = self.changed.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Reading is reported too, and every look reads.
                if !event.is_ok_and(|event| event.kind.is_access()) {
                    let _ = changed.try_send(());
                }
            })?;
        watcher.watch(dir, RecursiveMode::Recursive)?;
        self.watcher = Some((watcher, there));
        Ok(true)
    }
}
