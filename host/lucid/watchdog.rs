//! What the process looks at in itself, so that `/readyz`, `/health`, `lucid status` and alerts
//! tell the truth.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lucid_service::Service;
use tokio_util::sync::CancellationToken;

use crate::logs;

/// Between two proofs that the store can be written.
pub const STORE_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at tasks and log.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Least pause between two checks of all pages. The pause is so many times as long as the check
/// took, so that checks take 2 % of a processor's time at most.
const PAGES_PAUSE_MIN: Duration = Duration::from_secs(4);
const PAGES_PAUSE_TIMES: u32 = 50;
/// What the alert about log lines that nobody takes is about.
const LOGS: &str = "logs";

/// Begins counting at zero: a rule about an increase sees the first one.
pub fn begin() {
    ["core", "telemetry"].into_iter().for_each(|file| {
        metrics::counter!("lucid_store_writer_panics_total", "file" => file).increment(0)
    });
}

/// Looks at tasks and log.
pub fn look(service: &Service) {
    service.watch_tasks();
    metrics::counter!("lucid_log_lines_dropped_total").absolute(logs::dropped());
    if logs::are_written() {
        service.notifications.clear_alert(LOGS);
        return;
    }
    let words = "log lines are dropped: standard error is closed, full, or nobody reads it; everything else goes on";
    service.notifications.alert(LOGS, words.to_owned());
    // Nobody else may have something to say for a while: this line finds out whether lines are
    // written again.
    tracing::warn!(dropped = logs::dropped(), "log lines were dropped");
}

/// Reads all pages of the store again and again, beside everything else, until it is stopped.
/// Nothing is paid before that was done once.
pub async fn check_pages(service: Arc<Service>, stop: CancellationToken) {
    let mut begun = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            checked = service.check_store() => if let Err(error) = checked {
                tracing::warn!(%error, "the store's pages could not be checked");
            },
        }
        let pause = PAGES_PAUSE_MIN.max(begun.elapsed().saturating_mul(PAGES_PAUSE_TIMES));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        begun = Instant::now();
    }
}
