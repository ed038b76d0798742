//! Wakes tasks when something happens that gives them work, here or on another replica.

use std::sync::Arc;

use lucid_api::Api;
use tokio::sync::{Notify, broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;

/// Events that somebody waits for.
pub struct Announced {
    /// Their types, as `/events` names them.
    events: &'static [&'static str],
    /// Remembers one event that came while nobody waited.
    pub notify: Arc<Notify>,
}

impl Announced {
    /// Awaits events of these types.
    pub fn new(events: &'static [&'static str]) -> Self {
        Self { events, notify: Arc::default() }
    }

    fn tell(&self, event: &str) {
        if self.events.contains(&event) {
            self.notify.notify_one();
        }
    }
}

/// Notifies those who wait, until it is stopped. Who hears nothing looks by itself a little later.
pub async fn announce(api: Arc<Api>, awaited: Vec<Announced>, stop: CancellationToken) {
    let mut events = api.feed.listen(None).next;
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            slice = events.recv() => slice,
        };
        match heard {
            Ok(slice) => slice
                .iter()
                .for_each(|told| awaited.iter().for_each(|announced| announced.tell(told.kind()))),
            // One of those that were lost may have been awaited.
            Err(RecvError::Lagged(_)) => {
                awaited.iter().for_each(|announced| announced.notify.notify_one())
            }
            Err(RecvError::Closed) => return,
        }
    }
}
