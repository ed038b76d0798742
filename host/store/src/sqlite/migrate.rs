use std::path::Path;

use rusqlite::Connection;

use crate::OpenError;

/// Brings a file to the newest schema, one numbered step a transaction.
pub(crate) fn migrate(connection: &Connection, file: &Path, steps: &[&str]) -> Result<(), OpenError> {
    let damaged = |source| OpenError::Database { file: file.to_owned(), source };
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(damaged)?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::NewerSchema { file: file.to_owned(), found, known });
    }
    for (version, step) in (1_i64..).zip(steps).filter(|(version, _)| *version > found) {
        let transaction = connection.unchecked_transaction().map_err(damaged)?;
        transaction.execute_batch(step).map_err(damaged)?;
        transaction.pragma_update(None, "user_version", version).map_err(damaged)?;
        transaction.commit().map_err(damaged)?;
    }
    Ok(())
}
