//! Whether this process does what it is there for: its tasks live and succeed, its store can be
//! written and is sound.
//!
//! Readiness asks for both at the moment it is asked, so that a task which ended or hangs cannot
//! hide that it did.

use std::sync::Arc;

use lucid_ports::{Clock, HealthStore, StoreError};
use parking_lot::Mutex;

/// What the alert about a store that cannot be written is about.
pub const STORE: &str = "store";
/// What the alert about a store whose files are damaged is about.
pub const STORE_DAMAGED: &str = "store-damaged";
/// What the alert about tasks that hang, panic or do not succeed is about.
pub const TASKS: &str = "tasks";
/// The store's last word counts for so long: one that hangs gives none.
const WORD_AGE_MS_MAX: i64 = 8_000;

/// How one task does.
pub struct Pulse {
    name: &'static str,
    age_ms_max: i64,
    clock: Arc<dyn Clock>,
    beat: Mutex<Beat>,
}

#[derive(Debug, Clone)]
struct Beat {
    /// Another replica does it.
    stands_by: bool,
    /// When a step succeeded last, on the monotonic clock.
    succeeded_ms: i64,
    /// When a step ended last, however it did.
    ended_ms: i64,
    /// What the last step panicked with.
    panic: Option<String>,
}

impl Pulse {
    /// Of a task one step of which ends within `age_ms_max` of the one before.
    pub fn new(name: &'static str, age_ms_max: i64, clock: Arc<dyn Clock>) -> Self {
        let now_ms = clock.monotonic_ms();
        Self {
            name,
            age_ms_max,
            clock,
            beat: Mutex::new(Beat {
                stands_by: false,
                succeeded_ms: now_ms,
                ended_ms: now_ms,
                panic: None,
            }),
        }
    }

    /// A step did what it should.
    pub fn succeeded(&self) {
        let now_ms = self.clock.monotonic_ms();
        *self.beat.lock() =
            Beat { stands_by: false, succeeded_ms: now_ms, ended_ms: now_ms, panic: None };
    }

    /// A step ended with an error.
    pub fn failed(&self) {
        let mut beat = self.beat.lock();
        (beat.ended_ms, beat.panic) = (self.clock.monotonic_ms(), None);
    }

    /// A step panicked.
    pub fn panicked(&self, words: String) {
        let mut beat = self.beat.lock();
        (beat.ended_ms, beat.panic) = (self.clock.monotonic_ms(), Some(words));
    }

    /// It is this replica's to do from now on.
    pub fn begins(&self) {
        self.succeeded();
    }

    /// It is another replica's to do, or nobody's.
    pub fn stands_by(&self) {
        self.beat.lock().stands_by = true;
    }

    /// How the task does.
    pub fn state(&self) -> TaskState {
        let (now_ms, beat) = (self.clock.monotonic_ms(), self.beat.lock().clone());
        let seconds = self.age_ms_max / 1_000;
        let trouble = if beat.stands_by {
            None
        } else if let Some(words) = beat.panic {
            Some(Trouble {
                stops: true,
                words: format!("{} panicked and is tried again: {words}", self.name),
            })
        } else if now_ms - beat.ended_ms > self.age_ms_max {
            Some(Trouble {
                stops: true,
                words: format!("{} hangs: no step has ended for more than {seconds} s", self.name),
            })
        } else if now_ms - beat.succeeded_ms > self.age_ms_max {
            Some(Trouble {
                stops: false,
                words: format!("{} has not succeeded for more than {seconds} s", self.name),
            })
        } else {
            None
        };
        TaskState {
            name: self.name,
            success_age_ms: (!beat.stands_by).then_some(now_ms - beat.succeeded_ms),
            trouble,
        }
    }
}

/// How a task does at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    pub name: &'static str,
    /// For how long no step has succeeded; none while another replica does it.
    pub success_age_ms: Option<i64>,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether the service is not ready for it: the task hangs or panics. One whose steps end with
    /// errors says so by them.
    pub stops: bool,
    /// In words that do not change while it lasts.
    pub words: String,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct StoreState {
    /// What it said last, and when on the monotonic clock.
    word: Option<(i64, Result<(), String>)>,
    /// Its pages are being read for the first time: nothing is paid before that is done.
    is_unchecked: bool,
    damage: Option<String>,
    /// Payments have to be frozen, and the store takes no word of that.
    is_freeze_unwritten: bool,
}

/// How tasks and store do.
pub struct Vitals {
    clock: Arc<dyn Clock>,
    health: Arc<dyn HealthStore>,
    tasks: Mutex<Vec<Arc<Pulse>>>,
    store: Mutex<StoreState>,
}

