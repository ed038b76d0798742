//! What a policy writes to the host's log.

use std::sync::{Arc, Mutex};

use lucid_model::policies::{PolicyKind, Scope};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::support::{call, hostile, publish, rig};

/// Keeps what the engine logs on this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lucid_engine")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut Text(&mut text));
        self.0.lock().unwrap().push(text);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn of_a_flood_a_hundred_lines_are_kept_and_the_rest_is_counted() {
    let rig = rig();
    publish(&rig.engine, 1, &[(&hostile("log-flood"), Scope::Default)]).await.unwrap();
    let policy = rig.engine.direct(PolicyKind::Scoring, Scope::Default, 0).unwrap();
    let (context, batch) = call(policy.identity(), 1);
    let lines = Lines::default();
    let result = tracing::subscriber::with_default(lines.clone(), || {
        policy.score(&context, &batch).map_err(|error| error.to_string())
    });
    let failure = result.unwrap_err();
    assert!(
        failure.contains("used up its fuel"),
        "every line takes fuel, so that a flood ends: {failure}"
    );
    let lines = lines.0.lock().unwrap();
    let (kept, rest): (Vec<_>, Vec<_>) = lines
        .iter()
        .partition(|line| line.contains("message=policy log ") && line.contains("line="));
    assert_eq!((kept.len(), rest.len()), (100, 1), "{rest:?}");
    assert!(
        kept.iter()
            .all(|line| line.contains("log-flood@1.0.0") && line.contains(&"x".repeat(1_000)))
    );
    assert!(rest[0].contains("policy log cut short") && rest[0].contains("dropped="), "{rest:?}");
}
