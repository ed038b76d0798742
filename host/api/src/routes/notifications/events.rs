//! Events as they happen.

use std::{collections::HashMap, convert::Infallible, pin::Pin, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
};
use futures::stream;
use lucid_api_types::{ErrorBody, ErrorKind, schema};
use lucid_model::id::NodeId;
use lucid_service::Actor;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Sleep, sleep},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    FeedItem, Slice,
    api::Shared,
    authenticate::time_left,
    errors::ApiError,
    extract::{Caller, Params},
    streams::{OpenStream, STREAMS_OF_A_CALLER_MAX},
};

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Nodes of which a stream remembers whether its reader may see them.
const NODES_REMEMBERED_MAX: usize = 10_000;
/// Proxies that gather answers before they pass them on are told not to.
const UNBUFFERED: (&str, &str) = ("x-accel-buffering", "no");
/// The type of what says that events are lost.
const GAP: &str = "stream.gap";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Events as they happen.
///
/// Server-sent events: `id`, the kind as `event`, and the envelope as JSON in `data`. A caller
/// without rights over the fleet sees those of its own nodes. A silent stream says every 15 s that
/// it is still there. With `Last-Event-ID`, as browsers send it when they connect again, a stream
/// goes on after that event; if it is not among the last 4,096 of this process, or a reader is too
/// slow, `stream.gap` says that events are lost. A stream ends when the token does that it was
/// asked for with.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "streamEvents", tag = "events",
    params(("type" = Option<String>, Query, description = "Only events whose type begins with one of these, with commas between: `score,payout.completed`"),
        ("node_id" = Option<schema::Id>, Query, description = "Only events about this node")),
    responses((status = 200, body = schema::EventStream, content_type = "text/event-stream", description = "The stream; it ends with its token"),
        (status = 400, body = ErrorBody, description = "A parameter is wrong")))]
async fn events(
    State(api): State<Shared>,
    Caller(actor): Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let kinds = params
        .get("type")
        .map(|types| types.split(',').map(|kind| kind.trim().to_owned()).collect())
        .unwrap_or_default();
    let node = params.parsed("node_id", |text| text.parse::<NodeId>().ok(), "must be a UUID")?;
    let last =
        headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let open = api.streams.open(&actor.subject).ok_or_else(|| {
        let message = format!("{STREAMS_OF_A_CALLER_MAX} event streams of this subject are open, which is the most: end one first");
        ApiError::new(ErrorKind::RateLimited, message).with("limit", STREAMS_OF_A_CALLER_MAX)
    })?;
    let listening = api.feed.listen(last);
    let gap = listening.missed.is_none();
    let slice = listening.missed.unwrap_or_default();
    let end = Box::pin(sleep(time_left(&actor).unwrap_or(Duration::MAX)));
    let listener = Listener {
        gap,
        slice,
        place: 0,
        next: listening.next,
        end,
        _open: open,
        api,
        actor,
        kinds,
        node,
        seen: HashMap::new(),
    };
    let told = stream::unfold(listener, |mut listener| async move {
        listener.next().await.map(|event| (Ok::<_, Infallible>(event), listener))
    });
    Ok(([UNBUFFERED], Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
        .into_response())
}

struct Listener {
    /// Whether it is to be said that events are lost.
    gap: bool,
    /// What is being gone through, and how far that is.
    slice: Slice,
    place: usize,
    next: Receiver<Slice>,
    /// When its token does not count any more.
    end: Pin<Box<Sleep>>,
    /// Counts among its caller's.
    _open: OpenStream,
    api: Shared,
    actor: Actor,
    kinds: Vec<String>,
    node: Option<NodeId>,
    /// Whose nodes were looked up: a node never changes its owner.
    seen: HashMap<NodeId, bool>,
}

impl Listener {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if std::mem::take(&mut self.gap) {
                return Some(
                    SseEvent::default().event(GAP).data(format!("{{\"type\":\"{GAP}\"}}")),
                );
            }
            let slice = Slice::clone(&self.slice);
            while let Some(told) = slice.get(self.place) {
                self.place += 1;
                if self.asked_for(told) && self.may_see(told).await {
                    let body = told.body();
                    return Some(
                        SseEvent::default().id(&body.id).event(&body.kind).data(told.json()),
                    );
                }
            }
            let next = tokio::select! {
                biased;
                () = self.end.as_mut() => return None,
                () = self.api.stopping.cancelled() => return None,
                next = self.next.recv() => next,
            };
            match next {
                Ok(slice) => (self.slice, self.place) = (slice, 0),
                Err(RecvError::Lagged(_)) => self.gap = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn asked_for(&self, told: &FeedItem) -> bool {
        (self.node.is_none() || told.node() == self.node)
            && (self.kinds.is_empty()
                || self.kinds.iter().any(|wanted| told.kind().starts_with(wanted.as_str())))
    }

    async fn may_see(&mut self, told: &FeedItem) -> bool {
        if self.actor.sees_all() {
            return true;
        }
        let Some(node) = told.node() else { return false };
        if let Some(seen) = self.seen.get(&node) {
            return *seen;
        }
        let seen = self.api.service.fleet.node(&self.actor, node).await.is_ok();
        if self.seen.len() >= NODES_REMEMBERED_MAX {
            self.seen.clear();
        }
        self.seen.insert(node, seen);
        seen
    }
}
