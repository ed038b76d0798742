//! Looks at a database for who operates it. Nothing of the service's is written: one scratch
//! collection is made and removed again, to see that writes are durable.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lucid_ports::Stamp;
use lucid_store::{ActiveBundle, OpenError, UnfinishedCopy, transfer::source_of_copy};
use mongodb::{
    Database,
    bson::{Bson, Document, doc, oid::ObjectId},
};

use crate::{
    connect, durable,
    fault::Fault,
    fields::Fields,
    index::{self, Index},
    place_of,
    policies::{self, InForce},
    schema, stamp,
    transfer::mark,
    unusable_by,
};

/// Where writes are tried.
const SCRATCH: &str = "doctor";
/// Writes that are timed; the middle one counts.
const WRITES: usize = 5;

/// What was found in a MongoDB database that was only looked at.
#[derive(Debug, Clone)]
pub struct MongoInspection {
    /// The server's version.
    pub version: String,
    /// The database's name.
    pub database: String,
    /// Whether it is part of a replica set, so that a majority is more than this one server.
    pub replicated: bool,
    /// Whether a service ever used it.
    pub used: bool,
    /// Number of its schema: this binary's.
    pub schema: i64,
    /// How far the server's clock is ahead of this machine's, if it tells.
    pub ahead_ms: Option<i64>,
    /// Indices there have to be.
    pub indices: usize,
    /// Those that are not there, or are otherwise, each with what it is for.
    pub wrong_indices: Vec<String>,
    /// What it was made for; none if no service ever ran on it.
    pub stamp: Option<Stamp>,
    /// The copy into it that was not finished.
    pub copying: Option<UnfinishedCopy>,
    /// Every policy that is active.
    pub active: Vec<ActiveBundle>,
    /// Time until a write is on a majority's disks, or why there is none.
    pub durable_write: Result<Duration, String>,
    /// Its size, if the server tells.
    pub room: Option<DiskUse>,
}

/// How much a database takes, and what is left on its disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskUse {
    /// Taken on disk.
    pub stored_bytes: u64,
    /// Left on the disk, if the server tells.
    pub free_bytes: Option<u64>,
}

/// Looks at a MongoDB database without opening it for use. Of the service's collections none is
/// written to; a scratch collection is made and removed, to see that writes are durable.
///
/// # Errors
/// [`OpenError`] if the URL is wrong, no server answers, or the database is of a newer schema.
pub async fn inspect(url: &str) -> Result<MongoInspection, OpenError> {
    let database = connect(url).await?;
    let used = schema::check_only(&database).await?;
    let found = look(&database, used).await.map_err(|fault| unusable_by(&database, fault))?;
    let mark = mark(&database).await.map_err(|fault| unusable_by(&database, fault))?;
    let copying = match mark {
        Some(mark) => {
            Some(UnfinishedCopy { from: source_of_copy(&mark), to: place_of(url).await? })
        }
        None => None,
    };
    Ok(MongoInspection { copying, ..found })
}

async fn look(database: &Database, used: bool) -> Result<MongoInspection, Fault> {
    let asked = Instant::now();
    let hello = database.run_command(doc! { "hello": 1 }).await?;
    let answered_in = asked.elapsed();
    let ours_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(answered_in / 2)
        .as_millis();
    let server = database.run_command(doc! { "buildInfo": 1 }).await?;
    let local_ms = hello.get_datetime("localTime").ok().map(|at| at.timestamp_millis());
    Ok(MongoInspection {
        version: server.get_str("version").unwrap_or("of unknown version").to_owned(),
        database: database.name().to_owned(),
        // A router in front of shards stands for replica sets.
        replicated: hello.get_str("setName").is_ok()
            || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"),
        used,
        schema: schema::SCHEMA,
        ahead_ms: local_ms.map(|at| at.saturating_sub(i64::try_from(ours_ms).unwrap_or(i64::MAX))),
        indices: index::all().count(),
        wrong_indices: if used { wrong_indices(database).await? } else { Vec::new() },
        stamp: stamp::find(database).await?,
        copying: None,
        active: active(database).await?,
        durable_write: durable_write(database).await.map_err(|fault| fault.to_string()),
        room: room(database).await,
    })
}

