//! What tests of money that drive the service themselves begin with.

use lucid_model::{
    audit::AuditEntry,
    epoch::PeriodLength,
    id::{AuditId, NodeId, UserId},
    money::MicroUsdt,
    node::{Node, NodeCaps, NodeConfig, NodeStatus, Wallet},
    payout::Deadlines,
    score::Ppm,
    time::TimeMs,
};
use lucid_service::{Approval, ServiceConfig, Trust};
use uuid::Uuid;

use super::now_ms;

/// A service without limits whose settlement periods are hours.
pub fn config() -> ServiceConfig {
    let hour = PeriodLength::new(3600).unwrap();
    ServiceConfig {
        series: lucid_service::SeriesAges { samples_ms: 604_800_000, five_minutes_ms: 7_776_000_000, hours_ms: 31_536_000_000 },
        built_in: Vec::new(),
        score_multiplier: Ppm(1_000_000),
        observation_min_s: 0,
        eligibility_window_s: 3600,
        trust: Trust::Witnessed,
        epoch: hour,
        epoch_close_delay_ms: 0,
        epoch_completeness_min: Ppm(0),
        epoch_deadline_ms: 0,
        chunks_at_once: 2,
        settlement: hour,
        maturity_ms: 0,
        budget: None,
        share_max: Ppm(1_000_000),
        payout_min: MicroUsdt(1),
        auto_approve_max: MicroUsdt(0),
        cycle_cap: None,
        four_eyes: false,
        wallet_cooldown_ms: 0,
        deadlines: Deadlines { unknown_ms: 600_000, accepted_ms: 600_000, retry_first_ms: 1, retry_max_ms: 1, poll_ms: 1 },
        rail_pause_ms: 1,
        payouts_in_flight_max: 4,
        approval: Approval::Auto,
        silence_ms: 600_000,
        mass_outage_percent: 50,
        caps: NodeCaps::default(),
        challenge_ms: 1_000,
        registration_skew_ms: 1_000,
        request_lease_ms: 1_000,
        request_kept_ms: 1_000,
        votes_age_max_ms: 1_000,
        vote_retry_first_ms: 1_000,
        votes_in_flight_max: 1,
        alerts_kept_ms: 86_400_000,
        webhooks: lucid_service::WebhookSettings {
            endpoints_max: 0,
            undelivered_max: 1,
            retry_first_ms: 1_000,
            retry_max_ms: 1_000,
            give_up_ms: 1_000,
            kept_ms: 1_000,
        },
        reports_waiting_max: 64,
        events_buffered_max: 16,
    }
}

/// An entry that says who did what.
pub fn audit(action: &str) -> AuditEntry {
    AuditEntry {
        id: AuditId(Uuid::now_v7()),
        at: TimeMs(now_ms()),
        actor: "test".into(),
        action: action.into(),
        subject: "it".into(),
        detail: String::new(),
        request_id: None,
        before: None,
        after: None,
    }
}

/// An active node that can be paid.
pub fn node(id: NodeId, owner: UserId, wallet: Wallet, now: TimeMs) -> Node {
    Node {
        id,
        owner,
        external_id: None,
        name: "n".into(),
        description: None,
        status: NodeStatus::Active,
        error_reason: None,
        pool: None,
        address: None,
        created_at: now,
        updated_at: now,
        activated_at: None,
        score: None,
        observed_s: 0,
        config: NodeConfig::default(),
        public_key: None,
        wallet: Some(wallet),
        wallet_wish: None,
        hardware: None,
        suspension: None,
        approved: true,
        version: 1,
    }
}
