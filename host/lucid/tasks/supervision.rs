//! What keeps a task going, and says so when it does not.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt as _;
use lucid_service::Pulse;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::logs;

/// Half the first wait between tries of a step that keeps failing, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(250);
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// A lease's task is this replica's as long as this lives.
pub struct Held<'a>(&'a Pulse);

impl<'a> Held<'a> {
    pub fn of(pulse: &'a Pulse) -> Self {
        pulse.begins();
        Self(pulse)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.stands_by();
    }
}

/// Tells which task ended by itself.
#[derive(Clone, Default)]
pub struct Death {
    told: CancellationToken,
    words: Arc<OnceLock<String>>,
}

impl Death {
    pub fn tell(&self, task: &'static str, how: &str) {
        tracing::error!(task, how, "a task ended by itself: the process ends");
        let _ = self
            .words
            .set(format!("task {task} ended: {how}; the process ends, to be started again"));
        self.told.cancel();
    }

    /// Waits until a task has ended by itself.
    pub async fn happens(&self) {
        self.told.cancelled().await;
    }

    /// Which one, if one has.
    ///
    /// # Errors
    /// Says so.
    pub fn none(&self) -> anyhow::Result<()> {
        self.words.get().map_or(Ok(()), |words| Err(anyhow::anyhow!(words.clone())))
    }
}

/// Runs a task, and tells if it ends before it is told to.
pub async fn until_told(
    name: &'static str,
    task: impl Future<Output = ()>,
    stop: CancellationToken,
    death: Death,
) {
    let ended = AssertUnwindSafe(task).catch_unwind().await;
    if !stop.is_cancelled() {
        let how = ended.map_or_else(
            |panic| format!("it panicked: {}", logs::words(panic.as_ref())),
            |()| "nobody told it to".to_owned(),
        );
        death.tell(name, &how);
    }
}

/// Repeats a step: at once while it finds work, else at the interval or when it is woken; slower
/// and slower while it fails.
pub async fn repeat<F, E>(
    name: &'static str,
    pulse: &Pulse,
    (interval, woken): (Duration, Arc<Notify>),
    stop: &CancellationToken,
    step: impl Fn() -> F,
) where
    F: Future<Output = Result<bool, E>>,
    E: std::fmt::Display,
{
    let (mut failures, counted) =
        (0_u32, metrics::counter!("lucid_task_failures_total", "task" => name));
    // A rule that looks for an increase needs the count of before the first failure.
    counted.increment(0);
    while !stop.is_cancelled() {
        let failed = match AssertUnwindSafe(async { step().await }).catch_unwind().await {
            Ok(Ok(worked)) => {
                pulse.succeeded();
                Ok(worked)
            }
            Ok(Err(error)) => {
                pulse.failed();
                Err(error.to_string())
            }
            Err(panic) => {
                let words = logs::words(panic.as_ref());
                metrics::counter!("lucid_task_panics_total", "task" => name).increment(1);
                pulse.panicked(words.clone());
                Err(format!("it panicked: {words}"))
            }
        };
        let wait = match failed {
            Ok(worked) => {
                failures = 0;
                if worked { Duration::ZERO } else { interval }
            }
            Err(error) => {
                // The first failure is worth a line, then every tenth: a store that is down is
                // down.
                if failures.is_multiple_of(10) {
                    tracing::error!(task = name, %error, failures, "a step failed and is tried again");
                }
                counted.increment(1);
                failures = failures.saturating_add(1);
                interval
                    .min(RETRY_FIRST)
                    .saturating_mul(2_u32.saturating_pow(failures.min(10)))
                    .min(RETRY_MAX)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = woken.notified(), if failures == 0 => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ports::SystemClock;

    #[tokio::test]
    async fn a_step_that_panics_is_tried_again_and_said() {
        let pulse = Pulse::new("books", 60_000, Arc::new(SystemClock::start()));
        let (stop, steps, seen) = (CancellationToken::new(), AtomicU32::new(0), OnceLock::new());
        let step = || async {
            match steps.fetch_add(1, Ordering::Relaxed) {
                0 => panic!("a fault of ours"),
                1 => {
                    let _ = seen.set(pulse.state().trouble);
                    Ok(true)
                }
                _ => {
                    stop.cancel();
                    Err("a store that is down")
                }
            }
        };
        repeat("books", &pulse, (Duration::from_millis(1), Arc::default()), &stop, step).await;
        let seen = seen.into_inner().flatten().unwrap();
        assert!(seen.stops && seen.words.contains("a fault of ours"), "{seen:?}");
        assert_eq!((steps.into_inner(), pulse.state().trouble), (3, None));
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_told_and_one_that_was_told_to_is_not() {
        let stop = CancellationToken::new();
        for (task, how) in [(true, "it panicked: a fault of ours"), (false, "nobody told it to")] {
            let death = Death::default();
            let work = async move { assert!(!task, "a fault of ours") };
            until_told("events", work, stop.clone(), death.clone()).await;
            death.happens().await;
            let told = death.none().unwrap_err().to_string();
            assert!(told.contains("task events ended") && told.contains(how), "{told}");
        }
        stop.cancel();
        let death = Death::default();
        until_told("events", async {}, stop, death.clone()).await;
        death.none().unwrap();
    }
}
