//! Spans of what is asked of the server, where traces are taken.

use std::{collections::HashMap, sync::Arc};

use lucid_ports::TRACE;
use mongodb::event::{EventHandler, command::CommandEvent};
use parking_lot::Mutex;
use tracing::{Level, Span};

/// Tells of commands; none where nobody would hear: the driver copies each command for it.
pub(super) fn handler() -> Option<EventHandler<CommandEvent>> {
    if !tracing::enabled!(target: TRACE, Level::TRACE) {
        return None;
    }
    let running: Arc<Mutex<HashMap<i32, Span>>> = Arc::default();
    Some(EventHandler::callback(move |event| match event {
        CommandEvent::Started(started) => {
            let collection = started.command.get_str(&started.command_name).unwrap_or_default();
            let span = tracing::trace_span!(
                target: TRACE,
                "store.command",
                otel.kind = "client",
                db.system.name = "mongodb",
                db.operation.name = started.command_name,
                db.collection.name = collection
            );
            if !span.is_disabled() {
                running.lock().insert(started.request_id, span);
            }
        }
        CommandEvent::Succeeded(ended) => drop(running.lock().remove(&ended.request_id)),
        CommandEvent::Failed(ended) => drop(running.lock().remove(&ended.request_id)),
        _ => {}
    }))
}
