//! MongoDB: a replica set that several processes may use at once.
//!
//! Invariants: every write needs the atomicity of one document and unique indices, never a
//! transaction; an answer to a write means that a majority has it on disk; a database of a newer
//! schema is never touched.

mod among;
mod audit;
mod backend;
mod consensus;
mod epochs;
mod fault;
mod fields;
mod fleet;
mod health;
mod index;
mod inspect;
mod money;
mod notifications;
mod once;
mod page;
mod policies;
mod review;
mod schema;
mod spans;
mod stamp;
mod telemetry;
pub(crate) mod transfer;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::{sync::Arc, time::Duration};

use lucid_ports::{AuditLog, Books};
use lucid_store::{OpenError, PartSchema};
use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc},
    options::{
        Acknowledgment, ClientOptions, CollectionOptions, ReadConcern, ReadPreference,
        SelectionCriteria, WriteConcern,
    },
};

use parking_lot::Mutex;

use self::{
    audit::{AuditReader, Drain, chain::Chain},
    fault::Fault,
    fleet::nodes::Together,
    fleet::pools::Room,
    money::books::BooksReader,
    policies::InForce,
};
pub use self::{
    backend::Mongo,
    inspect::{DiskUse, MongoInspection, inspect},
};

/// The database of a URL that names none.
const DEFAULT_DATABASE: &str = "lucid";
/// For finding a server that may be written to, unless the URL says otherwise.
const SELECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// Connections of this process, unless the URL says otherwise; an operation beyond waits for one.
const CONNECTIONS_MAX: u32 = 64;

/// A store in a database of a MongoDB server.
pub struct MongoStore {
    database: Database,
    drain: Drain,
    /// What nodes that are copied into the database share; nobody else needs it.
    ranks: tokio::sync::Mutex<Option<transfer::Ranks>>,
    together: Together,
    room: Room,
    /// What was active when it was last looked at.
    in_force: Mutex<InForce>,
}

/// Connects to the database that `url` names, and pings it; nothing is created.
async fn connect(url: &str) -> Result<Database, OpenError> {
    let wrong = |source: mongodb::error::Error| OpenError::MongoUrl { source: source.into() };
    let mut options = ClientOptions::parse(url).await.map_err(wrong)?;
    options.app_name.get_or_insert_with(|| "lucid".to_owned());
    options.server_selection_timeout.get_or_insert(SELECTION_TIME_MAX);
    options.max_pool_size.get_or_insert(CONNECTIONS_MAX);
    options.command_event_handler = spans::handler();
    let name = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    let database = Client::with_options(options).map_err(wrong)?.database(&name);
    database
        .run_command(doc! { "ping": 1 })
        .await
        .map_err(|source| OpenError::MongoDatabase { database: name, source: source.into() })?;
    Ok(database)
}

/// The schema of a database beside this binary's.
pub(crate) async fn schema_of(url: &str) -> Result<PartSchema, OpenError> {
    schema::found(&connect(url).await?).await
}

/// Where a URL's database is, without credentials and options: the same for the same hosts in any
/// order.
pub(crate) async fn place_of(url: &str) -> Result<String, OpenError> {
    let options = ClientOptions::parse(url)
        .await
        .map_err(|source| OpenError::MongoUrl { source: source.into() })?;
    let mut hosts: Vec<_> = options.hosts.iter().map(ToString::to_string).collect();
    hosts.sort_unstable();
    Ok(format!(
        "mongodb://{}/{}",
        hosts.join(","),
        options.default_database.as_deref().unwrap_or(DEFAULT_DATABASE)
    ))
}

/// Opens the audit log of a database for reading, also while services use it: nothing is written.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, no server answers, or the database is of a newer schema.
pub(crate) async fn open_audit_log(url: &str) -> Result<Arc<dyn AuditLog>, OpenError> {
    let database = connect(url).await?;
    schema::check_only(&database).await?;
    Ok(Arc::new(AuditReader::new(database)))
}

/// Opens the books of a database for reading.
///
/// # Errors
/// [`OpenError`] if no server answers, or the database is of a newer schema.
pub(crate) async fn open_books(url: &str) -> Result<Arc<dyn Books>, OpenError> {
    let database = connect(url).await?;
    schema::check_only(&database).await?;
    Ok(Arc::new(BooksReader::new(database)))
}

impl MongoStore {
    /// Opens the database that `url` names (`lucid` if it names none), creating what is missing.
    ///
    /// # Errors
    /// [`OpenError`] if the URL is wrong, no server answers, the database is of a newer schema, or
    /// a copy into it is not finished.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let database = connect(url).await?;
        if transfer::mark(&database).await.map_err(|fault| unusable_by(&database, fault))?.is_some()
        {
            return Err(OpenError::HalfCopied);
        }
        Self::of(database).await
    }

    /// Opens it for whoever copies into it.
    pub(crate) async fn open_marked(url: &str) -> Result<Self, OpenError> {
        Self::of(connect(url).await?).await
    }

    async fn of(database: Database) -> Result<Self, OpenError> {
        schema::check(&database).await?;
        index::create(&database).await.map_err(|fault| unusable_by(&database, fault))?;
        Self::over(database).await
    }

    /// A store over a database that has everything it needs; ends what a crash cut off.
    async fn over(database: Database) -> Result<Self, OpenError> {
        let chain =
            Chain::new(durable(&database, audit::LINKS), durable(&database, audit::ENTRIES));
        let drain = Drain::start(chain, audit::AUDITED.map(|name| durable(&database, name)));
        let together = Together::start(
            durable(&database, fleet::nodes::NODES),
            durable(&database, fleet::pools::POOLS),
        );
        let store = Self {
            database,
            drain,
            ranks: tokio::sync::Mutex::new(None),
            together,
            room: Room::default(),
            in_force: Mutex::default(),
        };
        store.empty_removed_pools().await.map_err(|fault| unusable_by(&store.database, fault))?;
        Ok(store)
    }

    /// A collection whose writes are on a majority's disks when they are answered, and which shows
    /// nothing else.
    pub(crate) fn collection(&self, name: &'static str) -> Collection<Document> {
        durable(&self.database, name)
    }
}

fn durable(database: &Database, name: &str) -> Collection<Document> {
    let options = CollectionOptions::builder()
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .read_concern(ReadConcern::majority())
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
        .build();
    database.collection_with_options(name, options)
}

/// Why a database cannot be opened.
fn unusable_by(database: &Database, fault: Fault) -> OpenError {
    let database = database.name().to_owned();
    match fault {
        Fault::Driver(source) => OpenError::MongoDatabase { database, source: source.into() },
        Fault::Bad(detail) | Fault::Contended(detail) => {
            OpenError::MongoDamaged { database, detail }
        }
    }
}