/// Indices that are missing or made otherwise, each with what it is for.
async fn wrong_indices(database: &Database) -> Result<Vec<String>, Fault> {
    let there = database.list_collection_names().await?;
    let mut wrong = Vec::new();
    let mut of = BTreeMap::<&str, Vec<Index>>::new();
    index::all().for_each(|index| of.entry(index.collection).or_default().push(index));
    for (collection, wanted) in of {
        let mut found = BTreeMap::new();
        if there.iter().any(|name| name == collection) {
            let mut cursor = durable(database, collection).list_indexes().await?;
            while cursor.advance().await? {
                let model = cursor.deserialize_current()?;
                let options = model.options.clone().unwrap_or_default();
                if let Some(name) = &options.name {
                    found.insert(name.clone(), (model.keys, options));
                }
            }
        }
        for index in wanted {
            let told = |what: &str| format!("{collection}.{} {what} ({})", index.name, index.why);
            match found.get(index.name) {
                None => wrong.push(told("is missing")),
                Some((keys, options)) => {
                    let plain = options.sparse.unwrap_or(false) == index.is_sparse()
                        && !options.hidden.unwrap_or(false)
                        && options.expire_after.is_none();
                    let same = same(keys, &index.key_document())
                        && options.unique.unwrap_or(false) == index.unique
                        && match (&options.partial_filter_expression, index.filter()) {
                            (None, None) => true,
                            (Some(found), Some(wanted)) => same(found, &wanted),
                            _ => false,
                        };
                    if !same || !plain || options.collation.is_some() {
                        wrong.push(told("has other keys or options"));
                    }
                }
            }
        }
    }
    Ok(wrong)
}

/// Whether two documents say the same; servers tell whole numbers in types of their own.
fn same(a: &Document, b: &Document) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((name, a), (other, b))| name == other && same_value(a, b))
}

fn same_value(a: &Bson, b: &Bson) -> bool {
    let number = |value: &Bson| match value {
        Bson::Int32(value) => Some(f64::from(*value)),
        Bson::Int64(value) => i32::try_from(*value).ok().map(f64::from),
        Bson::Double(value) => Some(*value),
        _ => None,
    };
    match (a, b) {
        (Bson::Document(a), Bson::Document(b)) => same(a, b),
        _ => {
            a == b
                || matches!((number(a), number(b)), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
        }
    }
}

/// Every policy that is active, with what is kept of it.
async fn active(database: &Database) -> Result<Vec<ActiveBundle>, Fault> {
    let mut bundles = Vec::new();
    for activation in policies::read_in_force(database, InForce::default()).await?.activations() {
        let kept = match policies::kept_bundle(database, activation.policy.digest).await {
            Err(Fault::Bad(detail)) => Err(detail),
            kept => Ok(kept?),
        };
        bundles.push(ActiveBundle::new(activation, kept));
    }
    Ok(bundles)
}

/// Writes a few documents as the service does, one after the other: the middle time until one is
/// durable.
async fn durable_write(database: &Database) -> Result<Duration, Fault> {
    let scratch = durable(database, SCRATCH);
    let mut times = Vec::with_capacity(WRITES);
    let mut failed = None;
    for _ in 0..WRITES {
        let began = Instant::now();
        if let Err(error) = scratch.insert_one(doc! { "_id": ObjectId::new() }).await {
            failed = Some(error);
            break;
        }
        times.push(began.elapsed());
    }
    // Whatever it was: nothing is left behind.
    let dropped = scratch.drop().await;
    if let Some(error) = failed {
        return Err(error.into());
    }
    dropped?;
    times.sort_unstable();
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}

/// Not every server tells, nor may every user ask.
async fn room(database: &Database) -> Option<DiskUse> {
    let stats = database.run_command(doc! { "dbStats": 1 }).await.ok()?;
    let bytes = |name: &str| match stats.get(name)? {
        Bson::Double(value) if *value >= 0.0 => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "bytes of a disk, told as a float"
            )]
            let whole = *value as u64;
            Some(whole)
        }
        _ => Fields::of(&stats).number_or_none::<u64>(name).ok().flatten(),
    };
    let disk = bytes("fsTotalSize").zip(bytes("fsUsedSize")).filter(|(total, _)| *total > 0);
    Some(DiskUse {
        stored_bytes: bytes("storageSize")?,
        free_bytes: disk.map(|(total, used)| total.saturating_sub(used)),
    })
}
