//! What the configuration says about each feature of the service.

use anyhow::Result;
use lucid_model::{
    epochs::{epoch::PeriodLength, score::Ppm},
    fleet::node::NodeCaps,
    money::{
        MicroUsdt,
        payout::{Deadlines, Pace},
    },
    time::DAY_MS,
};
use lucid_service::{
    Approval, AuditConfig, ConsensusConfig, EpochsConfig, FleetConfig, MoneyConfig,
    NotificationsConfig, PayerLimits, PoliciesConfig, Rules, SampleLimits, SeriesAges,
    ServiceConfig, TelemetryConfig, Trust, WebhookSettings,
};

use super::{maybe_money, money};
use crate::config::{ApprovalWord, Config, TrustWord};

/// How much longer than a request may take its idempotency key is its own.
const REQUEST_LEASE_MARGIN_MS: i64 = 10_000;
/// How long what a node left behind can be claimed: a year.
const CLAIMABLE_MS: i64 = 365 * DAY_MS;
/// How much longer than the rail's time-out a request may be on its way.
const TIMEOUT_MARGIN_MS: i64 = 1_000;
/// How long the answer to an idempotency key is kept: a day.
const REQUEST_KEPT_MS: i64 = DAY_MS;
/// Events that what listens inside this process may be behind.
const EVENTS_BUFFERED_MAX: usize = 4_096;

fn ms(seconds: u32) -> i64 {
    i64::from(seconds) * 1000
}

fn days(days: u32) -> i64 {
    i64::from(days) * DAY_MS
}

/// How the service works.
pub fn service_config(config: &Config) -> Result<ServiceConfig> {
    Ok(ServiceConfig {
        rules: rules(config)?,
        audit: audit(config)?,
        notifications: notifications(config),
        policies: PoliciesConfig { built_in: crate::builtin::digests() },
        fleet: fleet(config),
        telemetry: telemetry(config),
        epochs: epochs(config),
        consensus: consensus(config),
        money: payouts(config)?,
    })
}

fn rules(config: &Config) -> Result<Rules> {
    let (scoring, payouts) = (&config.scoring, &config.payouts);
    Ok(Rules {
        score_multiplier: Ppm(scoring.score_multiplier_ppm),
        epoch: PeriodLength::new(scoring.epoch_s)?,
        settlement: PeriodLength::new(payouts.settlement_s)?,
        four_eyes: payouts.four_eyes,
    })
}

fn audit(config: &Config) -> Result<AuditConfig> {
    Ok(AuditConfig {
        request_lease_ms: i64::try_from(config.server.request_time_max_s)?
            .saturating_mul(1000)
            .saturating_add(REQUEST_LEASE_MARGIN_MS),
        request_kept_ms: REQUEST_KEPT_MS,
    })
}

fn notifications(config: &Config) -> NotificationsConfig {
    NotificationsConfig {
        events_buffered_max: EVENTS_BUFFERED_MAX,
        webhooks: WebhookSettings {
            endpoints_max: config.webhooks.endpoints_max,
            undelivered_max: u64::from(config.webhooks.undelivered_max),
            retry_first_ms: i64::from(config.webhooks.retry_first_ms),
            retry_max_ms: ms(config.webhooks.retry_max_s),
            give_up_ms: ms(config.webhooks.give_up_s),
            kept_ms: days(config.webhooks.kept_days),
        },
    }
}

fn fleet(config: &Config) -> FleetConfig {
    let (scoring, payouts, auth) = (&config.scoring, &config.payouts, &config.auth);
    FleetConfig {
        wallet_cooldown_ms: ms(payouts.wallet_cooldown_s),
        approval: match auth.registration_approval {
            ApprovalWord::Auto => Approval::Auto,
            ApprovalWord::Manual => Approval::Manual,
        },
        silence_ms: ms(scoring.silence_s),
        mass_outage_percent: scoring.mass_outage_percent,
        caps: NodeCaps {
            per_owner: auth.nodes_per_owner_max,
            per_ipv4: auth.nodes_per_ip_max,
            per_ipv4_24: auth.nodes_per_ipv4_24_max,
            per_ipv6_64: auth.nodes_per_ipv6_64_max,
            per_wallet: auth.nodes_per_wallet_max,
        },
        challenge_ms: 120_000,
        registration_skew_ms: 120_000,
        enrolments_per_owner_max: u64::from(config.limits.enrolments_per_owner),
        alerts_kept_ms: days(config.telemetry.alerts_days),
    }
}

