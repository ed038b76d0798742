//! What is measured: every family with its unit and meaning, and every series that is known
//! beforehand at zero.
//!
//! A counter that begins with its first event has no increase that a rule could see: so it begins
//! at zero.

use std::{path::PathBuf, sync::Arc};

use lucid_model::{
    fleet::alert::AlertKind,
    money::payout::{MismatchKind, PayoutState},
    notifications::webhook::DeliveryState,
};
use lucid_ports::LimitClass;
use lucid_service::{
    CLOCK, CLOCK_DOUBTED, EPOCHS_STALLED, PAYER, STORE, STORE_DAMAGED, Service, ServiceError, TASKS,
};
use metrics::Unit;

use crate::replicas::COORDINATION;

/// How a family is counted.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Name, kind, unit and meaning.
type Family = (&'static str, Kind, Unit, &'static str);

/// All of them; names end in their unit.
const FAMILIES: &[Family] = &[
    ("lucid_build_info", Gauge, Unit::Count, "Always 1: the version that runs"),
    // Money.
    ("lucid_payments_frozen", Gauge, Unit::Count, "1 while payments are frozen"),
    (
        "lucid_treasury_usdt",
        Gauge,
        Unit::Count,
        "USDT in the treasury that are not promised to anybody",
    ),
    (
        "lucid_treasury_runway_days",
        Gauge,
        Unit::Count,
        "Days that the treasury lasts at the budget; absent without a budget",
    ),
    (
        "lucid_budget_usdt",
        Gauge,
        Unit::Count,
        "USDT that are shared in a settlement period; absent without a budget",
    ),
    (
        "lucid_unclaimed_usdt",
        Gauge,
        Unit::Count,
        "USDT that nodes left behind and did not claim in time",
    ),
    ("lucid_proposals_open", Gauge, Unit::Count, "Proposals that wait for a second treasurer"),
    ("lucid_payouts_open", Gauge, Unit::Count, "Payouts that are not over, by state"),
    (
        "lucid_payouts_open_usdt",
        Gauge,
        Unit::Count,
        "USDT of the payouts that are not over, by state",
    ),
    (
        "lucid_payouts_oldest_seconds",
        Gauge,
        Unit::Seconds,
        "Age of the oldest payout that is not over, by state",
    ),
    ("lucid_payout_transitions_total", Counter, Unit::Count, "Payouts that went into a state"),
    (
        "lucid_payout_mismatches_open",
        Gauge,
        Unit::Count,
        "Payouts that the payment service contradicts, and that nobody ended",
    ),
    (
        "lucid_payout_mismatches_total",
        Counter,
        Unit::Count,
        "Mismatches that were recorded, by kind",
    ),
    (
        "lucid_books_flawed",
        Gauge,
        Unit::Count,
        "1 if the last verification of the books found an entry that does not fit",
    ),
    (
        "lucid_books_verified_timestamp_seconds",
        Gauge,
        Unit::Seconds,
        "When this replica last verified the books, Unix time; 0 if it never did",
    ),
    // Epochs and scores.
    ("lucid_epochs_total", Counter, Unit::Count, "Epochs that this replica closed"),
    ("lucid_scores_total", Counter, Unit::Count, "Scores in the epochs that this replica closed"),
    (
        "lucid_epoch_overdue_seconds",
        Gauge,
        Unit::Seconds,
        "For how long an epoch should have been closed; 0 if none should",
    ),
    (
        "lucid_epoch_close_lateness_seconds",
        Gauge,
        Unit::Seconds,
        "From the end of the last epoch to its close",
    ),
    (
        "lucid_epoch_completeness_ratio",
        Gauge,
        Unit::Count,
        "Share of the expected reports that the last epoch had, 0 to 1",
    ),
    (
        "lucid_epoch_chunks_total",
        Counter,
        Unit::Count,
        "Chunks of epochs that this replica scored, as closer or helper",
    ),
    (
        "lucid_policy_replaced_total",
        Counter,
        Unit::Count,
        "Times that the last good version answered for a policy that failed, by kind",
    ),
    ("lucid_votes_total", Counter, Unit::Count, "Votes that were settled, by state"),
    // Nodes.
    ("lucid_nodes", Gauge, Unit::Count, "Nodes, by status"),
    ("lucid_registrations_total", Counter, Unit::Count, "Nodes that were registered"),
    ("lucid_samples_total", Counter, Unit::Count, "Samples that were stored"),
    (
        "lucid_samples_late_total",
        Counter,
        Unit::Count,
        "Samples that arrived more than 90 s after they were measured",
    ),
    (
        "lucid_samples_dropped_total",
        Counter,
        Unit::Count,
        "Samples that were not kept: of the future, or beyond a node's quota of late ones",
    ),
    (
        "lucid_reports_refused_total",
        Counter,
        Unit::Count,
        "Reports that were refused because too many waited for the store",
    ),
    (
        "lucid_node_clock_offset_seconds",
        Histogram,
        Unit::Seconds,
        "How far clocks of nodes are off, as their samples show",
    ),
    ("lucid_node_alerts_total", Counter, Unit::Count, "Alerts about nodes that were raised"),
    (
        "lucid_pools_unhealthy",
        Gauge,
        Unit::Count,
        "Pools of which at least half of the members have failed",
    ),
    (
        "lucid_pool_failovers_total",
        Counter,
        Unit::Count,
        "Members of pools that were replaced because they had failed",
    ),
    ("lucid_hours_rolled_up_total", Counter, Unit::Count, "Hours of nodes that were rolled up"),
    (
        "lucid_series_forgotten_total",
        Counter,
        Unit::Count,
        "Series of nodes of which old points were deleted",
    ),
    // The service.
    (
        "lucid_alert_raised",
        Gauge,
        Unit::Count,
        "1 while an alert of the service itself is raised, by subject",
    ),
    ("lucid_alerts_total", Counter, Unit::Count, "Alerts of the service itself that were raised"),
    ("lucid_task_failures_total", Counter, Unit::Count, "Steps of background tasks that failed"),
    ("lucid_task_panics_total", Counter, Unit::Count, "Steps of background tasks that panicked"),
    (
        "lucid_task_success_age_seconds",
        Gauge,
        Unit::Seconds,
        "For how long a background task has not succeeded",
    ),
    ("lucid_log_lines_dropped_total", Counter, Unit::Count, "Log lines that nobody took"),
    (
        "lucid_clock_doubted",
        Gauge,
        Unit::Count,
        "1 while the wall clock is not trusted: nothing is closed, settled, planned, expired or deleted",
    ),
    (
        "lucid_clock_moved_seconds",
        Gauge,
        Unit::Seconds,
        "By how much the wall clock is ahead of the service's time; below 0 it is behind",
    ),
    (
        "lucid_clock_ahead_seconds",
        Gauge,
        Unit::Seconds,
        "By how much the wall clock is ahead of that of Redis; below 0 it is behind",
    ),
    ("lucid_http_requests_total", Counter, Unit::Count, "Requests that were answered"),
    (
        "lucid_http_failures_total",
        Counter,
        Unit::Count,
        "Requests that were answered with a status of 500 or more",
    ),
    ("lucid_http_request_seconds", Histogram, Unit::Seconds, "Time that answers took"),
    (
        "lucid_http_parameters_ignored_total",
        Counter,
        Unit::Count,
        "Parameters of queries that the network's clients sent and no route knows",
    ),
    ("lucid_http_connections", Gauge, Unit::Count, "Open connections"),
    (
        "lucid_http_connections_refused_total",
        Counter,
        Unit::Count,
        "Connections that were closed because too many were open",
    ),
    (
        "lucid_http_accept_errors_total",
        Counter,
        Unit::Count,
        "Connections that the operating system could not hand over",
    ),
    ("lucid_tls_handshake_failures_total", Counter, Unit::Count, "TLS handshakes that failed"),
    (
        "lucid_rate_limit_total",
        Counter,
        Unit::Count,
        "Requests that were counted, by class and outcome",
    ),
    ("lucid_rate_limit_parties", Gauge, Unit::Count, "Callers that rate limits remember"),
    (
        "lucid_rate_limit_alone_total",
        Counter,
        Unit::Count,
        "Requests that were counted in this process only: Redis was away",
    ),
    ("lucid_events_lost_total", Counter, Unit::Count, "Events that streams did not get"),
    (
        "lucid_gateway_key_fetches_total",
        Counter,
        Unit::Count,
        "Fetches of the gateway's keys, by outcome",
    ),
    (
        "lucid_upstream_requests_total",
        Counter,
        Unit::Count,
        "Requests to the payment service and the chain, by outcome",
    ),
    (
        "lucid_upstream_request_seconds",
        Histogram,
        Unit::Seconds,
        "Time to the head of an answer of the payment service or the chain",
    ),
    ("lucid_webhook_tries_total", Counter, Unit::Count, "Tries to deliver to webhooks, by outcome"),
    (
        "lucid_webhook_deliveries_queued_total",
        Counter,
        Unit::Count,
        "Deliveries that were queued for webhooks",
    ),
    (
        "lucid_webhook_deliveries_dropped_total",
        Counter,
        Unit::Count,
        "Deliveries that were dropped: too many waited",
    ),
    (
        "lucid_webhook_events_lost_total",
        Counter,
        Unit::Count,
        "Events that came faster than they could be queued for webhooks",
    ),
    // Replicas.
    ("lucid_lease_held", Gauge, Unit::Count, "1 while this replica holds the lease of a task"),
    ("lucid_coordination_up", Gauge, Unit::Count, "1 while Redis answers; absent without Redis"),
    (
        "lucid_replica_messages_untold_total",
        Counter,
        Unit::Count,
        "Messages that could not be sent to the other replicas",
    ),
    (
        "lucid_replica_gaps_total",
        Counter,
        Unit::Count,
        "Times that messages of other replicas were lost",
    ),
    // The store.
    (
        "lucid_store_commits_total",
        Counter,
        Unit::Count,
        "Transactions that were committed, by file",
    ),
    ("lucid_store_commit_seconds", Histogram, Unit::Seconds, "Time that commits took, by file"),
    ("lucid_store_jobs_total", Counter, Unit::Count, "Writes in those transactions, by file"),
    (
        "lucid_store_writer_panics_total",
        Counter,
        Unit::Count,
        "Panics of a store's writer, by file",
    ),
    (
        "lucid_store_bytes",
        Gauge,
        Unit::Bytes,
        "Size of the store's files, write-ahead log included; absent with MongoDB",
    ),
    (
        "lucid_disk_free_bytes",
        Gauge,
        Unit::Bytes,
        "Free space on the file system of the data folder",
    ),
    ("lucid_disk_size_bytes", Gauge, Unit::Bytes, "Size of the file system of the data folder"),
];

