//! The watched folder of policies: bundles are checked and kept, `active.toml` is applied when an
//! entry of it changes. It is an importer; the store stays the truth of what is active.

mod active;
mod folder;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use lucid_model::id::Digest;
use lucid_service::{ActiveFile, Service, ServiceError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{folder::Found, watch::FolderWatch};
use crate::builtin;

/// Says what is to be active.
const ACTIVE_FILE: &str = "active.toml";
/// Silence after which a change counts as complete: files are written in pieces.
const SETTLE: Duration = Duration::from_millis(200);
/// Longest wait for that: something may be written all the time.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How often the folder is looked at anyway: a watch may lose events, and there may be none.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// What the alert is about.
const FOLDER: &str = "policies-folder";

/// Imports a folder's bundles.
pub struct Importer {
    service: Arc<Service>,
    dir: PathBuf,
    active: ActiveFile,
    /// What was said of each file, so that the same is not said again at every look.
    said: BTreeMap<PathBuf, String>,
}

impl Importer {
    pub fn new(service: Arc<Service>, dir: PathBuf) -> Self {
        Self { service, active: ActiveFile::of(origin(&dir)), dir, said: BTreeMap::new() }
    }

    /// Takes in what is built in, then what lies in the folder, and loads what the store says is
    /// active.
    pub async fn start(&mut self) -> Result<()> {
        self.service.policies.load_policies().await?;
        for bundle in builtin::bundles() {
            self.service.policies.stage_file(bundle, "built in").await?;
        }
        self.look().await?;
        if !self.service.policies.policies_loaded() {
            self.service
                .policies
                .activate_built_in(active::parse(builtin::ACTIVE)?, &builtin::digests())
                .await?;
        }
        Ok(())
    }

    /// Looks at everything once. Only a failing store is an error: a bad file is reported and
    /// passed over.
    pub async fn look(&mut self) -> Result<()> {
        let dir = self.dir.clone();
        let (found, text) =
            tokio::task::spawn_blocking(move || (folder::bundles(&dir), folder::active_text(&dir)))
                .await?;
        match found {
            Err(error) => self.say(&self.dir.clone(), error.to_string()),
            Ok(found) => {
                self.said.remove(&self.dir);
                for bundle in found {
                    self.import_file(bundle).await?;
                }
            }
        }
        let file = self.dir.join(ACTIVE_FILE);
        match text {
            Ok(None) => {}
            Ok(Some(text)) => self.apply(&file, &text).await?,
            Err(reason) => self.say(&file, reason),
        }
        Ok(())
    }

    async fn import_file(&mut self, Found { path, real }: Found) -> Result<()> {
        let real = match real {
            Ok(real) => real,
            Err(reason) => {
                self.say(&path, reason);
                return Ok(());
            }
        };
        match tokio::task::spawn_blocking(move || lucid_engine::read_bundle(&real)).await? {
            Ok(bundle) => {
                match self.service.policies.stage_file(bundle, &path.display().to_string()).await {
                    Err(error @ ServiceError::Store(_)) => return Err(error.into()),
                    Err(error) => self.say(&path, error.to_string()),
                    Ok(_) => {
                        self.said.remove(&path);
                    }
                }
            }
            Err(error) => self.say(&path, format!("{:#}", anyhow::Error::from(error))),
        }
        Ok(())
    }

    async fn apply(&mut self, file: &Path, text: &str) -> Result<()> {
        let wanted = match active::parse(text) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.say(file, format!("{error:#}"));
                return Ok(());
            }
        };
        match self
            .active
            .apply(&self.service.policies, Digest::of(text.as_bytes()), wanted, &builtin::digests())
            .await
        {
            Ok(_) => {
                self.said.remove(file);
            }
            Err(error @ ServiceError::Store(_)) => return Err(error.into()),
            Err(error) => self.say(file, error.to_string()),
        }
        Ok(())
    }

    fn say(&mut self, path: &Path, problem: String) {
        if self.said.get(path) != Some(&problem) {
            tracing::warn!(file = %path.display(), problem, "not taken in; what was active stays active");
            self.service.notifications.bus().publish(
                self.service.clock.now(),
                lucid_model::notifications::event::EventKind::PolicyRejected {
                    bundle: path.display().to_string(),
                    reason: problem.clone(),
                },
            );
            self.said.insert(path.to_owned(), problem);
        }
    }

    /// Looks again whenever something changes, and every so often, until told to stop.
    pub async fn watch(mut self, stop: CancellationToken) {
        let (mut watch, mut changes) = FolderWatch::new();
        if !self.dir.is_dir() {
            tracing::warn!(dir = %self.dir.display(), "the policies folder is not there to be watched; the built-in policies and the API work");
        }
        loop {
            self.alert_if_unwatched(watch.renew(&self.dir));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = changes.recv() => settle(&mut changes).await,
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
            if let Err(error) = self.look().await {
                tracing::error!(%error, "cannot look at the policies folder now");
            }
        }
    }

    fn alert_if_unwatched(&self, watched: notify::Result<bool>) {
        match watched {
            Ok(_) => self.service.notifications.clear_alert(FOLDER),
            Err(error) => {
                let (dir, every_s) = (self.dir.display(), LOOK_ANYWAY.as_secs());
                self.service.notifications.alert(
                    FOLDER,
                    format!("{dir} cannot be watched, and is looked at every {every_s} s: {error}"),
                );
            }
        }
    }
}

/// Waits until nothing more changes.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let began = Instant::now();
    while began.elapsed() < SETTLE_MAX
        && matches!(tokio::time::timeout(SETTLE, changes.recv()).await, Ok(Some(())))
    {}
}

/// Host and folder.
fn origin(dir: &Path) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), dir.canonicalize().unwrap_or_else(|_| dir.to_owned()).display())
}
