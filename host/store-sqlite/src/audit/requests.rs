use async_trait::async_trait;
use lucid_model::{
    audit::request::{RequestKey, StoredAnswer},
    id::{Digest, IntendedId},
    time::TimeMs,
};
use lucid_ports::{Begun, NewRequest, RequestStore, StoreError};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    columns::{Columns, json},
    fault::Fault,
    query::{execute, first},
};

pub(crate) struct Record {
    pub(crate) fingerprint: Digest,
    pub(crate) creates: IntendedId,
    pub(crate) lease_until: TimeMs,
    pub(crate) expires_at: TimeMs,
    pub(crate) answer: Option<StoredAnswer>,
}

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Record, Fault> {
    let (fingerprint, creates) = (columns.digest()?, columns.id(IntendedId)?);
    let (lease_until, expires_at) = (columns.time()?, columns.time()?);
    let status: Option<u16> = columns.take()?;
    let answer = match status {
        Some(status) => {
            Some(StoredAnswer { status, headers: columns.json()?, body: columns.take()? })
        }
        None => None,
    };
    Ok(Record { fingerprint, creates, lease_until, expires_at, answer })
}

fn begin(connection: &Connection, request: &NewRequest) -> Result<Begun, Fault> {
    let NewRequest {
        key: RequestKey { subject, key },
        fingerprint,
        creates,
        at,
        lease_until,
        expires_at,
    } = request;
    let sql = "SELECT fingerprint, creates, lease_until, expires_at, status, headers, body FROM requests WHERE subject = ? AND key = ?";
    let known = first(connection, sql, params![subject, key], read)?
        .filter(|record| record.expires_at > *at);
    match known {
        None => {
            let sql = "INSERT OR REPLACE INTO requests (subject, key, fingerprint, creates, lease_until, expires_at) VALUES (?, ?, ?, ?, ?, ?)";
            execute(
                connection,
                sql,
                params![
                    subject,
                    key,
                    fingerprint.0,
                    creates.0.as_bytes(),
                    lease_until.0,
                    expires_at.0
                ],
            )?;
            Ok(Begun::Run(*creates))
        }
        Some(record) if record.fingerprint != *fingerprint => Ok(Begun::OtherRequest),
        Some(Record { answer: Some(answer), .. }) => Ok(Begun::Answered(answer)),
        Some(record) if record.lease_until > *at => Ok(Begun::InProgress),
        Some(record) => {
            let sql = "UPDATE requests SET lease_until = ? WHERE subject = ? AND key = ?";
            execute(connection, sql, params![lease_until.0, subject, key])?;
            Ok(Begun::Run(record.creates))
        }
    }
}

/// Nobody but this process carries requests out: what it left behind when it ended may be tried
/// again at once.
pub(crate) fn release_all(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE requests SET lease_until = 0 WHERE status IS NULL", []).map(drop)
}

#[async_trait]
impl RequestStore for SqliteStore {
    async fn begin_request(&self, request: NewRequest) -> Result<Begun, StoreError> {
        self.core.write(move |connection| begin(connection, &request)).await
    }
    async fn answer_request(
        &self,
        key: RequestKey,
        answer: StoredAnswer,
    ) -> Result<(), StoreError> {
        self.core
            .write(move |connection| {
                let sql = "UPDATE requests SET status = ?, headers = ?, body = ? WHERE subject = ? AND key = ?";
                execute(connection, sql, params![answer.status, json(&answer.headers)?, answer.body, key.subject, key.key])?;
                Ok(())
            })
            .await
    }
    async fn release_request(&self, key: RequestKey) -> Result<(), StoreError> {
        self.core
            .write(move |connection| {
                let sql = "UPDATE requests SET lease_until = 0 WHERE subject = ? AND key = ? AND status IS NULL";
                execute(connection, sql, params![key.subject, key.key])?;
                Ok(())
            })
            .await
    }
    async fn forget_requests(&self, now: TimeMs, limit: u32) -> Result<u64, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "DELETE FROM requests WHERE (subject, key) IN (SELECT subject, key FROM requests WHERE expires_at <= ? LIMIT ?)";
                Ok(execute(connection, sql, params![now.0, limit])? as u64)
            })
            .await
    }
}