/// What alerts of the service itself are about.
const ALERTS: &[&str] = &[
    "active-toml",
    "budget",
    "chain",
    CLOCK,
    CLOCK_DOUBTED,
    COORDINATION,
    "epoch",
    EPOCHS_STALLED,
    "gateway_keys",
    "held-nodes",
    "ledger",
    "logs",
    "mass-outage",
    PAYER,
    "payment-service",
    "payout",
    "payout-policy",
    "payout-policy-failure",
    "payout-proposal",
    "payout-run",
    "payouts-frozen",
    "payouts-in-doubt",
    "policies",
    "policies-folder",
    "policy-replaced",
    "pool-capacity",
    "pool-health",
    "reconciliation",
    "settlement",
    STORE,
    STORE_DAMAGED,
    TASKS,
    "treasury",
    "vote-contradicted",
    "votes-rejected",
    "webhooks",
];
/// Whom the service calls, and how a call ends.
const UPSTREAMS: [&str; 2] = ["payment", "chain"];
const OUTCOMES: [&str; 5] = ["2xx", "3xx", "4xx", "5xx", "none"];

/// Describes all families, and begins those series at zero that are known.
pub fn begin() {
    for (name, kind, unit, meaning) in FAMILIES {
        match kind {
            Counter => metrics::describe_counter!(*name, *unit, *meaning),
            Gauge => metrics::describe_gauge!(*name, *unit, *meaning),
            Histogram => metrics::describe_histogram!(*name, *unit, *meaning),
        }
    }
    metrics::gauge!("lucid_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("lucid_books_verified_timestamp_seconds").set(0.0);
    let plain = [
        "lucid_epochs_total",
        "lucid_events_lost_total",
        "lucid_hours_rolled_up_total",
        "lucid_http_accept_errors_total",
        "lucid_http_connections_refused_total",
        "lucid_http_failures_total",
        "lucid_http_parameters_ignored_total",
        "lucid_pool_failovers_total",
        "lucid_rate_limit_alone_total",
        "lucid_registrations_total",
        "lucid_replica_gaps_total",
        "lucid_replica_messages_untold_total",
        "lucid_reports_refused_total",
        "lucid_samples_dropped_total",
        "lucid_samples_late_total",
        "lucid_samples_total",
        "lucid_scores_total",
        "lucid_series_forgotten_total",
        "lucid_tls_handshake_failures_total",
        "lucid_webhook_deliveries_dropped_total",
        "lucid_webhook_deliveries_queued_total",
        "lucid_webhook_events_lost_total",
    ];
    plain.into_iter().for_each(|name| metrics::counter!(name).increment(0));
    from_zero("lucid_alerts_total", "about", ALERTS);
    ALERTS
        .iter()
        .for_each(|about| metrics::gauge!("lucid_alert_raised", "about" => *about).set(0.0));
    from_zero("lucid_epoch_chunks_total", "role", &["closer", "helper"]);
    from_zero("lucid_gateway_key_fetches_total", "outcome", &["ok", "failed"]);
    from_zero("lucid_node_alerts_total", "about", &names(AlertKind::ALL, |kind| kind.name()));
    from_zero(
        "lucid_payout_transitions_total",
        "state",
        &names(PayoutState::ALL, |state| state.name()),
    );
    from_zero(
        "lucid_payout_mismatches_total",
        "kind",
        &names(MismatchKind::ALL, |kind| kind.name()),
    );
    from_zero("lucid_policy_replaced_total", "kind", &["on_demand", "scoring", "validation"]);
    from_zero("lucid_votes_total", "state", &["accepted", "rejected", "expired"]);
    from_zero(
        "lucid_webhook_tries_total",
        "outcome",
        &names(DeliveryState::ALL, |state| state.name()),
    );
    for class in LimitClass::ALL {
        for outcome in ["admitted", "refused"] {
            metrics::counter!("lucid_rate_limit_total", "class" => class.name(), "outcome" => outcome).increment(0);
        }
    }
    for service in UPSTREAMS {
        for outcome in OUTCOMES {
            metrics::counter!("lucid_upstream_requests_total", "service" => service, "outcome" => outcome).increment(0);
        }
    }
    metrics_process::Collector::default().describe();
}

fn names<T>(all: &[T], name: impl Fn(&T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(name).collect()
}

fn from_zero(name: &'static str, label: &'static str, values: &[&'static str]) {
    values.iter().for_each(|value| metrics::counter!(name, label => *value).increment(0));
}

/// The service's surroundings: its process, its files, its disk, and how long the treasury lasts.
pub struct Surroundings {
    service: Arc<Service>,
    process: metrics_process::Collector,
    data: PathBuf,
}

impl Surroundings {
    /// Of a service whose files are in a folder.
    pub fn new(service: Arc<Service>, data: PathBuf) -> Self {
        Self { service, process: metrics_process::Collector::default(), data }
    }

    /// Measures them.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub async fn measure(&self) -> Result<bool, ServiceError> {
        self.process.collect();
        self.measure_disk();
        self.service.money.measure_runway().await?;
        Ok(false)
    }

    fn measure_disk(&self) {
        if let Ok(disk) = rustix::fs::statvfs(&self.data) {
            metrics::gauge!("lucid_disk_free_bytes")
                .set(bytes(disk.f_bavail.saturating_mul(disk.f_frsize)));
            metrics::gauge!("lucid_disk_size_bytes")
                .set(bytes(disk.f_blocks.saturating_mul(disk.f_frsize)));
        }
        for file in ["core", "telemetry"] {
            let size = |end: &str| {
                std::fs::metadata(self.data.join(format!("{file}.db{end}")))
                    .map(|found| found.len())
                    .ok()
            };
            if let Some(main) = size("") {
                metrics::gauge!("lucid_store_bytes", "file" => file)
                    .set(bytes(main + size("-wal").unwrap_or(0)));
            }
        }
    }
}

/// Sizes are measured to 4 KiB: as floats they are exact far beyond any disk.
fn bytes(size: u64) -> f64 {
    u32::try_from(size >> 12).map_or(f64::MAX, |blocks| f64::from(blocks) * 4096.0)
}
