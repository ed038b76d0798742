//! Threads for guests, apart from those that serve requests, and each policy's share of them.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{EngineError, config::EngineConfig};

/// Stack beside what a guest may use, for the host's own frames.
const HOST_STACK_BYTES: usize = 1024 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// Why a call did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// As many calls wait as may.
    #[error("{waiting_max} calls are waiting already")]
    Busy { waiting_max: usize },
    /// The thread gave up on it.
    #[error("the thread that ran it panicked")]
    Panicked,
}

/// What one policy may hold at a time: never every thread, so that a slow one leaves room for the
/// others.
pub struct Bulkhead {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Bulkhead {
    /// All threads but one, and at least one.
    pub fn new(threads: usize, waiting_max: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(threads.saturating_sub(1).max(1))),
            waiting: AtomicUsize::new(0),
            waiting_max,
        }
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, NotRun> {
        // Counted also if the caller stops waiting, since then this future is dropped.
        let _waits = Waits::of(&self.waiting, self.waiting_max)?;
        Arc::clone(&self.running).acquire_owned().await.map_err(|_| NotRun::Panicked)
    }
}

struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn of(waiting: &'a AtomicUsize, waiting_max: usize) -> Result<Self, NotRun> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Self(waiting);
        if before < waiting_max { Ok(waits) } else { Err(NotRun::Busy { waiting_max }) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The threads; they end when this is dropped and the queue is empty.
pub struct GuestThreads {
    queue: Arc<Queue>,
    jobs_max: usize,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl GuestThreads {
    /// Starts `policy-0` and so on.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        let threads = Self { queue: Arc::default(), jobs_max: config.queued_calls_max };
        for number in 0..config.guest_threads {
            let (name, queue) = (format!("policy-{number}"), Arc::clone(&threads.queue));
            std::thread::Builder::new()
                .name(name.clone())
                .stack_size(config.stack_bytes_max.saturating_add(HOST_STACK_BYTES))
                .spawn(move || queue.work())
                .map_err(|source| EngineError::Thread { name, source })?;
        }
        Ok(threads)
    }

    /// Runs `work` on a guest thread once the bulkhead lets it. A caller that stops waiting does
    /// not stop the work, which keeps its place in the bulkhead until it is done.
    pub async fn run<T: Send + 'static>(
        &self,
        share: &Bulkhead,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let permit = share.enter().await?;
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            let result = work();
            drop(permit);
            let _nobody_waits = sender.send(result);
        };
        self.queue.push(Box::new(job), self.jobs_max)?;
        receiver.await.map_err(|_| NotRun::Panicked)
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn push(&self, job: Job, jobs_max: usize) -> Result<(), NotRun> {
        let mut state = self.state.lock();
        if state.jobs.len() >= jobs_max {
            return Err(NotRun::Busy { waiting_max: jobs_max });
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // Whoever waits for a job that panics learns so from its closed channel; the thread
            // goes on.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a policy call panicked in the host");
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            match state.jobs.pop_front() {
                Some(job) => return Some(job),
                None if state.closed => return None,
                None => self.changed.wait(&mut state),
            }
        }
    }
}

/// Runs long work (compiling, a gate) on a thread of its own, so that it holds up neither callers
/// nor guests.
pub async fn run_apart<T: Send + 'static>(
    name: &str,
    stack_bytes_max: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        let _nobody_waits = sender.send(work());
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_bytes_max.saturating_add(COMPILER_STACK_BYTES))
        .spawn(job)
        .map_err(|error| format!("cannot start thread {name}: {error}"))?;
    receiver.await.map_err(|_| format!("thread {name} panicked"))
}

/// Compilers recurse.
const COMPILER_STACK_BYTES: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn threads(guest_threads: usize) -> GuestThreads {
        GuestThreads::start(&EngineConfig { guest_threads, ..EngineConfig::new("cache") }).unwrap()
    }

    #[test]
    fn a_policy_never_holds_every_thread() {
        let threads = threads(2);
        let (greedy, modest) = (Bulkhead::new(2, 8), Bulkhead::new(2, 8));
        let (release, held) = std::sync::mpsc::channel::<()>();
        runtime().block_on(async {
            let first = threads.run(&greedy, move || held.recv().is_ok());
            let second = threads.run(&greedy, || true);
            let other = async {
                let ran = threads
                    .run(&modest, || std::thread::current().name().unwrap().to_owned())
                    .await
                    .unwrap();
                release.send(()).unwrap();
                ran
            };
            let (first, second, other) = tokio::join!(first, second, other);
            assert_eq!((first, second), (Ok(true), Ok(true)));
            assert!(other.starts_with("policy-"), "{other}");
        });
    }

    #[test]
    fn more_waiting_calls_than_allowed_are_turned_away() {
        let threads = threads(1);
        let share = Bulkhead::new(1, 1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        runtime().block_on(async {
            let first = threads.run(&share, move || held.recv().is_ok());
            let second = threads.run(&share, || true);
            let third = async {
                let result = threads.run(&share, || true).await;
                release.send(()).unwrap();
                result
            };
            let results = tokio::join!(first, second, third);
            assert_eq!(results, (Ok(true), Ok(true), Err(NotRun::Busy { waiting_max: 1 })));
        });
    }

    #[test]
    fn a_panic_of_a_call_leaves_the_thread_alive() {
        let threads = threads(1);
        let share = Bulkhead::new(1, 8);
        runtime().block_on(async {
            assert_eq!(
                threads.run(&share, || panic!("on purpose")).await,
                Err::<(), _>(NotRun::Panicked)
            );
            assert_eq!(threads.run(&share, || 7).await, Ok(7));
        });
    }
}