fn telemetry(config: &Config) -> TelemetryConfig {
    TelemetryConfig {
        reports_waiting_max: config.telemetry.reports_waiting_max,
        sample_limits: SampleLimits {
            per_day: config.telemetry.samples_per_day,
            late_per_day: config.telemetry.late_samples_per_day,
        },
        series: SeriesAges {
            samples_ms: days(config.telemetry.raw_days),
            five_minutes_ms: days(config.telemetry.rollup_5m_days),
            hours_ms: days(config.telemetry.rollup_1h_days),
        },
    }
}

fn epochs(config: &Config) -> EpochsConfig {
    let scoring = &config.scoring;
    EpochsConfig {
        observation_min_s: scoring.min_observation_s,
        eligibility_window_s: i64::from(scoring.eligibility_window_s),
        trust: match scoring.trust {
            TrustWord::Witnessed => Trust::Witnessed,
            TrustWord::Attested => Trust::Attested,
        },
        epoch_close_delay_ms: ms(scoring.close_delay_s),
        epoch_completeness_min: Ppm(scoring.completeness_min_ppm),
        epoch_deadline_ms: ms(scoring.close_deadline_s),
        replicas: config.coordination.redis_url.is_some(),
        // One is scored while the next one is read.
        chunks_at_once: 2 * std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn consensus(config: &Config) -> ConsensusConfig {
    let chain = &config.chain;
    ConsensusConfig {
        votes_age_max_ms: ms(chain.votes_age_max_s),
        vote_retry_first_ms: 1_000,
        votes_in_flight_max: chain.in_flight_max,
    }
}

fn payouts(config: &Config) -> Result<MoneyConfig> {
    let payouts = &config.payouts;
    let cycle_cap = maybe_money("payouts.cycle_cap_usdt", payouts.cycle_cap_usdt.as_ref())?;
    Ok(MoneyConfig {
        maturity_ms: ms(payouts.maturity_s),
        budget: maybe_money("payouts.budget_usdt", payouts.budget_usdt.as_ref())?,
        share_max: Ppm(payouts.payee_share_max_ppm),
        payout_min: money("payouts.min_amount_usdt", &payouts.min_amount_usdt)?,
        payout_final_min: money("payouts.final_min_usdt", &payouts.final_min_usdt)?,
        claimable_ms: CLAIMABLE_MS,
        auto_approve_jump_max: Some(payouts.auto_approve_jump_max).filter(|times| *times > 0),
        unknown_max: maybe_money("payouts.unknown_max_usdt", payouts.unknown_max_usdt.as_ref())?
            .or(cycle_cap.map(|cap| MicroUsdt(cap.0 / 10))),
        auto_approve_max: money("payouts.auto_approve_max_usdt", &payouts.auto_approve_max_usdt)?,
        cycle_cap,
        deadlines: Deadlines {
            unknown_ms: ms(payouts.unknown_deadline_s),
            accepted_ms: ms(payouts.accepted_deadline_s),
        },
        pace: Pace {
            send_first_ms: 5_000,
            send_max_ms: 900_000,
            look_first_ms: i64::from(payouts.poll_ms),
            look_max_ms: 60_000,
            manual_look_ms: ms(payouts.manual_look_s),
        },
        payer_limits: PayerLimits {
            decided_ms_max: i64::from(config.coordination.lease_ms),
            timeout_ms: i64::from(config.rail.timeout_ms).saturating_add(TIMEOUT_MARGIN_MS),
        },
        second_look_ms: ms(payouts.second_look_s),
        rail_pause_ms: 60_000,
        payouts_in_flight_max: payouts.in_flight_max,
    })
}
