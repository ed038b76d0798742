//! The audit log in `core.db`: entries, the chain's links, seals. All insert-only; the file is one
//! writer's.

pub(crate) mod chain;
mod reader;
pub(crate) mod requests;

use async_trait::async_trait;
use lucid_model::{
    audit::{
        AuditEntry,
        chain::{ChainHead, ChainedEntry, Link},
        seal::{Seal, SealStatement},
    },
    id::{AuditId, AuditWriterId, Digest},
};
use lucid_ports::{AuditFilter, AuditLog, AuditStore, Page, PageRequest, StoreError};
use rusqlite::{Connection, params, types::Value};

pub(crate) use self::chain::close_link;
pub(crate) use self::reader::open_audit_log;
use crate::{
    SqliteStore,
    columns::{Columns, stored},
    fault::Fault,
    query::{Conditions, List, Source, execute, first, rows},
    readers::Readers,
};

pub(crate) const ENTRY: &str = "number & 1099511627775, link, \
                     coalesce((SELECT w.id FROM audit_copied_writers w WHERE w.chain = number >> 40), \
                              (SELECT w.id FROM audit_writer w WHERE w.one = 1)) AS writer, \
                     id, at, actor, action, subject, detail, request_id, before, after";
pub(crate) const SEAL: &str = "seq, statement, signature";

/// Adds an entry in the transaction of the change it tells of; an entry that is there already is
/// the same entry. It belongs to the link that the transaction will end with.
pub(crate) fn add(connection: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let AuditEntry { id, at, actor, action, subject, detail, request_id, before, after } = entry;
    let sql = "INSERT INTO audit (number, link, at, id, actor, action, subject, detail, request_id, before, after) \
               VALUES ((SELECT coalesce(max(number), 0) + 1 FROM audit WHERE number < 1 << 40), \
                       (SELECT coalesce(max(seq), 0) + 1 FROM audit_links WHERE seq < 1 << 40), \
                       ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (at, id) DO NOTHING";
    let digests = (before.map(|digest| digest.0), after.map(|digest| digest.0));
    execute(
        connection,
        sql,
        params![
            at.0,
            id.0.as_bytes(),
            actor,
            action,
            subject,
            detail,
            request_id,
            digests.0,
            digests.1
        ],
    )?;
    Ok(())
}

/// Adds an entry of a copied chain at its place; `false` if it is there.
pub(crate) fn insert_chained(
    connection: &Connection,
    chain: i64,
    chained: &ChainedEntry,
) -> Result<bool, Fault> {
    let ChainedEntry {
        entry: AuditEntry { id, at, actor, action, subject, detail, request_id, before, after },
        writer: _,
        link,
        place,
    } = chained;
    let sql = "INSERT INTO audit (number, link, at, id, actor, action, subject, detail, request_id, before, after) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let (number, link) = (chain::numbered(chain, *place)?, stored(*link)?);
    let digests = (before.map(|digest| digest.0), after.map(|digest| digest.0));
    let values = params![
        number,
        link,
        at.0,
        id.0.as_bytes(),
        actor,
        action,
        subject,
        detail,
        request_id,
        digests.0,
        digests.1
    ];
    Ok(execute(connection, sql, values)? == 1)
}

/// Adds a seal as it is; `false` if its number is there.
pub(crate) fn insert_seal(connection: &Connection, seal: &Seal) -> Result<bool, Fault> {
    let sql = "INSERT INTO audit_seals (seq, statement, signature) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
    Ok(execute(
        connection,
        sql,
        params![stored(seal.statement.seq)?, seal.statement.bytes(), seal.signature],
    )? == 1)
}

pub(crate) fn list(filter: &AuditFilter, page: PageRequest<()>) -> List {
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    let conditions = Conditions::default()
        .and("subject = ?", text(&filter.subject))
        .and("actor = ?", text(&filter.actor))
        .and("action = ?", text(&filter.action))
        .and("action >= ?", filter.area.as_ref().map(|area| Value::Text(format!("{area}."))))
        // The character after the point.
        .and("action < ?", filter.area.as_ref().map(|area| Value::Text(format!("{area}/"))))
        .and("at >= ?", filter.from.map(|at| Value::Integer(at.0)))
        .and("at < ?", filter.to.map(|at| Value::Integer(at.0)));
    List::new(
        &Source { columns: ENTRY, table: "audit", joins: "" },
        conditions,
        &["at", "id"],
        &page,
    )
}

