//! What this replica and the others tell each other.

use std::{sync::Arc, time::Duration};

use lucid_api::Api;
use lucid_api_types::notifications::event::EventBody;
use lucid_model::time::TimeMs;
use lucid_ports::{CLOCK_OFF_MAX, Checked, CoordinationError, Coordinator, Heard, Topic};
use lucid_service::{CLOCK, Service};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast::error::RecvError};
use tokio_util::sync::CancellationToken;

use crate::clock::boot_id;

/// Between two checks whether the coordinator answers.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// What the alert is about.
pub const COORDINATION: &str = "coordination";
/// What it says while Redis does not answer.
const DEGRADED: &str = "no replica closes epochs, settles, votes, pays or seals the audit log until it does; \
                        rate limits are counted and events are told by each replica alone";
/// The type of events that another policy is active.
const POLICY_ACTIVATED: &str = "policy.activated";

/// What a replica's wall clock shows. One that was moved is right if a replica on another machine,
/// whose clock was not moved, shows the same: a virtual machine that was paused finds its time
/// again.
#[derive(Serialize, Deserialize)]
struct ClockShown {
    /// Which start of which machine: replicas on one machine share its clock.
    boot: String,
    wall_ms: i64,
    trusted: bool,
}

impl ClockShown {
    fn by(service: &Service, boot: &str) -> Self {
        let status = service.clock.status();
        Self {
            boot: boot.to_owned(),
            wall_ms: status.wall.0,
            trusted: status.reading.fault.is_none(),
        }
    }

    fn confirm(&self, own_boot: &str, origin: &str, service: &Service) {
        let off_ms = service.clock.status().wall.ms_since(TimeMs(self.wall_ms)).unsigned_abs();
        if self.trusted && self.boot != own_boot && u128::from(off_ms) <= CLOCK_OFF_MAX.as_millis()
        {
            service.confirm_clock(origin);
        }
    }
}

/// Tells the other replicas what happens here.
pub async fn tell(coordinator: Arc<dyn Coordinator>, api: Arc<Api>, stop: CancellationToken) {
    let mut events = api.service.notifications.bus().subscribe();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                let body = EventBody::new(&event, &api.stream);
                if body.kind == POLICY_ACTIVATED {
                    count(coordinator.tell(Topic::Policies, Vec::new()).await, 1);
                }
                match serde_json::to_vec(&body) {
                    Ok(payload) => count(coordinator.tell(Topic::Event, payload).await, 1),
                    Err(error) => {
                        tracing::error!(%error, kind = body.kind, "an event cannot be written")
                    }
                }
            }
            Err(RecvError::Lagged(lost)) => count(
                Err(CoordinationError::Unavailable { detail: "too many events".into() }),
                lost,
            ),
            Err(RecvError::Closed) => return,
        }
    }
}

fn count(told: Result<(), CoordinationError>, events: u64) {
    if let Err(error) = told {
        tracing::debug!(%error, events, "the other replicas are not told");
        metrics::counter!("lucid_replica_messages_untold_total").increment(events);
    }
}

/// Hears what happens elsewhere: events go to the streams of this replica, a change of policies
/// wakes who follows them.
pub async fn hear(
    coordinator: Arc<dyn Coordinator>,
    api: Arc<Api>,
    policies: Arc<Notify>,
    stop: CancellationToken,
) {
    let (mut listener, boot) = (coordinator.listen().await, boot_id());
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = listener.next() => heard,
        };
        match heard {
            Heard::Message { topic: Topic::Clock, origin, payload } => {
                match serde_json::from_slice::<ClockShown>(&payload) {
                    Ok(shown) => shown.confirm(&boot, &origin, &api.service),
                    Err(error) => {
                        tracing::warn!(%error, origin, "the clock of another replica cannot be read")
                    }
                }
            }
            Heard::Message { topic: Topic::Policies, .. } => policies.notify_one(),
            Heard::Message { topic: Topic::Event, origin, payload } => {
                match serde_json::from_slice::<EventBody>(&payload) {
                    Ok(body) => api.feed.elsewhere(body),
                    Err(error) => {
                        tracing::warn!(%error, origin, "an event of another replica cannot be read")
                    }
                }
            }
            Heard::Gap { origin, lost } => {
                tracing::warn!(origin, lost, "events of other replicas were lost");
                metrics::counter!("lucid_replica_gaps_total").increment(1);
                // One of them may have been about policies.
                policies.notify_one();
            }
        }
    }
}

/// Runs what the store says is active: at a hint, and every so often without one.
pub async fn follow_policies(
    service: Arc<Service>,
    hints: Arc<Notify>,
    poll: Duration,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = hints.notified() => {}
            () = tokio::time::sleep(poll) => {}
        }
        match service.policies.follow_policies().await {
            Ok(Some(revision)) => {
                tracing::info!(revision = revision.0, "policies of another replica are active here")
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "what another replica activated cannot be loaded here")
            }
        }
    }
}

/// A replica whose clock is off is not ready either: presence is dated by who takes the report.
fn compare_clocks(checked: Checked, service: &Service) {
    let ahead = Duration::from_millis(checked.ahead_ms.unsigned_abs()).as_secs_f64();
    let (ahead, most) =
        (if checked.ahead_ms < 0 { -ahead } else { ahead }, CLOCK_OFF_MAX.as_secs());
    metrics::gauge!("lucid_clock_ahead_seconds").set(ahead);
    if checked.is_off() {
        let words = format!(
            "this replica's clock is {ahead:+.1} s from that of Redis, and may be {most} s from it: it is not ready, and does nothing of what one \
             replica does for all; let NTP set the clocks of all machines"
        );
        service.notifications.alert(CLOCK, words);
    } else {
        service.notifications.clear_alert(CLOCK);
    }
}

/// Says whether the coordinator answers, for as long as the process runs.
pub async fn watch(
    coordinator: Arc<dyn Coordinator>,
    service: Arc<Service>,
    stop: CancellationToken,
) {
    let (mut was_up, boot) = (true, boot_id());
    while !stop.is_cancelled() {
        let checked = coordinator.check().await;
        metrics::gauge!("lucid_coordination_up").set(if checked.is_ok() { 1.0 } else { 0.0 });
        match &checked {
            Ok(checked) => {
                service.clock.follow_shared(*checked);
                compare_clocks(*checked, &service);
                service.notifications.clear_alert(COORDINATION);
                if let Ok(payload) = serde_json::to_vec(&ClockShown::by(&service, &boot)) {
                    count(coordinator.tell(Topic::Clock, payload).await, 1);
                }
                if !was_up {
                    tracing::info!("Redis answers again");
                }
            }
            Err(error) => {
                if was_up {
                    tracing::warn!(%error, "Redis is lost");
                }
                // What the operating system says of a connection changes from try to try: one cause
                // is one alert.
                let why = match error {
                    CoordinationError::Refused { .. } => error.to_string(),
                    _ => "Redis does not answer".to_owned(),
                };
                service.notifications.alert(COORDINATION, format!("{why}: {DEGRADED}"));
            }
        }
        was_up = checked.is_ok();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}
