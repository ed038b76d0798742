//! Which documents the database may hold: a number that grows when older binaries could misread
//! what is written.

use lucid_store::{OpenError, PartSchema};
use mongodb::{Database, bson::doc};

use crate::{durable, fault::Fault, fields::Fields, unusable_by};

/// The schema this binary reads and writes. 2: enrolment tokens say how many uses were copied with
/// them, and a database may have the mark of a copy. 3: scored chunks are packed, and an epoch's
/// votes may follow from its rows. 4: an epoch may be closed before its nodes have its scores. 5: a
/// proposal may be about several payouts. 6: secrets of webhooks are sealed.
pub(super) const SCHEMA: i64 = 6;
pub(super) const META: &str = "meta";

/// Writes the schema's number into a new database; refuses one that is newer.
pub(super) async fn check(database: &Database) -> Result<(), OpenError> {
    let found = schema(database).await.map_err(|fault| unusable_by(database, fault))?;
    known(database, found)
}

/// The same for who only looks. `false`: the database has no number, because no service ever used
/// it.
pub(super) async fn check_only(database: &Database) -> Result<bool, OpenError> {
    let found = found(database).await?.found;
    known(database, found.unwrap_or(SCHEMA))?;
    Ok(found.is_some())
}

/// What the database has, and what this binary writes.
pub(super) async fn found(database: &Database) -> Result<PartSchema, OpenError> {
    let read = async {
        durable(database, META)
            .find_one(doc! { "_id": "schema" })
            .await?
            .map(|d| Fields::of(&d).number("schema"))
            .transpose()
    };
    let found: Result<Option<i64>, Fault> = read.await;
    let found = found.map_err(|fault| unusable_by(database, fault))?;
    Ok(PartSchema { part: format!("database {}", database.name()), found, known: SCHEMA })
}

fn known(database: &Database, found: i64) -> Result<(), OpenError> {
    if found > SCHEMA {
        return Err(OpenError::MongoNewerSchema {
            database: database.name().to_owned(),
            found,
            known: SCHEMA,
        });
    }
    Ok(())
}

async fn schema(database: &Database) -> Result<i64, Fault> {
    let meta = durable(database, META);
    // Replicas may start at once: the number is written once, whoever is first, and only ever
    // grows. What an older one wrote is read; older binaries could not read what is written from
    // here on.
    let written = meta
        .update_one(
            doc! { "_id": "schema" },
            doc! { "$setOnInsert": { "v": 1 }, "$max": { "schema": SCHEMA } },
        )
        .upsert(true)
        .await;
    match written.map_err(Fault::from) {
        Ok(_) => {}
        Err(fault) if fault.is_duplicate() => {}
        Err(fault) => return Err(fault),
    }
    let document = meta.find_one(doc! { "_id": "schema" }).await?;
    let document =
        document.ok_or_else(|| Fault::Bad("the schema document is missing".to_owned()))?;
    Fields::of(&document).number("schema")
}
