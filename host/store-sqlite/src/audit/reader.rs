use std::{path::Path, sync::Arc};

use lucid_ports::AuditLog;
use lucid_store::OpenError;

use crate::{CORE, database, readers::Readers};

/// Opens the audit log of a store's directory for reading, also while a service has the store open:
/// neither the directory's lock is taken nor anything written.
///
/// # Errors
/// [`OpenError`] if there is no store, or it is of another schema than this binary's.
pub(crate) fn open_audit_log(dir: &Path) -> Result<Arc<dyn AuditLog>, OpenError> {
    let connection = database::open_for_reading(dir, "core", CORE.len())?;
    Ok(Arc::new(Readers::new(vec![connection])))
}
