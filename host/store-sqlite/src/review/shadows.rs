use async_trait::async_trait;
use lucid_model::{
    audit::AuditEntry,
    id::ShadowId,
    policies::{PolicyKind, Shadow, ShadowEnd, ShadowResult},
};
use lucid_ports::{Page, PageRequest, ShadowStore, StoreError};
use lucid_store::documents;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, audit,
    columns::{Columns, blob, json},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
};

pub(crate) const COLUMNS: &str = "id, kind, params, pool, from_s, started_at, actor, reason, ended_at, ended_by, end_reason, name, version, digest";
pub(crate) const RESULT: &str = "id, shadow, period_start_s, length_s, at, findings";

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<Shadow, Fault> {
    let (id, kind, params) =
        (columns.id(ShadowId)?, columns.word(PolicyKind::from_name)?, columns.json()?);
    let pool = columns.word_or_none(|word| word.parse().ok())?;
    let (from_s, started_at, actor, reason) =
        (columns.take()?, columns.time()?, columns.take()?, columns.take()?);
    let (at, by, why): (_, Option<String>, Option<String>) =
        (columns.time_or_none()?, columns.take()?, columns.take()?);
    let ended =
        at.map(|at| ShadowEnd { at, by: by.unwrap_or_default(), reason: why.unwrap_or_default() });
    Ok(Shadow {
        id,
        kind,
        policy: columns.policy()?,
        params,
        pool,
        from_s,
        started_at,
        actor,
        reason,
        ended,
    })
}

/// Adds a shadow; `false` if it is there.
pub(crate) fn insert(connection: &Connection, shadow: &Shadow) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO shadows ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let end = shadow.ended.as_ref();
    let values = params![
        shadow.id.0.as_bytes(),
        shadow.kind.name(),
        json(&shadow.params)?,
        shadow.pool.map(|pool| pool.to_string()),
        shadow.from_s,
        shadow.started_at.0,
        shadow.actor,
        shadow.reason,
        end.map(|end| end.at.0),
        end.map(|end| &end.by),
        end.map(|end| &end.reason),
        shadow.policy.name,
        shadow.policy.version.to_string(),
        shadow.policy.digest.0,
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

pub(crate) fn read_result(columns: &mut Columns<'_>) -> Result<ShadowResult, Fault> {
    let _: [u8; 16] = columns.take()?;
    let (shadow, period, at) = (columns.id(ShadowId)?, columns.period()?, columns.time()?);
    Ok(ShadowResult {
        shadow,
        period,
        at,
        findings: documents::read_findings(&columns.take::<String>()?)?,
    })
}

/// Adds a result; `false` if it is there.
pub(crate) fn insert_result(connection: &Connection, result: &ShadowResult) -> Result<bool, Fault> {
    let sql = format!(
        "INSERT INTO shadow_results ({RESULT}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let (start_s, length_s) = (result.period.start_s, result.period.length.seconds());
    let (id, findings) = (result.id(), documents::findings(result.findings.clone())?);
    let values = params![
        id.0.as_bytes(),
        result.shadow.0.as_bytes(),
        start_s,
        length_s,
        result.at.0,
        findings
    ];
    Ok(execute(connection, &sql, values)? == 1)
}

pub(crate) fn list(page: &PageRequest<()>) -> List {
    List::new(
        &Source { columns: COLUMNS, table: "shadows", joins: "" },
        Conditions::default(),
        &["id"],
        page,
    )
}

pub(crate) fn list_results(id: ShadowId, page: &PageRequest<()>) -> List {
    let of_shadow = Conditions::default().and("shadow = ?", Some(blob(id.0)));
    List::new(
        &Source { columns: RESULT, table: "shadow_results", joins: "" },
        of_shadow,
        &["period_start_s"],
        page,
    )
}

#[async_trait]
impl ShadowStore for SqliteStore {
    async fn add_shadow(&self, shadow: Shadow, audit: AuditEntry) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let added = insert(connection, &shadow)?;
                if added {
                    audit::add(connection, &audit)?;
                }
                Ok(added)
            })
            .await
    }
    async fn end_shadow(
        &self,
        id: ShadowId,
        end: ShadowEnd,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        self.core
            .write(move |connection| {
                let sql = "UPDATE shadows SET ended_at = ?, ended_by = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL";
                let ended = execute(connection, sql, params![end.at.0, end.by, end.reason, id.0.as_bytes()])? == 1;
                if ended {
                    audit::add(connection, &audit)?;
                }
                Ok(ended)
            })
            .await
    }
    async fn shadow(&self, id: ShadowId) -> Result<Option<Shadow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM shadows WHERE id = ?");
        self.core.lookup(|connection| first(connection, &sql, [id.0.as_bytes()], read)).await
    }
    async fn running_shadows(&self) -> Result<Vec<Shadow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM shadows WHERE ended_at IS NULL ORDER BY id");
        self.core.lookup(|connection| rows(connection, &sql, [], read)).await
    }
    async fn shadows(&self, page: PageRequest<()>) -> Result<Page<Shadow>, StoreError> {
        let list = list(&page);
        self.core.read(move |connection| list.run(connection, read)).await
    }
    async fn add_shadow_result(&self, result: ShadowResult) -> Result<bool, StoreError> {
        self.core.write(move |connection| insert_result(connection, &result)).await
    }
    async fn shadow_results(
        &self,
        id: ShadowId,
        page: PageRequest<()>,
    ) -> Result<Page<ShadowResult>, StoreError> {
        let list = list_results(id, &page);
        self.core.read(move |connection| list.run(connection, read_result)).await
    }
}
