use lucid_ports::{Order, Page, PageRequest};
use rusqlite::{Connection, Params, Row, params_from_iter, types::Value};

use crate::{columns::Columns, fault::Fault};

/// Runs a statement that answers no rows; how many it changed.
pub(crate) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, Fault> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// All rows.
pub(crate) fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut cursor = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = cursor.next()? {
        found.push(read_row(row, &read)?);
    }
    Ok(found)
}

/// The first row.
pub(crate) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut cursor = statement.query(params)?;
    cursor.next()?.map(|row| read_row(row, &read)).transpose()
}

/// Whether there is a row.
pub(crate) fn exists(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<bool, Fault> {
    Ok(connection.prepare_cached(sql)?.exists(params)?)
}

/// The one number of a query that always answers one.
pub(crate) fn count(connection: &Connection, sql: &str, params: impl Params) -> Result<u64, Fault> {
    first(connection, sql, params, |c| c.unsigned())?
        .ok_or_else(|| Fault::Bad("a count answered no row".to_owned()))
}

fn read_row<T>(
    row: &Row<'_>,
    read: impl Fn(&mut Columns<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    read(&mut Columns::of(row))
}

/// Conditions with their values. Texts of conditions are ours; what a caller sent is only ever
/// bound.
#[derive(Default)]
pub(crate) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// A condition without a value.
    pub(crate) fn of(condition: &str) -> Self {
        Self { sql: format!(" WHERE {condition}"), values: Vec::new() }
    }
    /// A condition with one `?`, if there is a value for it.
    #[must_use]
    pub(crate) fn and(mut self, condition: &str, value: Option<Value>) -> Self {
        if let Some(value) = value {
            self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(condition);
            self.values.push(value);
        }
        self
    }
}

/// One page of a list, and the count of the whole.
pub(crate) struct List {
    items: String,
    total: String,
    values: Vec<Value>,
    limit: i64,
    offset: i64,
}

/// Where a list's rows come from.
pub(crate) struct Source<'a> {
    pub(crate) columns: &'a str,
    /// What is filtered, sorted and counted.
    pub(crate) table: &'a str,
    /// What else the columns need; exactly one row for each of the table's.
    pub(crate) joins: &'a str,
}

impl List {
    /// Sorted by `keys`, the last of which tells rows apart, all in the same direction.
    pub(crate) fn new<S>(
        source: &Source<'_>,
        conditions: Conditions,
        keys: &[&str],
        page: &PageRequest<S>,
    ) -> Self {
        let direction = match page.order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let order: Vec<_> = keys.iter().map(|key| format!("{key} {direction}")).collect();
        let Source { columns, table, joins } = source;
        let filter = conditions.sql;
        Self {
            items: format!(
                "SELECT {columns} FROM {table}{joins}{filter} ORDER BY {} LIMIT ? OFFSET ?",
                order.join(", ")
            ),
            total: format!("SELECT count(*) FROM {table}{filter}"),
            values: conditions.values,
            limit: i64::from(page.limit),
            offset: i64::try_from(page.offset()).unwrap_or(i64::MAX),
        }
    }

    pub(crate) fn run<T>(
        self,
        connection: &Connection,
        read: impl Fn(&mut Columns<'_>) -> Result<T, Fault>,
    ) -> Result<Page<T>, Fault> {
        let total = count(connection, &self.total, params_from_iter(&self.values))?;
        let paging = [Value::Integer(self.limit), Value::Integer(self.offset)];
        let items = rows(
            connection,
            &self.items,
            params_from_iter(self.values.iter().chain(&paging)),
            read,
        )?;
        Ok(Page { items, total })
    }

    /// How SQLite finds the items, for tests.
    #[cfg(test)]
    pub(crate) fn plan(&self, connection: &Connection) -> Vec<String> {
        let paging = [Value::Integer(self.limit), Value::Integer(self.offset)];
        let sql = format!("EXPLAIN QUERY PLAN {}", self.items);
        let mut statement = connection.prepare(&sql).unwrap();
        let lines = statement
            .query_map(params_from_iter(self.values.iter().chain(&paging)), |row| row.get(3))
            .unwrap();
        lines.map(Result::unwrap).collect()
    }
}
