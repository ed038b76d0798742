use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    fleet::enrolment::{Enrolment, EnrolmentScope},
    id::{Digest, EnrolmentId, PoolId, UserId},
    time::TimeMs,
};
use lucid_ports::{EnrolmentFilter, EnrolmentStore, Page, PageRequest, StoreError};
use rusqlite::{Connection, Params, params};

use crate::{
    SqliteStore, audit,
    columns::{Columns, blob},
    fault::Fault,
    query::{Conditions, List, Source, execute, first},
};

pub(crate) const COLUMNS: &str = "id, digest, owner, name, scope, pool, uses_max, uses, expires_at, revoked_at, created_at, created_by";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Enrolment, Fault> {
    Ok(Enrolment {
        id: columns.id(EnrolmentId)?,
        digest: columns.digest()?,
        owner: columns.id(UserId)?,
        name: columns.take()?,
        scope: columns.word(EnrolmentScope::from_name)?,
        pool: columns.id_or_none(PoolId)?,
        uses_max: columns.take()?,
        uses: columns.take()?,
        expires_at: columns.time()?,
        revoked_at: columns.time_or_none()?,
        created_at: columns.time()?,
        created_by: columns.take()?,
    })
}

fn one(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Option<Enrolment>, Fault> {
    first(connection, &format!("SELECT {COLUMNS} FROM enrolments WHERE {condition}"), params, read)
}

/// Adds a token; `false` if it is there.
pub(crate) fn insert(connection: &Connection, enrolment: &Enrolment) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO enrolments ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
    );
    let values = params![
        enrolment.id.0.as_bytes(),
        enrolment.digest.0,
        enrolment.owner.0.as_bytes(),
        enrolment.name,
        enrolment.scope.name(),
        enrolment.pool.map(|pool| pool.0.into_bytes()),
        enrolment.uses_max,
        enrolment.uses,
        enrolment.expires_at.0,
        enrolment.revoked_at.map(|at| at.0),
        enrolment.created_at.0,
        enrolment.created_by,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

fn create(
    connection: &Connection,
    enrolment: &Enrolment,
    entry: &AuditEntry,
) -> Result<bool, Fault> {
    let added = insert(connection, enrolment)?;
    if added {
        audit::add(connection, entry)?;
    }
    Ok(added)
}

/// Takes one use of a token that is still good; part of the registration's transaction.
pub(crate) fn use_up(connection: &Connection, id: EnrolmentId, now: TimeMs) -> Result<bool, Fault> {
    let sql = "UPDATE enrolments SET uses = uses + 1 WHERE id = ? AND uses < uses_max AND expires_at > ? AND revoked_at IS NULL";
    Ok(execute(connection, sql, params![id.0.as_bytes(), now.0])? == 1)
}

pub(crate) fn list(filter: EnrolmentFilter, page: PageRequest<()>) -> List {
    let conditions =
        Conditions::default().and("owner = ?", filter.owner.map(|owner| blob(owner.0)));
    List::new(
        &Source { columns: COLUMNS, table: "enrolments", joins: "" },
        conditions,
        &["created_at", "id"],
        &page,
    )
}

#[async_trait]
impl EnrolmentStore for SqliteStore {
    async fn create_enrolment(
        &self,
        enrolment: Enrolment,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core.write(move |connection| create(connection, &enrolment, &audit)).await
    }
    async fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, StoreError> {
        self.core.lookup(|connection| one(connection, "id = ?", [id.0.as_bytes()])).await
    }
    async fn enrolment_by_digest(&self, digest: Digest) -> Result<Option<Enrolment>, StoreError> {
        self.core.lookup(|connection| one(connection, "digest = ?", [digest.0])).await
    }
    async fn enrolments(
        &self,
        filter: EnrolmentFilter,
        page: PageRequest<()>,
    ) -> Result<Page<Enrolment>, StoreError> {
        let list = list(filter, page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn forget_enrolments(&self, before: TimeMs, limit: u32) -> Result<u64, StoreError> {
        self.core
            .write(move |connection| {
                let over = "SELECT id FROM enrolments WHERE min(expires_at, coalesce(revoked_at, expires_at)) < ? LIMIT ?";
                Ok(execute(connection, &format!("DELETE FROM enrolments WHERE id IN ({over})"), params![before.0, limit])? as u64)
            })
            .await
    }
    async fn revoke_enrolment(
        &self,
        id: EnrolmentId,
        at: TimeMs,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let sql =
                    "UPDATE enrolments SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
                let revoked = execute(connection, sql, params![at.0, id.0.as_bytes()])? == 1;
                if revoked {
                    audit::add(connection, &audit)?;
                }
                Ok(revoked)
            })
            .await
    }
}
