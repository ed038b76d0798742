//! Events as `/events` and webhooks send them.

use lucid_model::{
    id::NodeId,
    notifications::event::{Event, Value as EventValue},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::schema;

/// An event in its envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventBody {
    /// Names the event: the stream and the place in it.
    pub id: String,
    /// Its place in the stream, from 1.
    pub seq: u64,
    /// When.
    #[schema(value_type = schema::Timestamp)]
    pub time: String,
    /// What: `node.registered`, `score.computed`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The same as `type`, for readers of older webhooks.
    pub event: String,
    /// What it is about: an id or a name.
    pub subject: String,
    /// The rest.
    #[schema(value_type = schema::FreeObject)]
    pub data: Map<String, Value>,
}

impl EventBody {
    /// An event of a stream. Numbers start again with every stream, so the stream's name is part of
    /// the id.
    pub fn new(event: &Event, stream: &str) -> Self {
        let value = |value| match value {
            EventValue::Text(text) => Some(Value::from(text)),
            EventValue::Integer(number) => Some(Value::from(number)),
            EventValue::Flag(flag) => Some(Value::from(flag)),
            EventValue::Absent => None,
        };
        let kind = event.kind.type_name();
        Self {
            id: format!("{stream}-{}", event.seq),
            seq: event.seq,
            time: event.at.to_string(),
            event: kind.clone(),
            kind,
            subject: event.kind.subject(),
            data: event
                .kind
                .data()
                .into_iter()
                .filter_map(|(name, v)| Some((name.to_owned(), value(v)?)))
                .collect(),
        }
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<NodeId> {
        self.data.get("node_id")?.as_str()?.parse().ok()
    }

    /// Stream and place of an event's id, for resuming.
    pub fn parse_id(id: &str) -> Option<(&str, u64)> {
        let (stream, seq) = id.rsplit_once('-')?;
        Some((stream, seq.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use lucid_model::{notifications::event::EventKind, time::TimeMs};

    use super::*;

    #[test]
    fn an_event_leaves_out_what_it_has_not() {
        let kind = EventKind::ObservationStored {
            node: NodeId(uuid::Uuid::nil()),
            accepted: true,
            reason: None,
        };
        let body = EventBody::new(&Event { seq: 5, at: TimeMs(0), kind }, "boot");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            concat!(
                r#"{"id":"boot-5","seq":5,"time":"1970-01-01T00:00:00.000Z","type":"observation.accepted","event":"observation.accepted","#,
                r#""subject":"00000000-0000-0000-0000-000000000000","data":{"node_id":"00000000-0000-0000-0000-000000000000"}}"#
            )
        );
        assert_eq!(EventBody::parse_id(&body.id), Some(("boot", 5)));
        assert_eq!(body.node(), Some(NodeId(uuid::Uuid::nil())));
    }
}
