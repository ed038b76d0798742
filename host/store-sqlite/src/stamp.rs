use async_trait::async_trait;
use lucid_model::id::FamilyId;
use lucid_ports::{Environment, Origin, Stamp, StampStore, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, boot,
    columns::Columns,
    fault::Fault,
    query::{execute, first},
};

fn environment(word: &str) -> Option<Environment> {
    [Environment::Sandbox, Environment::Live].into_iter().find(|e| e.name() == word)
}

fn read(columns: &mut Columns<'_>) -> Result<Stamp, Fault> {
    Ok(Stamp {
        environment: columns.word(environment)?,
        network: columns.take()?,
        rail: columns.take()?,
        family: columns.id(FamilyId)?,
    })
}

/// The stamp, if the file has one.
pub(crate) fn find(connection: &Connection) -> Result<Option<Stamp>, Fault> {
    first(connection, "SELECT environment, network, rail, family FROM stamp", [], read)
}

#[async_trait]
impl StampStore for SqliteStore {
    async fn known_stamp(&self) -> Result<Option<Stamp>, StoreError> {
        self.core.read(find).await
    }
    async fn stamp_or(&self, fresh: Stamp) -> Result<Stamp, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "INSERT INTO stamp (one, environment, network, rail, family) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
                execute(connection, sql, params![fresh.environment.name(), fresh.network, fresh.rail, fresh.family.0.as_bytes()])?;
                find(connection)?.ok_or_else(|| Fault::Bad("the stamp is missing".to_owned()))
            })
            .await
    }
    async fn origin(&self) -> Result<Origin, StoreError> {
        match self.dir.clone() {
            Some(dir) => self.core.read(move |connection| boot::origin(connection, &dir)).await,
            None => Ok(Origin::Here),
        }
    }
    async fn take_possession(&self) -> Result<(), StoreError> {
        match self.dir.clone() {
            Some(dir) => {
                self.core.write(move |connection| boot::take_possession(connection, &dir)).await
            }
            None => Ok(()),
        }
    }
}
