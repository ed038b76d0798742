use lucid_model::{
    epochs::{
        epoch::{Period, PeriodLength},
        score::Ppm,
    },
    id::{Digest, PoolId, PoolScope},
    money::MicroUsdt,
    policies::PolicyRef,
    time::TimeMs,
};
use mongodb::bson::{Binary, Bson, Document, spec::BinarySubtype};
use uuid::Uuid;

use crate::fault::Fault;

/// An id as it is stored: 16 bytes, sorted as its text is.
pub(crate) fn id(id: Uuid) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

/// Bytes as they are stored.
pub(crate) fn bytes(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

/// A digest as it is stored.
pub(crate) fn digest(digest: Digest) -> Bson {
    bytes(&digest.0)
}

/// A number that is compared and counted with; what has no place in 64 signed bits is refused,
/// never cut.
pub(crate) fn stored(value: u64) -> Result<i64, Fault> {
    i64::try_from(value).map_err(|_| Fault::Bad(format!("{value} does not fit a field")))
}

/// A number that may use all of 64 bits and is never compared: kept as text.
pub(crate) fn wide(value: u64) -> Bson {
    Bson::String(value.to_string())
}

/// Reads typed fields out of a document; errors name the field.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'d> {
    document: &'d Document,
}

impl<'d> Fields<'d> {
    pub(crate) fn of(document: &'d Document) -> Self {
        Self { document }
    }
    /// Whether the field was written, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.document.contains_key(name)
    }
    /// The field, if it is there and not null.
    pub(crate) fn get(&self, name: &str) -> Option<&'d Bson> {
        self.document.get(name).filter(|value| !matches!(value, Bson::Null))
    }
    fn maybe<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'d Bson) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| Fault::Bad(format!("field {name} holds {value}")))
    }
    fn must<T>(name: &str, value: Option<T>) -> Result<T, Fault> {
        value.ok_or_else(|| Fault::Bad(format!("field {name} is missing")))
    }

    pub(crate) fn id<T>(&self, name: &str, wrap: fn(Uuid) -> T) -> Result<T, Fault> {
        Self::must(name, self.id_or_none(name, wrap)?)
    }
    pub(crate) fn id_or_none<T>(
        &self,
        name: &str,
        wrap: fn(Uuid) -> T,
    ) -> Result<Option<T>, Fault> {
        self.maybe(name, |value| {
            binary(value).and_then(|bytes| Uuid::from_slice(bytes).ok()).map(wrap)
        })
    }
    /// The texts of a list; none if the field is not there.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let text = |item: &Bson| item.as_str().map(ToOwned::to_owned);
        Ok(self
            .maybe(name, |value| value.as_array()?.iter().map(text).collect())?
            .unwrap_or_default())
    }
    /// The ids of a list.
    pub(crate) fn ids<T>(&self, name: &str, wrap: fn(Uuid) -> T) -> Result<Vec<T>, Fault> {
        let id = |item| binary(item).and_then(|bytes| Uuid::from_slice(bytes).ok()).map(wrap);
        Self::must(name, self.maybe(name, |value| value.as_array()?.iter().map(id).collect())?)
    }
    pub(crate) fn scope(&self, name: &str) -> Result<PoolScope, Fault> {
        Ok(PoolScope::of(self.id_or_none(name, PoolId)?))
    }
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, Fault> {
        Self::must(name, self.bytes_or_none(name)?)
    }
    pub(crate) fn bytes_or_none(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.maybe(name, |value| binary(value).map(<[u8]>::to_vec))
    }
    /// As many bytes as the type has.
    pub(crate) fn array<const N: usize>(&self, name: &str) -> Result<[u8; N], Fault> {
        Self::must(name, self.array_or_none(name)?)
    }
    pub(crate) fn array_or_none<const N: usize>(
        &self,
        name: &str,
    ) -> Result<Option<[u8; N]>, Fault> {
        self.maybe(name, |value| binary(value).and_then(|bytes| bytes.try_into().ok()))
    }
    pub(crate) fn digest(&self, name: &str) -> Result<Digest, Fault> {
        self.array(name).map(Digest)
    }
    pub(crate) fn digest_or_none(&self, name: &str) -> Result<Option<Digest>, Fault> {
        Ok(self.array_or_none(name)?.map(Digest))
    }
    pub(crate) fn text(&self, name: &str) -> Result<String, Fault> {
        Self::must(name, self.text_or_none(name)?)
    }
    pub(crate) fn text_or_none(&self, name: &str) -> Result<Option<String>, Fault> {
        self.maybe(name, |value| value.as_str().map(ToOwned::to_owned))
    }
    pub(crate) fn word<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        Self::must(name, self.word_or_none(name, parse)?)
    }
    pub(crate) fn word_or_none<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        self.maybe(name, |value| value.as_str().and_then(parse))
    }
    /// A whole number that fits the type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, Fault> {
        Self::must(name, self.number_or_none(name)?)
    }
    pub(crate) fn number_or_none<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, Fault> {
        self.maybe(name, |value| whole(value).and_then(|value| T::try_from(value).ok()))
    }
    /// What [`wide`] wrote.
    pub(crate) fn wide(&self, name: &str) -> Result<u64, Fault> {
        self.word(name, |text| text.parse().ok())
    }
    pub(crate) fn truth(&self, name: &str) -> Result<bool, Fault> {
        Self::must(name, self.maybe(name, Bson::as_bool)?)
    }
    pub(crate) fn time(&self, name: &str) -> Result<TimeMs, Fault> {
        self.number(name).map(TimeMs)
    }
    pub(crate) fn time_or_none(&self, name: &str) -> Result<Option<TimeMs>, Fault> {
        Ok(self.number_or_none(name)?.map(TimeMs))
    }
    pub(crate) fn money(&self, name: &str) -> Result<MicroUsdt, Fault> {
        self.number(name).map(MicroUsdt)
    }
    pub(crate) fn ppm(&self, name: &str) -> Result<Ppm, Fault> {
        self.number(name).map(Ppm)
    }
    /// Start and length.
    pub(crate) fn period(&self, start_s: &str, length_s: &str) -> Result<Period, Fault> {
        let length = PeriodLength::new(self.number(length_s)?)
            .map_err(|error| Fault::Bad(format!("field {length_s}: {error}")))?;
        Ok(Period { start_s: self.number(start_s)?, length })
    }
    /// Name, version and digest in a document of their own.
    pub(crate) fn policy(&self, name: &str) -> Result<PolicyRef, Fault> {
        let policy = self.document(name)?;
        Ok(PolicyRef {
            name: policy.text("name")?,
            version: policy.word("version", |text| text.parse().ok())?,
            digest: policy.digest("digest")?,
        })
    }
    pub(crate) fn document(&self, name: &str) -> Result<Fields<'d>, Fault> {
        Self::must(name, self.document_or_none(name)?)
    }
    pub(crate) fn document_or_none(&self, name: &str) -> Result<Option<Fields<'d>>, Fault> {
        self.maybe(name, |value| value.as_document().map(Fields::of))
    }
    /// The documents of a list; none if the field is not there.
    pub(crate) fn documents(&self, name: &str) -> Result<Vec<Fields<'d>>, Fault> {
        let documents = self.maybe(name, |value| {
            value.as_array()?.iter().map(|item| item.as_document().map(Fields::of)).collect()
        })?;
        Ok(documents.unwrap_or_default())
    }
}

fn binary(value: &Bson) -> Option<&[u8]> {
    match value {
        Bson::Binary(binary) => Some(&binary.bytes),
        _ => None,
    }
}

fn whole(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(value) => Some(i64::from(*value)),
        Bson::Int64(value) => Some(*value),
        _ => None,
    }
}
