//! Who a node is and what it is made of, as requests say it.

use ed25519_dalek::VerifyingKey;
use lucid_model::fleet::node::{Hardware, PublicKey};

use crate::fields::{FieldError, Fields};

/// Bytes of a GB.
const GIGABYTE: f64 = 1e9;

/// An Ed25519 public key: base64 of 32 bytes that are a point of the curve, and not a weak one.
///
/// # Errors
/// [`FieldError`] if it is none.
pub fn public_key(fields: &Fields<'_>, key: &str) -> Result<Option<PublicKey>, FieldError> {
    let Some(bytes) = fields.base64(key, 32..=32)? else { return Ok(None) };
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| fields.error(key, "must be base64 of 32 bytes"))?;
    match VerifyingKey::from_bytes(&bytes) {
        Ok(point) if !point.is_weak() => Ok(Some(PublicKey(bytes))),
        _ => Err(fields.error(key, "must be an Ed25519 public key")),
    }
}

/// The hardware as the Electron client says it, in GB.
fn in_gigabytes(fields: &Fields<'_>) -> Result<Option<Hardware>, FieldError> {
    let bytes = |key| -> Result<Option<u64>, FieldError> {
        let Some(text) = fields.decimal(key)? else { return Ok(None) };
        // Written and read again: `as` would hide a number that is none of bytes.
        let bytes = text
            .parse::<f64>()
            .ok()
            .and_then(|number| format!("{:.0}", number * GIGABYTE).parse().ok());
        bytes.map(Some).ok_or_else(|| fields.error(key, "must be a number of GB"))
    };
    let cores = fields.integer("cpu_cores", 0..=u32::MAX)?;
    let (memory, storage) = (bytes("memory_gb")?, bytes("disk_gb")?);
    Ok(cores.zip(memory).zip(storage).map(|((cpu_cores, memory_bytes), storage_bytes)| Hardware {
        cpu_cores,
        memory_bytes,
        storage_bytes,
    }))
}

/// The hardware of a request: our flat form, or the network's nested one. Whether the numbers can
/// be true is the service's to say; only that they are numbers is checked here.
pub(super) fn hardware(fields: &Fields<'_>) -> Result<Option<Hardware>, FieldError> {
    let any = || 0..=i64::MAX.unsigned_abs();
    if let Some(flat) = fields.object("hardware")? {
        return Ok(Some(Hardware {
            cpu_cores: flat.require("cpu_cores", flat.integer("cpu_cores", 0..=u32::MAX)?)?,
            memory_bytes: flat.require("memory_bytes", flat.integer("memory_bytes", any())?)?,
            storage_bytes: flat.require("storage_bytes", flat.integer("storage_bytes", any())?)?,
        }));
    }
    let Some(nested) = fields.object("hardware_info")? else { return Ok(None) };
    if nested.has("cpu_cores") {
        return in_gigabytes(&nested);
    }
    let (cpu, memory) = (nested.object("cpu")?, nested.object("memory")?);
    let storage = [nested.object("storage")?, nested.object("disk")?].into_iter().flatten().next();
    let bytes = |part: &Option<Fields<'_>>| -> Result<Option<u64>, FieldError> {
        let Some(part) = part else { return Ok(None) };
        let found = ["total", "total_bytes"].into_iter().find(|key| part.has(key));
        found.map_or(Ok(None), |key| part.integer(key, any()))
    };
    let cores = match &cpu {
        None => None,
        Some(cpu) => match ["cores", "count"].into_iter().find(|key| cpu.has(key)) {
            Some(key) => cpu.integer(key, 0..=u32::MAX)?,
            None => None,
        },
    };
    // The older form is descriptive and often partial: unless it says all three, it says nothing we
    // can check.
    Ok(match (cores, bytes(&memory)?, bytes(&storage)?) {
        (Some(cpu_cores), Some(memory_bytes), Some(storage_bytes)) => {
            Some(Hardware { cpu_cores, memory_bytes, storage_bytes })
        }
        _ => None,
    })
}
