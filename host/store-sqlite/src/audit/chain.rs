use lucid_model::{
    audit::chain::{ChainHead, Link, LinkDraft},
    id::AuditWriterId,
};
use rusqlite::{Connection, params};

use super::{ENTRY, read};
use crate::{
    columns::{Columns, stored},
    fault::Fault,
    query::{execute, first, rows},
};

pub(crate) const LINK: &str = "coalesce((SELECT w.id FROM audit_copied_writers w WHERE w.chain = seq >> 40), \
                             (SELECT w.id FROM audit_writer w WHERE w.one = 1)) AS writer, \
                    seq & 1099511627775, previous, entries, count, total, at";
/// Bits of a number that say the place in a chain; those above say which chain.
const PLACE_BITS: u32 = 40;

/// The number of a place, or of a link, of a chain.
pub(crate) fn numbered(chain: i64, place: u64) -> Result<i64, Fault> {
    let beyond =
        || Fault::Bad(format!("place {place} of chain {chain} of the audit log has no number"));
    let first = chain.checked_mul(1 << PLACE_BITS).ok_or_else(beyond)?;
    i64::try_from(place)
        .ok()
        .filter(|place| *place < 1 << PLACE_BITS)
        .and_then(|place| first.checked_add(place))
        .ok_or_else(beyond)
}

/// Which chain of the file is a writer's: 0 is the file's own.
pub(crate) fn number_of(
    connection: &Connection,
    writer: AuditWriterId,
) -> Result<Option<i64>, Fault> {
    let sql = "SELECT 0 FROM audit_writer WHERE id = ?1 UNION ALL SELECT chain FROM audit_copied_writers WHERE id = ?1";
    first(connection, sql, [writer.0.as_bytes()], |columns| columns.take())
}

/// The chains of the file, by number.
fn chains(connection: &Connection) -> Result<Vec<i64>, Fault> {
    rows(
        connection,
        "SELECT 0 UNION ALL SELECT chain FROM audit_copied_writers ORDER BY 1",
        [],
        |columns| columns.take(),
    )
}

/// The writers from one on, by their ids, with the chains that are theirs.
pub(crate) fn writers_from(
    connection: &Connection,
    from: &[u8],
) -> Result<Vec<(Vec<u8>, i64)>, Fault> {
    let sql = "SELECT id, 0 FROM audit_writer WHERE id >= ?1 UNION ALL SELECT id, chain FROM audit_copied_writers WHERE id >= ?1 ORDER BY 1";
    rows(connection, sql, [from], |columns| Ok((columns.take()?, columns.take()?)))
}

/// The chain of a writer whose links or entries are copied into the file.
pub(crate) fn copied(connection: &Connection, writer: AuditWriterId) -> Result<i64, Fault> {
    let sql = "INSERT INTO audit_copied_writers (id) VALUES (?) ON CONFLICT DO NOTHING";
    match number_of(connection, writer)? {
        Some(chain) => Ok(chain),
        None => {
            execute(connection, sql, [writer.0.as_bytes()])?;
            number_of(connection, writer)?
                .ok_or_else(|| Fault::Bad(format!("audit writer {writer} has no chain")))
        }
    }
}

/// Adds a link of a chain; `false` if it is there.
pub(crate) fn insert_link(connection: &Connection, chain: i64, link: &Link) -> Result<bool, Fault> {
    let sql = "INSERT INTO audit_links (seq, previous, entries, count, total, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let values = params![
        numbered(chain, link.seq)?,
        link.previous.0,
        link.entries.0,
        stored(link.count)?,
        stored(link.total)?,
        link.at.0
    ];
    Ok(execute(connection, sql, values)? == 1)
}

/// The ends of all chains that have links, by writer.
pub(super) fn heads(connection: &Connection) -> Result<Vec<ChainHead>, Fault> {
    let mut heads = Vec::new();
    for chain in chains(connection)? {
        heads.extend(last_link(connection, chain)?.map(|link| link.head()));
    }
    heads.sort_unstable_by_key(|head| head.writer);
    Ok(heads)
}

pub(crate) fn read_link(columns: &mut Columns<'_>) -> Result<Link, Fault> {
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

fn last_link(connection: &Connection, chain: i64) -> Result<Option<Link>, Fault> {
    let sql = format!(
        "SELECT {LINK} FROM audit_links WHERE seq > ? AND seq < ? ORDER BY seq DESC LIMIT 1"
    );
    first(connection, &sql, [numbered(chain, 0)?, numbered(chain + 1, 0)?], read_link)
}

/// A writer's links after a number; none of a writer whose chain is not in this file.
pub(super) fn links(
    connection: &Connection,
    writer: AuditWriterId,
    after: u64,
    limit: u32,
) -> Result<Vec<Link>, Fault> {
    let Some(chain) = number_of(connection, writer)? else { return Ok(Vec::new()) };
    let sql =
        format!("SELECT {LINK} FROM audit_links WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?");
    rows(
        connection,
        &sql,
        params![numbered(chain, after)?, numbered(chain + 1, 0)?, limit],
        read_link,
    )
}

/// Ends a transaction: links the entries that it added, if it did. They are read back from the
/// table, so that what a job's savepoint took away is not in the link, and what is in the link is
/// what the file says.
pub(crate) fn close_link(connection: &Connection) -> Result<(), Fault> {
    let head = match last_link(connection, 0)? {
        Some(link) => link.head(),
        None => {
            let writer =
                first(connection, "SELECT id FROM audit_writer WHERE one = 1", [], |columns| {
                    columns.id(AuditWriterId)
                })?;
            ChainHead::empty(
                writer.ok_or_else(|| Fault::Bad("the audit log has no writer".to_owned()))?,
            )
        }
    };
    let mut draft = LinkDraft::default();
    let sql = format!("SELECT {ENTRY} FROM audit WHERE number > ? AND number < ? ORDER BY number");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut cursor = statement.query([stored(head.total)?, numbered(1, 0)?])?;
    while let Some(row) = cursor.next()? {
        let chained = read(&mut Columns::of(row))?;
        let place = head.total + draft.count() + 1;
        if (chained.place, chained.link) != (place, head.seq + 1) {
            return Err(Fault::Bad(format!(
                "audit entry {} (link {}) is not entry {place} of link {}",
                chained.place,
                chained.link,
                head.seq + 1
            )));
        }
        draft.add(&chained.entry);
    }
    if let Some(link) = draft.link(&head) {
        insert_link(connection, 0, &link)?;
    }
    Ok(())
}
