//! Secrets in files, read again when they change: whoever rotates one restarts nothing.

use std::{
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

/// Between two looks at the files. What they hold is compared, not when they were written:
/// Kubernetes replaces links. What is found is taken over if the next look finds it, too: of two
/// files that are replaced one is not read without the other.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the files of a setting hold, in their order.
type Contents = Vec<Result<String, io::ErrorKind>>;
/// Takes them over, or says what is wrong.
type Take = Box<dyn Fn(&[String]) -> Result<(), String> + Send + Sync>;

struct Found {
    /// At the last look.
    last: Contents,
    /// What was taken over, or refused.
    taken: Contents,
}

/// Files that are taken over together.
pub struct Watched {
    /// The setting, for the log.
    setting: &'static str,
    paths: Vec<PathBuf>,
    found: Mutex<Found>,
    take: Take,
}

impl Watched {
    /// Watches files that were just taken over.
    pub fn new(setting: &'static str, paths: Vec<PathBuf>, take: Take) -> Self {
        let taken = read(&paths);
        Self { setting, paths, found: Mutex::new(Found { last: taken.clone(), taken }), take }
    }

    /// Takes the files over if they changed; what cannot be used changes nothing, and is said once.
    fn look(&self) {
        let now = read(&self.paths);
        {
            let mut found = self.found.lock();
            let is_stable = std::mem::replace(&mut found.last, now.clone()) == now;
            if !is_stable || found.taken == now {
                return;
            }
            found.taken.clone_from(&now);
        }
        let texts: Result<Vec<_>, _> = now
            .into_iter()
            .zip(&self.paths)
            .map(|(text, path)| text.map_err(|error| (path, error)))
            .collect();
        let taken = match texts {
            Ok(texts) => (self.take)(&texts),
            Err((path, error)) => Err(format!("{}: {error}", path.display())),
        };
        match taken {
            Ok(()) => tracing::info!(setting = self.setting, "the secret was replaced"),
            Err(problem) => tracing::error!(
                setting = self.setting,
                problem,
                "the new secret cannot be used: the old one stays"
            ),
        }
    }
}

fn read(paths: &[PathBuf]) -> Contents {
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| error.kind());
    paths.iter().map(read).collect()
}

/// All files that are watched.
#[derive(Default)]
pub struct SecretFiles(Vec<Watched>);

impl SecretFiles {
    pub fn new(files: Vec<Watched>) -> Arc<Self> {
        Arc::new(Self(files))
    }

    /// A step of the task that looks at them.
    pub async fn step(self: Arc<Self>) -> Result<bool, Infallible> {
        let looked = tokio::task::spawn_blocking(move || self.0.iter().for_each(Watched::look));
        if let Err(error) = looked.await {
            tracing::error!(%error, "files of secrets could not be looked at");
        }
        Ok(false)
    }
}

/// A secret of one line.
///
/// # Errors
/// What is wrong with it; nothing of it is repeated.
pub fn one_line(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err("must hold one line of ASCII text, and nothing else".into());
    }
    Ok(text.to_owned())
}

/// What a file of one secret holds.
///
/// # Errors
/// What is wrong with the file.
pub fn one_line_of(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| one_line(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_over_once_and_what_cannot_be_used_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("token"), dir.path().join("other"));
        fs::write(&file, "first\n").unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&taken);
        let take: Take = Box::new(move |texts| {
            seen.lock().push(one_line(&texts[0])?);
            Ok(())
        });
        let watched = Watched::new("rail.token_file", vec![file.clone()], take);
        let look = || {
            watched.look();
            watched.look();
            taken.lock().clone()
        };
        assert_eq!(look(), Vec::<String>::new(), "it was read at the start");
        fs::write(&file, "second").unwrap();
        assert_eq!((look(), look()), (vec!["second".into()], vec!["second".into()]));
        for (step, unusable) in ["", "two\nlines", "\u{1b}"].into_iter().enumerate() {
            fs::write(&file, unusable).unwrap();
            assert_eq!(look().len(), 1, "{step}");
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(look().len(), 1, "gone for a moment");
        // As Kubernetes does it: another file is moved to the name.
        fs::write(&other, "third!").unwrap();
        fs::rename(&other, &file).unwrap();
        watched.look();
        assert_eq!(taken.lock().len(), 1, "until it is found twice");
        assert_eq!(look(), ["second", "third!"]);
    }
}
