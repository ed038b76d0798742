//! Whether the files can be relied on: written, where they were opened, and sound.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lucid_ports::{HealthStore, StoreError};
use lucid_store::OpenError;
use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

use crate::{
    SqliteStore,
    database::{Database, open_of_any_schema},
    fault::{Fault, Kind},
    place::Place,
};

/// A commit that is no older proves that writing works.
const COMMIT_AGE_MAX: Duration = Duration::from_secs(2);

/// How one database does.
#[derive(Default)]
pub(crate) struct Condition {
    /// None in memory.
    place: Option<Place>,
    /// The first damage that anybody met.
    damage: Mutex<Option<String>>,
    /// When a commit was durable last, unless a later one failed.
    committed: Mutex<Option<Instant>>,
    /// Why the last one failed, if it did.
    refusal: Mutex<Option<StoreError>>,
}

impl Condition {
    /// Of files that are open.
    pub(crate) fn in_place(place: Place) -> Self {
        Self { place: Some(place), ..Self::default() }
    }

    pub(crate) fn is_in_place(&self) -> Result<(), Fault> {
        self.place.as_ref().map_or(Ok(()), Place::check)
    }

    /// Remembers what became of a transaction.
    pub(crate) fn committed(&self, outcome: &Result<(), StoreError>) {
        *self.committed.lock() = outcome.is_ok().then(Instant::now);
        *self.refusal.lock() = outcome.as_ref().err().cloned();
    }

    /// Why the last transaction was not committed, if it was not.
    pub(crate) fn refusal(&self) -> Option<StoreError> {
        self.refusal.lock().clone()
    }

    /// Remembers damage.
    pub(crate) fn met(&self, fault: &Fault) {
        if fault.kind() == Kind::Damage {
            self.note(&fault.to_string());
        }
    }

    /// The same of what a caller is told.
    pub(crate) fn noting<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Damaged { detail }) = &outcome {
            self.note(detail);
        }
        outcome
    }

    fn note(&self, detail: &str) {
        let mut damage = self.damage.lock();
        if damage.is_none() {
            tracing::error!(detail, "the store is damaged");
            *damage = Some(detail.to_owned());
        }
    }
}

impl Database {
    /// Fails unless it can be written where it was opened.
    async fn prove_writable(&self) -> Result<(), StoreError> {
        let condition = self.condition();
        condition.is_in_place()?;
        if let Some(place) = &condition.place {
            place.check_access()?;
        }
        let is_recent = condition.committed.lock().is_some_and(|at| at.elapsed() < COMMIT_AGE_MAX);
        if is_recent { Ok(()) } else { self.write(rewrite_first_page).await }
    }

    /// What is damaged, if anything is.
    async fn check_pages(
        &self,
        dir: &Path,
        name: &'static str,
    ) -> Result<Option<String>, StoreError> {
        let (connection, _, file) = match open_of_any_schema(dir, name) {
            Ok(open) => open,
            Err(OpenError::Damaged { detail, .. }) => return Ok(Some(self.is_damaged(detail))),
            Err(error) => return Err(StoreError::Unavailable { detail: error.to_string() }),
        };
        let _interrupt = Interrupt(connection.get_interrupt_handle());
        let looked = tokio::task::spawn_blocking(move || quick_check(&connection)).await;
        match looked.map_err(|_| StoreError::Unavailable {
            detail: "the check of the pages was stopped".to_owned(),
        })? {
            Ok(said) if said == "ok" => Ok(None),
            Ok(said) => Ok(Some(self.is_damaged(format!("{}: {said}", file.display())))),
            Err(fault) if fault.kind() == Kind::Damage => {
                Ok(Some(self.is_damaged(format!("{}: {fault}", file.display()))))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn is_damaged(&self, detail: String) -> String {
        self.condition().note(&detail);
        detail
    }
}

/// A check that nobody waits for any more ends at once.
struct Interrupt(InterruptHandle);

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

fn quick_check(connection: &Connection) -> Result<String, Fault> {
    Ok(connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
}

/// The smallest change that a commit can have: what it says stays the same.
fn rewrite_first_page(connection: &Connection) -> Result<(), Fault> {
    let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(connection.pragma_update(None, "user_version", schema)?)
}

#[async_trait]
impl HealthStore for SqliteStore {
    async fn probe(&self) -> Result<Option<u64>, StoreError> {
        let (core, telemetry) =
            futures::join!(self.core.prove_writable(), self.telemetry.prove_writable());
        core.and(telemetry)?;
        Ok(self.core.condition().place.as_ref().and_then(Place::free_bytes))
    }

    async fn check_pages(&self) -> Result<Option<String>, StoreError> {
        let Some(dir) = &self.dir else { return Ok(None) };
        // Money is in the first one.
        match self.core.check_pages(dir, "core").await? {
            None => self.telemetry.check_pages(dir, "telemetry").await,
            damage => Ok(damage),
        }
    }

    async fn damage(&self) -> Result<Option<String>, StoreError> {
        let of = |database: &Database| database.condition().damage.lock().clone();
        Ok(of(&self.core).or_else(|| of(&self.telemetry)))
    }
}