pub(crate) fn read(columns: &mut Columns<'_>) -> Result<ChainedEntry, Fault> {
    // Numbers that only a hand can have written still have to be readable, so that the walk can
    // name them.
    let (place, link, writer) =
        (columns.counter()?, columns.counter()?, columns.id(AuditWriterId)?);
    let entry = AuditEntry {
        id: columns.id(AuditId)?,
        at: columns.time()?,
        actor: columns.take()?,
        action: columns.take()?,
        subject: columns.take()?,
        detail: columns.take()?,
        request_id: columns.take()?,
        before: columns.take::<Option<[u8; 32]>>()?.map(Digest),
        after: columns.take::<Option<[u8; 32]>>()?.map(Digest),
    };
    Ok(ChainedEntry { entry, writer, link, place })
}

/// A writer's entries after a place; none of a writer whose chain is not in this file.
fn entries(
    connection: &Connection,
    writer: AuditWriterId,
    after: u64,
    limit: u32,
) -> Result<Vec<ChainedEntry>, Fault> {
    let Some(chain) = chain::number_of(connection, writer)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT {ENTRY} FROM audit WHERE number > ? AND number < ? ORDER BY number LIMIT ?"
    );
    rows(
        connection,
        &sql,
        params![chain::numbered(chain, after)?, chain::numbered(chain + 1, 0)?, limit],
        read,
    )
}

pub(crate) fn read_seal(columns: &mut Columns<'_>) -> Result<Seal, Fault> {
    let (seq, statement) = (columns.unsigned()?, columns.take::<Vec<u8>>()?);
    let statement = SealStatement::read(&statement).filter(|statement| statement.seq == seq);
    let statement = statement
        .ok_or_else(|| Fault::Bad(format!("audit seal {seq} is not a seal's statement")))?;
    Ok(Seal { statement, signature: columns.take()? })
}

fn last_seal(connection: &Connection) -> Result<Option<Seal>, Fault> {
    first(
        connection,
        &format!("SELECT {SEAL} FROM audit_seals ORDER BY seq DESC LIMIT 1"),
        [],
        read_seal,
    )
}

fn add_seal(connection: &Connection, seal: &Seal) -> Result<bool, Fault> {
    let last = last_seal(connection)?.map_or(0, |seal| seal.statement.seq);
    if seal.statement.seq != last + 1 {
        return Ok(false);
    }
    insert_seal(connection, seal)
}

/// What a store and a reader of a store that is somebody else's have in common.
#[async_trait]
impl AuditLog for Readers {
    async fn audit(
        &self,
        filter: &AuditFilter,
        page: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, StoreError> {
        let list = list(filter, page);
        self.run(move |connection| list.run(connection, read)).await
    }
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        self.run(chain::heads).await
    }
    async fn audit_links(
        &self,
        writer: AuditWriterId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        self.run(move |connection| chain::links(connection, writer, after_seq, limit)).await
    }
    async fn audit_entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, StoreError> {
        self.run(move |connection| entries(connection, writer, after_place, limit)).await
    }
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        let sql = format!("SELECT {SEAL} FROM audit_seals WHERE seq > ? ORDER BY seq LIMIT ?");
        self.run(move |connection| {
            rows(connection, &sql, params![stored(after_seq)?, limit], read_seal)
        })
        .await
    }
    async fn last_audit_seal(&self) -> Result<Option<Seal>, StoreError> {
        self.run(last_seal).await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn audit(
        &self,
        filter: &AuditFilter,
        page: PageRequest<()>,
    ) -> Result<Page<ChainedEntry>, StoreError> {
        self.core.readers().audit(filter, page).await
    }
    async fn audit_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        self.core.readers().audit_heads().await
    }
    async fn audit_links(
        &self,
        writer: AuditWriterId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        self.core.readers().audit_links(writer, after_seq, limit).await
    }
    async fn audit_entries(
        &self,
        writer: AuditWriterId,
        after_place: u64,
        limit: u32,
    ) -> Result<Vec<ChainedEntry>, StoreError> {
        self.core.readers().audit_entries(writer, after_place, limit).await
    }
    async fn audit_seals(&self, after_seq: u64, limit: u32) -> Result<Vec<Seal>, StoreError> {
        self.core.readers().audit_seals(after_seq, limit).await
    }
    async fn last_audit_seal(&self) -> Result<Option<Seal>, StoreError> {
        self.core.readers().last_audit_seal().await
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn add_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.core.write(move |connection| add(connection, &entry)).await
    }
    async fn add_audit_seal(&self, seal: Seal) -> Result<bool, StoreError> {
        self.core.write(move |connection| add_seal(connection, &seal)).await
    }
}
