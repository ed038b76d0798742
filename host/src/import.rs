//! The watched folder of policies: bundles are checked and kept, `active.toml` is applied when it changes.
//! It is an importer; the store stays the truth of what is active.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, anyhow};
use lucid_model::{
    id::Digest,
    policy::{ParamValues, PolicyKind},
};
use lucid_service::{NamedActivation, Service, ServiceError, Start};
use notify::{RecursiveMode, Watcher};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::builtin;

/// Silence after which a change counts as complete: files are written in pieces.
const SETTLE: Duration = Duration::from_millis(200);
/// How often the folder is looked at anyway: a watch may lose events.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveFile {
    #[serde(default)]
    activate: Vec<ActiveEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveEntry {
    kind: String,
    name: String,
    version: String,
    #[serde(default = "default_scope")]
    scope: String,
    #[serde(default)]
    params: ParamValues,
    #[serde(default)]
    start: Option<String>,
}

fn default_scope() -> String {
    "default".into()
}

/// Reads `active.toml`.
fn parse_active(text: &str) -> Result<Vec<NamedActivation>> {
    let file: ActiveFile = toml::from_str(text)?;
    let named = |entry: ActiveEntry| {
        Ok(NamedActivation {
            kind: PolicyKind::from_name(&entry.kind).ok_or_else(|| anyhow!("kind {:?}: must be scoring, validation or payout", entry.kind))?,
            scope: entry.scope.parse().map_err(|_| anyhow!("scope {:?}: must be default or a pool's id", entry.scope))?,
            start: entry.start.as_deref().map_or(Some(Start::Now), Start::from_name).ok_or_else(|| anyhow!("start: must be now or next_period"))?,
            name: entry.name,
            version: entry.version,
            params: entry.params,
        })
    };
    file.activate.into_iter().map(named).collect()
}

/// Imports a folder's bundles.
pub struct Importer {
    service: Arc<Service>,
    dir: PathBuf,
    /// What was said of each file, so that the same is not said again at every look.
    said: BTreeMap<PathBuf, String>,
}

impl Importer {
    pub fn new(service: Arc<Service>, dir: PathBuf) -> Self {
        Self { service, dir, said: BTreeMap::new() }
    }

    /// Takes in what is built in, then what lies in the folder, and loads what the store says is active.
    pub async fn start(&mut self) -> Result<()> {
        self.service.load_policies().await?;
        for bundle in builtin::bundles() {
            self.service.stage_file(bundle, "built in").await?;
        }
        self.look().await?;
        if !self.service.policies_loaded() {
            self.apply(&self.dir.join("active.toml"), builtin::ACTIVE).await?;
        }
        Ok(())
    }

    /// Looks at everything once. Only a failing store is an error: a bad file is reported and passed over.
    pub async fn look(&mut self) -> Result<()> {
        for dir in bundles(&self.dir) {
            let read = {
                let dir = dir.clone();
                tokio::task::spawn_blocking(move || lucid_engine::read_bundle(&dir)).await?
            };
            match read {
                Ok(bundle) => match self.service.stage_file(bundle, &dir.display().to_string()).await {
                    Err(error @ ServiceError::Store(_)) => return Err(error.into()),
                    Err(error) => self.say(&dir, error.to_string()),
                    Ok(_) => {
                        self.said.remove(&dir);
                    }
                },
                Err(error) => self.say(&dir, format!("{:#}", anyhow::Error::from(error))),
            }
        }
        let file = self.dir.join("active.toml");
        if let Ok(text) = fs::read_to_string(&file) {
            self.apply(&file, &text).await?;
        }
        Ok(())
    }

    async fn apply(&mut self, file: &Path, text: &str) -> Result<()> {
        let outcome = match parse_active(text) {
            Ok(wanted) => self.service.apply_active_file(Digest::of(text.as_bytes()), wanted, &builtin::digests()).await,
            Err(error) => {
                self.say(file, format!("{error:#}"));
                return Ok(());
            }
        };
        match outcome {
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
            self.service.bus().publish(
                self.service.now(),
                lucid_model::event::EventKind::PolicyRejected { bundle: path.display().to_string(), reason: problem.clone() },
            );
            self.said.insert(path.to_owned(), problem);
        }
    }

    /// Looks again whenever something changes, until told to stop.
    pub async fn watch(mut self, stop: CancellationToken) {
        let (sender, mut changes) = mpsc::channel(1);
        // One waiting message is enough: the look that follows sees everything.
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is reported too, and every look reads.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = sender.try_send(());
            }
        });
        // Held for as long as it is to watch.
        let watching = watcher.and_then(|mut watcher| watcher.watch(&self.dir, RecursiveMode::Recursive).map(|()| watcher));
        if !self.dir.is_dir() {
            tracing::warn!(dir = %self.dir.display(), "the policies folder is not there to be watched; the built-in policies and the API work");
        } else if let Err(error) = &watching {
            let every_s = LOOK_ANYWAY.as_secs();
            tracing::warn!(dir = %self.dir.display(), %error, every_s, "the policies folder cannot be watched, and is looked at every so often");
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = changes.recv() => {
                    while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok() {}
                }
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
            if let Err(error) = self.look().await {
                tracing::error!(%error, "cannot look at the policies folder now");
            }
        }
    }
}

/// Archives, and `<name>/<version>` folders that have a manifest; links are not followed out of the folder.
fn bundles(root: &Path) -> Vec<PathBuf> {
    let folders = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut dirs: Vec<_> = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect();
        dirs.sort();
        dirs
    };
    let archive = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|t| t.is_file()) && entry.path().extension().is_some_and(|end| end == "tar");
    let mut found: Vec<_> = fs::read_dir(root).into_iter().flatten().flatten().filter(archive).map(|entry| entry.path()).collect();
    found.sort();
    found.extend(folders(root).iter().flat_map(|name| folders(name)).filter(|version| version.join("policy.toml").exists()));
    found
}