impl Vitals {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>, health: Arc<dyn HealthStore>) -> Self {
        Self { clock, health, tasks: Mutex::default(), store: Mutex::default() }
    }

    /// Watches a task, one step of which ends within `age_ms_max` of the one before.
    pub fn watch_task(&self, name: &'static str, age_ms_max: i64) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse::new(name, age_ms_max, Arc::clone(&self.clock)));
        self.tasks.lock().push(Arc::clone(&pulse));
        pulse
    }

    /// How every task does.
    pub fn tasks(&self) -> Vec<TaskState> {
        self.tasks.lock().iter().map(|pulse| pulse.state()).collect()
    }

    /// Tasks that hang or panic.
    ///
    /// # Errors
    /// Which, and what they do.
    pub fn tasks_live(&self) -> Result<(), String> {
        let stopped: Vec<_> = self
            .tasks()
            .into_iter()
            .filter_map(|task| task.trouble.filter(|trouble| trouble.stops))
            .map(|t| t.words)
            .collect();
        if stopped.is_empty() { Ok(()) } else { Err(stopped.join("; ")) }
    }

    /// Sets the measurements of tasks.
    pub fn measure_tasks(&self) {
        for task in self.tasks() {
            let age_ms = task.success_age_ms.unwrap_or_default().unsigned_abs();
            metrics::gauge!("lucid_task_success_age_seconds", "task" => task.name)
                .set(std::time::Duration::from_millis(age_ms).as_secs_f64());
        }
    }

    /// Whether the store can be relied on, as it was found lately.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn store_is_well(&self) -> Result<(), String> {
        let store = self.store.lock();
        if let Some(damage) = &store.damage {
            return Err(StoreError::Damaged { detail: damage.clone() }.to_string());
        }
        match &store.word {
            Some((at_ms, _)) if self.clock.monotonic_ms() - at_ms > WORD_AGE_MS_MAX => Err(
                format!("the store has not answered for more than {} s", WORD_AGE_MS_MAX / 1_000),
            ),
            Some((_, word)) => word.clone(),
            None => Ok(()),
        }
    }

    /// What is damaged in the store, if anything is known to be.
    pub fn store_damage(&self) -> Option<String> {
        self.store.lock().damage.clone()
    }

    /// Whether the store's pages are being read for the first time, so that nothing is paid yet.
    pub fn store_is_unchecked(&self) -> bool {
        self.store.lock().is_unchecked
    }

    /// From now on nothing is paid before [`Vitals::check_pages`] has found nothing.
    pub fn await_store_check(&self) {
        self.store.lock().is_unchecked = true;
    }

    /// Whether nothing may be sent because of the store. It is asked itself: damage that a call met
    /// a moment ago counts, also where the freeze cannot be written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn store_holds_payments(&self) -> Result<bool, StoreError> {
        let damage = self.health.damage().await?;
        let mut store = self.store.lock();
        if store.damage.is_none() {
            store.damage = damage;
        }
        Ok(store.is_unchecked || store.damage.is_some())
    }

    /// Reads every page of the store.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read: that says nothing about its pages.
    pub async fn check_pages(&self) -> Result<(), StoreError> {
        if self.health.check_pages().await?.is_none() {
            self.store.lock().is_unchecked = false;
        }
        Ok(())
    }

    /// Proves that the store can be written, and remembers what came of it. Fewer bytes left on its
    /// disk than `free_bytes_min` are too few.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn probe_store(&self, free_bytes_min: u64) -> Result<(), String> {
        let word = match self.health.probe().await {
            Ok(Some(free)) if free < free_bytes_min => {
                let detail = format!(
                    "{} MiB left on its disk, {} needed (store.free_min_mib): make room",
                    free >> 20,
                    free_bytes_min >> 20
                );
                Err(StoreError::NoSpace { detail }.to_string())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        self.store.lock().word = Some((self.clock.monotonic_ms(), word.clone()));
        word
    }

    /// Remembers whether the store refuses to note that payments are frozen; whether that is news.
    pub fn freeze_is_unwritten(&self, is_unwritten: bool) -> bool {
        let was = std::mem::replace(&mut self.store.lock().is_freeze_unwritten, is_unwritten);
        is_unwritten && !was
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use lucid_model::time::TimeMs;

    use super::*;

    #[derive(Default)]
    struct Watch(AtomicI64);

    impl Clock for Watch {
        fn now(&self) -> TimeMs {
            TimeMs(0)
        }
        fn monotonic_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_task_that_hangs_or_panics_stops_the_service_and_one_that_fails_does_not() {
        let watch = Arc::new(Watch::default());
        let pulse = Pulse::new("books", 10_000, Arc::clone(&watch) as Arc<dyn Clock>);
        let pass_ms = |ms| watch.0.fetch_add(ms, Ordering::Relaxed);
        let trouble = || pulse.state().trouble.map(|trouble| (trouble.stops, trouble.words));
        pass_ms(10_000);
        assert_eq!((trouble(), pulse.state().success_age_ms), (None, Some(10_000)));
        pass_ms(1);
        assert_eq!(
            trouble(),
            Some((true, "books hangs: no step has ended for more than 10 s".into()))
        );
        pulse.failed();
        assert_eq!(trouble(), Some((false, "books has not succeeded for more than 10 s".into())));
        pulse.succeeded();
        assert_eq!(trouble(), None);
        pulse.panicked("a fault of ours".into());
        assert_eq!(
            trouble(),
            Some((true, "books panicked and is tried again: a fault of ours".into()))
        );
        pulse.stands_by();
        pass_ms(60_000);
        assert_eq!(
            (trouble(), pulse.state().success_age_ms),
            (None, None),
            "another replica does it"
        );
        pulse.begins();
        assert_eq!((trouble(), pulse.state().success_age_ms), (None, Some(0)));
    }
}
