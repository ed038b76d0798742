use std::path::Path;

use lucid_model::{
    epochs::score::Ppm,
    id::NodeId,
    telemetry::metric::{NetworkCounters, Sample, Usage},
    time::TimeMs,
};
use lucid_store::{OpenError, packing};
use rusqlite::{Connection, functions::FunctionFlags};

use crate::unopened;

/// Brings a file to the newest schema, one numbered step a transaction.
pub(crate) fn migrate(
    connection: &Connection,
    file: &Path,
    steps: &[&str],
) -> Result<(), OpenError> {
    let damaged = |source| unopened::of_sqlite(file, source);
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(damaged)?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::NewerSchema { file: file.to_owned(), found, known });
    }
    if found < known {
        functions(connection).map_err(damaged)?;
    }
    for (version, step) in (1_i64..).zip(steps).filter(|(version, _)| *version > found) {
        let transaction = connection.unchecked_transaction().map_err(damaged)?;
        transaction.execute_batch(step).map_err(damaged)?;
        transaction.pragma_update(None, "user_version", version).map_err(damaged)?;
        transaction.commit().map_err(damaged)?;
    }
    Ok(())
}

/// What the steps' SQL calls of the model's, so that there is one way to compute it.
fn functions(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("sample_bytes", 11, flags, |context| {
        let time = |place| context.get(place).map(TimeMs);
        let ratio = |place| context.get(place).map(Ppm);
        let counter = |place| context.get::<i64>(place).map(i64::cast_unsigned);
        let network = NetworkCounters {
            bytes_sent: counter(6)?,
            bytes_received: counter(7)?,
            packets_sent: counter(8)?,
            packets_received: counter(9)?,
        };
        let usage = Usage { cpu: ratio(2)?, memory: ratio(3)?, disk: ratio(4)?, network };
        let (at, arrived_at) = (time(0)?, time(1)?);
        let sample = Sample {
            node: NodeId(uuid::Uuid::nil()),
            at,
            arrived_at,
            usage,
            active_sessions: context.get(5)?,
            uptime_s: counter(10)?,
        };
        Ok(packing::to_bytes(&sample))
    })?;
    connection.create_scalar_function("network_of", 1, flags, |context| {
        let ip: Option<String> = context.get(0)?;
        Ok(ip.and_then(|text| text.parse().ok()).map(lucid_model::fleet::node::network_of))
    })
}
