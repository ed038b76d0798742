use lucid_model::{
    epochs::{
        epoch::{Period, PeriodLength},
        score::Ppm,
    },
    fleet::node::NodeAddress,
    id::{Digest, PoolId, PoolScope},
    money::MicroUsdt,
    policies::PolicyRef,
    time::TimeMs,
};
use rusqlite::{
    Row,
    types::{FromSql, Value},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::fault::Fault;

/// Reads a row's columns one after another, in the order of the SELECT.
pub(crate) struct Columns<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }
    pub(crate) fn take<T: FromSql>(&mut self) -> Result<T, Fault> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }
    pub(crate) fn id<T>(&mut self, wrap: fn(Uuid) -> T) -> Result<T, Fault> {
        Ok(wrap(Uuid::from_bytes(self.take()?)))
    }
    pub(crate) fn id_or_none<T>(&mut self, wrap: fn(Uuid) -> T) -> Result<Option<T>, Fault> {
        Ok(self.take::<Option<[u8; 16]>>()?.map(|bytes| wrap(Uuid::from_bytes(bytes))))
    }
    pub(crate) fn scope(&mut self) -> Result<PoolScope, Fault> {
        Ok(PoolScope::of(self.id_or_none(PoolId)?))
    }
    pub(crate) fn digest(&mut self) -> Result<Digest, Fault> {
        Ok(Digest(self.take()?))
    }
    pub(crate) fn time(&mut self) -> Result<TimeMs, Fault> {
        Ok(TimeMs(self.take()?))
    }
    pub(crate) fn time_or_none(&mut self) -> Result<Option<TimeMs>, Fault> {
        Ok(self.take::<Option<i64>>()?.map(TimeMs))
    }
    pub(crate) fn money(&mut self) -> Result<MicroUsdt, Fault> {
        Ok(MicroUsdt(self.take()?))
    }
    pub(crate) fn ppm(&mut self) -> Result<Ppm, Fault> {
        Ok(Ppm(self.take()?))
    }
    pub(crate) fn unsigned(&mut self) -> Result<u64, Fault> {
        let value: i64 = self.take()?;
        u64::try_from(value).map_err(|_| self.bad(&value.to_string()))
    }
    /// A counter of 64 bits that is stored as their two's complement.
    pub(crate) fn counter(&mut self) -> Result<u64, Fault> {
        Ok(self.take::<i64>()?.cast_unsigned())
    }
    pub(crate) fn word<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Fault> {
        let text: String = self.take()?;
        parse(&text).ok_or_else(|| self.bad(&text))
    }
    pub(crate) fn word_or_none<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(text) = self.take::<Option<String>>()? else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| self.bad(&text))
    }
    /// An address and a port, both or neither.
    pub(crate) fn address(&mut self) -> Result<Option<NodeAddress>, Fault> {
        let ip: Option<String> = self.take()?;
        let port: Option<u16> = self.take()?;
        let (Some(text), Some(port)) = (ip, port) else { return Ok(None) };
        let ip = text.parse().map_err(|_| self.bad(&text))?;
        Ok(Some(NodeAddress { ip, port }))
    }
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let text: String = self.take()?;
        serde_json::from_str(&text).map_err(|error| self.bad(&error.to_string()))
    }
    /// Start and length.
    pub(crate) fn period(&mut self) -> Result<Period, Fault> {
        let start_s = self.take()?;
        let length_s: u32 = self.take()?;
        let length = PeriodLength::new(length_s).map_err(|error| self.bad(&error.to_string()))?;
        Ok(Period { start_s, length })
    }
    /// Name, version and digest.
    pub(crate) fn policy(&mut self) -> Result<PolicyRef, Fault> {
        Ok(PolicyRef {
            name: self.take()?,
            version: self.word(|text| text.parse().ok())?,
            digest: self.digest()?,
        })
    }

    fn bad(&self, value: &str) -> Fault {
        let column = self
            .next
            .checked_sub(1)
            .and_then(|place| self.row.as_ref().column_name(place).ok())
            .unwrap_or("?");
        Fault::Bad(format!("column {column} holds {value:?}"))
    }
}

/// What SQLite has no place for is refused, never cut.
pub(crate) fn stored(value: u64) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| Fault::Bad(format!("{value} does not fit a column")))
}

/// An id as a bound value.
pub(crate) fn blob(id: Uuid) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}

/// JSON of a document of ours.
pub(crate) fn json<T: serde::Serialize>(document: &T) -> Result<String, Fault> {
    serde_json::to_string(document).map_err(|error| Fault::Bad(error.to_string()))
}
