//! What tests of money that drive the service themselves begin with.

use lucid_model::{
    audit::AuditEntry,
    epochs::{
        receipt::ScoreRow,
        score::{Factors, Ppm, RawCenti, ScoreCenti},
    },
    fleet::node::{Node, NodeConfig, NodeStatus, Wallet},
    id::{AuditId, NodeId, UserId},
    time::TimeMs,
};
use lucid_service::ServiceConfig;
use uuid::Uuid;

use super::now_ms;
use lucid_testkit::fleet;

/// A service without limits whose settlement periods are hours.
pub fn config() -> ServiceConfig {
    let mut config = fleet::config(2);
    config.rules.score_multiplier = Ppm(1_000_000);
    config.epochs.observation_min_s = 0;
    config.epochs.eligibility_window_s = 3600;
    config.epochs.epoch_close_delay_ms = 0;
    config.telemetry.reports_waiting_max = 64;
    config.telemetry.sample_limits =
        lucid_service::SampleLimits { per_day: u32::MAX, late_per_day: u32::MAX };
    config.fleet.enrolments_per_owner_max = 0;
    config.notifications.events_buffered_max = 16;
    config
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
        status_since: None,
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

/// A node's score of an hour that it worked all of.
pub fn worked_well(node: NodeId) -> ScoreRow {
    ScoreRow {
        node,
        observed_s: 3_600,
        window_observed_s: 3_600,
        eligible: true,
        multiplier: Ppm(1_000_000),
        raw: RawCenti(5_000),
        score: ScoreCenti(5_000),
        sessions: 1,
        factors: Factors::default(),
        reason: None,
        held: false,
    }
}
