use lucid_model::{
    audit::chain::{ChainHead, Link, LinkDraft},
    id::AuditWriterId,
};
use rusqlite::{Connection, params};

use super::{
    super::{
        columns::{Columns, stored},
        fault::Fault,
        query::{execute, first, rows},
    },
    ENTRY, read,
};

const LINK: &str = "(SELECT id FROM audit_writer WHERE one = 1) AS writer, seq, previous, entries, count, total, at";

fn read_link(columns: &mut Columns<'_>) -> Result<Link, Fault> {
    Ok(Link {
        writer: columns.id(AuditWriterId)?,
        seq: columns.unsigned()?,
        previous: columns.digest()?,
        entries: columns.digest()?,
        count: columns.unsigned()?,
        total: columns.unsigned()?,
        at: columns.time()?,
    })
}

pub(super) fn last_link(connection: &Connection) -> Result<Option<Link>, Fault> {
    first(connection, &format!("SELECT {LINK} FROM audit_links ORDER BY seq DESC LIMIT 1"), [], read_link)
}

/// A writer's links after a number; none of a writer that is not this file's.
pub(super) fn links(connection: &Connection, writer: AuditWriterId, after: u64, limit: u32) -> Result<Vec<Link>, Fault> {
    let sql = format!("SELECT {LINK} FROM audit_links WHERE seq > ? AND ? = (SELECT id FROM audit_writer WHERE one = 1) ORDER BY seq LIMIT ?");
    rows(connection, &sql, params![stored(after)?, writer.0.as_bytes(), limit], read_link)
}

/// Ends a transaction: links the entries that it added, if it did. They are read back from the table, so that what
/// a job's savepoint took away is not in the link, and what is in the link is what the file says.
pub(crate) fn close_link(connection: &Connection) -> Result<(), Fault> {
    let head = match last_link(connection)? {
        Some(link) => link.head(),
        None => {
            let writer = first(connection, "SELECT id FROM audit_writer WHERE one = 1", [], |columns| columns.id(AuditWriterId))?;
            ChainHead::empty(writer.ok_or_else(|| Fault::Bad("the audit log has no writer".to_owned()))?)
        }
    };
    let mut draft = LinkDraft::default();
    let sql = format!("SELECT {ENTRY} FROM audit WHERE number > ? ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut cursor = statement.query([stored(head.total)?])?;
    while let Some(row) = cursor.next()? {
        let chained = read(&mut Columns::of(row))?;
        let place = head.total + draft.count() + 1;
        if (chained.place, chained.link) != (place, head.seq + 1) {
            return Err(Fault::Bad(format!("audit entry {} (link {}) is not entry {place} of link {}", chained.place, chained.link, head.seq + 1)));
        }
        draft.add(&chained.entry);
    }
    if let Some(link) = draft.link(&head) {
        let sql = "INSERT INTO audit_links (seq, previous, entries, count, total, at) VALUES (?, ?, ?, ?, ?, ?)";
        let values = params![stored(link.seq)?, link.previous.0, link.entries.0, stored(link.count)?, stored(link.total)?, link.at.0];
        execute(connection, sql, values)?;
    }
    Ok(())
}
