//! What happened, for everybody who listens: one enum, one envelope.

use crate::{
    epochs::{epoch::Period, score::ScoreCenti},
    fleet::{
        alert::{AlertKind, Measured},
        node::NodeStatus,
        pool::health::{Health, Members},
    },
    id::{Digest, FamilyId, NodeId, PayoutId, PoolId, PoolScope, RunId, ShadowId, WebhookId},
    money::{MicroUsdt, payout::PayoutState},
    policies::{Findings, PolicyKind, PolicyRef, Revision, Scope},
    review::simulation::Compared,
    time::TimeMs,
};

/// The envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Place in this process's stream, from 1.
    pub seq: u64,
    pub at: TimeMs,
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The service began with a new, empty store.
    StoreCreated { family: FamilyId },
    /// A node was registered.
    NodeRegistered { node: NodeId, name: String },
    /// A node's status changed.
    NodeStatusChanged { node: NodeId, from: NodeStatus, to: NodeStatus },
    /// A node joined a pool, or left all of them.
    NodeAssigned { node: NodeId, pool: PoolScope, pool_name: Option<String> },
    /// A pool's health changed.
    PoolHealthChanged { pool: PoolId, name: String, from: Health, to: Health, members: Members },
    /// A node was suspended; whether its owner is to be told.
    NodeSuspended {
        node: NodeId,
        from: NodeStatus,
        reason: String,
        until: Option<TimeMs>,
        notify_owner: bool,
    },
    /// A node's earnings go somewhere else from now on.
    WalletChanged { node: NodeId, address: String, version: u32 },
    /// A node signs with another key from now on.
    KeyRotated { node: NodeId },
    /// An alert about a node was raised.
    NodeAlertRaised { node: NodeId, about: AlertKind, message: String, measured: Option<Measured> },
    /// It is over.
    NodeAlertCleared { node: NodeId, about: AlertKind, message: String, measured: Option<Measured> },
    /// A report was stored.
    MetricsStored { node: NodeId, samples: u32, cpu_percent_centi: u32, memory_percent_centi: u32 },
    /// An observation session was credited or refused.
    ObservationStored { node: NodeId, accepted: bool, reason: Option<String> },
    /// The close of an epoch got further: what is done now, for how many nodes, of how many if that
    /// is known.
    EpochClosing { epoch: Period, stage: &'static str, done: u64, nodes: Option<u64> },
    /// An epoch was closed.
    EpochClosed { epoch: Period, nodes: u32, eligible: u32, root: Digest },
    /// A node was scored.
    ScoreComputed {
        node: NodeId,
        epoch: Period,
        score: ScoreCenti,
        observed_s: u32,
        eligible: bool,
        policy: PolicyRef,
    },
    /// The chain took a vote.
    VoteAccepted { node: NodeId, epoch_start_s: i64, vote_id: String },
    /// The chain refused a vote.
    VoteRejected { node: NodeId, epoch_start_s: i64, reason: String },
    /// A settlement period was booked.
    PeriodSettled { period: Period, accruals: u32, sum: MicroUsdt },
    /// A run was planned, approved or finished.
    RunChanged { run: RunId, state: &'static str, payouts: u32, total: MicroUsdt },
    /// A payout changed its state.
    PayoutChanged {
        payout: PayoutId,
        node: NodeId,
        state: PayoutState,
        amount: MicroUsdt,
        txid: Option<String>,
        reason: Option<String>,
    },
    /// A planned payout is not sent, because its node cannot be paid now; its money is available
    /// again.
    PayoutHeld { payout: PayoutId, node: NodeId, amount: MicroUsdt, reason: String },
    /// Payments were frozen, or let go again.
    PaymentsSwitched { frozen: bool, by: String, reason: String },
    /// A policy became active.
    PolicyActivated { kind: PolicyKind, scope: Scope, policy: PolicyRef, revision: Revision },
    /// A shadow was asked about a period.
    ShadowAsked { shadow: ShadowId, policy: PolicyRef, period: Period, findings: Box<Findings> },
    /// A bundle was refused.
    PolicyRejected { bundle: String, reason: String },
    /// A webhook is tried out.
    WebhookTest { webhook: WebhookId },
    /// Too many deliveries waited for a webhook: the oldest are not sent.
    WebhookDropped { webhook: WebhookId, dropped: u32 },
    /// Somebody should look.
    Alert { about: &'static str, subject: String, message: String },
    /// The cause of an alert is gone.
    AlertCleared { about: &'static str, subject: String },
}

/// A value of an event's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A truth value.
    Flag(bool),
    /// Nothing to say: left out.
    Absent,
}

impl EventKind {
    /// `node.registered`, `score.computed`, … : stable words.
    pub fn type_name(&self) -> String {
        match self {
            Self::StoreCreated { .. } => "store.created".into(),
            Self::NodeRegistered { .. } => "node.registered".into(),
            Self::NodeStatusChanged { to, .. } => format!("node.{}", to.name()),
            Self::NodeAssigned { .. } => "node.assigned".into(),
            Self::PoolHealthChanged { to, .. } => format!("pool.{}", to.name()),
            Self::NodeSuspended { .. } => "node.suspended".into(),
            Self::WalletChanged { .. } => "node.wallet_changed".into(),
            Self::KeyRotated { .. } => "node.key_rotated".into(),
            Self::NodeAlertRaised { .. } => "node.alert_raised".into(),
            Self::NodeAlertCleared { .. } => "node.alert_cleared".into(),
            Self::MetricsStored { .. } => "metrics.stored".into(),
            Self::ObservationStored { accepted: true, .. } => "observation.accepted".into(),
            Self::ObservationStored { .. } => "observation.rejected".into(),
            Self::EpochClosing { .. } => "epoch.closing".into(),
            Self::EpochClosed { .. } => "epoch.closed".into(),
            Self::ScoreComputed { .. } => "score.computed".into(),
            Self::VoteAccepted { .. } => "vote.accepted".into(),
            Self::VoteRejected { .. } => "vote.rejected".into(),
            Self::PeriodSettled { .. } => "period.settled".into(),
            Self::RunChanged { state, .. } => format!("run.{state}"),
            Self::PayoutChanged { state: PayoutState::Confirmed, .. } => "payout.completed".into(),
            Self::PayoutChanged { state, .. } => format!("payout.{}", state.name()),
            Self::PayoutHeld { .. } => "payout.held".into(),
            Self::PaymentsSwitched { frozen: true, .. } => "payouts.frozen".into(),
            Self::PaymentsSwitched { .. } => "payouts.resumed".into(),
            Self::PolicyActivated { .. } => "policy.activated".into(),
            Self::ShadowAsked { .. } => "policy.shadowed".into(),
            Self::PolicyRejected { .. } => "policy.rejected".into(),
            Self::WebhookTest { .. } => crate::notifications::webhook::TEST.into(),
            Self::WebhookDropped { .. } => "webhook.dropped".into(),
            Self::Alert { .. } => "alert.raised".into(),
            Self::AlertCleared { .. } => "alert.cleared".into(),
        }
    }

    /// The node that it is about.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::NodeRegistered { node, .. }
            | Self::NodeStatusChanged { node, .. }
            | Self::NodeAssigned { node, .. }
            | Self::NodeSuspended { node, .. }
            | Self::WalletChanged { node, .. }
            | Self::KeyRotated { node }
            | Self::MetricsStored { node, .. }
            | Self::ObservationStored { node, .. }
            | Self::ScoreComputed { node, .. }
            | Self::VoteAccepted { node, .. }
            | Self::VoteRejected { node, .. }
            | Self::PayoutChanged { node, .. }
            | Self::PayoutHeld { node, .. }
            | Self::NodeAlertRaised { node, .. }
            | Self::NodeAlertCleared { node, .. } => Some(*node),
            Self::StoreCreated { .. }
            | Self::EpochClosing { .. }
            | Self::EpochClosed { .. }
            | Self::PeriodSettled { .. }
            | Self::RunChanged { .. }
            | Self::PaymentsSwitched { .. }
            | Self::PolicyActivated { .. }
            | Self::ShadowAsked { .. }
            | Self::PolicyRejected { .. }
            | Self::Alert { .. }
            | Self::WebhookTest { .. }
            | Self::WebhookDropped { .. }
            | Self::PoolHealthChanged { .. }
            | Self::AlertCleared { .. } => None,
        }
    }

    /// The pool that it is about, if it is about one and not about a node.
    pub fn pool(&self) -> Option<PoolId> {
        if let Self::PoolHealthChanged { pool, .. } = self { Some(*pool) } else { None }
    }

    /// What it is about: a node's, pool's, payout's, epoch's id or a policy's name.
    pub fn subject(&self) -> String {
        match self {
            Self::NodeRegistered { node, .. }
            | Self::NodeStatusChanged { node, .. }
            | Self::NodeAssigned { node, .. }
            | Self::NodeSuspended { node, .. }
            | Self::WalletChanged { node, .. }
            | Self::KeyRotated { node }
            | Self::NodeAlertRaised { node, .. }
            | Self::NodeAlertCleared { node, .. }
            | Self::MetricsStored { node, .. }
            | Self::ObservationStored { node, .. }
            | Self::ScoreComputed { node, .. }
            | Self::VoteAccepted { node, .. }
            | Self::VoteRejected { node, .. } => node.to_string(),
            Self::StoreCreated { family } => family.0.to_string(),
            Self::PoolHealthChanged { pool, .. } => pool.to_string(),
            Self::EpochClosing { epoch: period, .. }
            | Self::EpochClosed { epoch: period, .. }
            | Self::PeriodSettled { period, .. } => period.to_string(),
            Self::RunChanged { run, .. } => run.to_string(),
            Self::PayoutChanged { payout, .. } | Self::PayoutHeld { payout, .. } => {
                payout.to_string()
            }
            Self::PaymentsSwitched { .. } => "payments".to_owned(),
            Self::PolicyActivated { policy, .. } | Self::ShadowAsked { policy, .. } => {
                policy.name.clone()
            }
            Self::PolicyRejected { bundle, .. } => bundle.clone(),
            Self::WebhookTest { webhook } | Self::WebhookDropped { webhook, .. } => {
                webhook.to_string()
            }
            Self::Alert { about, .. } | Self::AlertCleared { about, .. } => (*about).to_owned(),
        }
    }

    /// The rest, by name.
    pub fn data(&self) -> Vec<(&'static str, Value)> {
        let text = |value: &dyn std::fmt::Display| Value::Text(value.to_string());
        let maybe = |value: &Option<String>| value.clone().map_or(Value::Absent, Value::Text);
        let count = |value: u32| Value::Integer(i64::from(value));
        match self {
            Self::StoreCreated { family } => vec![("family", text(&family.0))],
            Self::NodeRegistered { node, name } => {
                vec![("node_id", text(node)), ("name", text(name))]
            }
            Self::NodeStatusChanged { node, from, to } => vec![
                ("node_id", text(node)),
                ("from", text(&from.name())),
                ("to", text(&to.name())),
            ],
            Self::NodeAssigned { node, pool, pool_name } => vec![
                ("node_id", text(node)),
                ("pool_id", text(pool)),
                ("pool_name", maybe(pool_name)),
            ],
            Self::PoolHealthChanged { pool, name, from, to, members } => vec![
                ("pool_id", text(pool)),
                ("name", text(name)),
                ("from", text(&from.name())),
                ("to", text(&to.name())),
                ("working", count(members.working)),
                ("failed", count(members.failed)),
            ],
            Self::NodeSuspended { node, from, reason, until, notify_owner } => vec![
                ("node_id", text(node)),
                ("from", text(&from.name())),
                ("to", text(&NodeStatus::Suspended.name())),
                ("reason", text(reason)),
                ("until", maybe(&until.map(|at| at.to_string()))),
                ("notify_owner", Value::Flag(*notify_owner)),
            ],
            Self::WalletChanged { node, address, version } => {
                vec![
                    ("node_id", text(node)),
                    ("wallet_address", text(address)),
                    ("wallet_version", count(*version)),
                ]
            }
            Self::KeyRotated { node } => vec![("node_id", text(node))],
            Self::NodeAlertRaised { node, about, message, measured }
            | Self::NodeAlertCleared { node, about, message, measured } => {
                let shown = |number: fn(&Measured) -> u32| {
                    measured.as_ref().map_or(Value::Absent, |m| Value::Text(about.shown(number(m))))
                };
                vec![
                    ("node_id", text(node)),
                    ("about", text(&about.name())),
                    ("message", text(message)),
                    ("value", shown(|m| m.value)),
                    ("limit", shown(|m| m.limit)),
                ]
            }
            Self::MetricsStored { node, samples, cpu_percent_centi, memory_percent_centi } => vec![
                ("node_id", text(node)),
                ("samples", count(*samples)),
                ("cpu_usage", text(&ScoreCenti(*cpu_percent_centi))),
                ("memory_usage", text(&ScoreCenti(*memory_percent_centi))),
            ],
            Self::ObservationStored { node, reason, .. } => {
                vec![("node_id", text(node)), ("reason", maybe(reason))]
            }
            Self::EpochClosing { epoch, stage, done, nodes } => {
                let whole = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
                vec![
                    ("epoch", Value::Integer(epoch.start_s)),
                    ("stage", text(stage)),
                    ("nodes_done", whole(*done)),
                    ("nodes_total", nodes.map_or(Value::Absent, whole)),
                ]
            }
            Self::EpochClosed { epoch, nodes, eligible, root } => {
                vec![
                    ("epoch", Value::Integer(epoch.start_s)),
                    ("nodes", count(*nodes)),
                    ("eligible", count(*eligible)),
                    ("root", text(root)),
                ]
            }
            Self::ScoreComputed { node, epoch, score, observed_s, eligible, policy } => vec![
                ("node_id", text(node)),
                ("epoch", Value::Integer(epoch.start_s)),
                ("score", text(score)),
                ("observed_s", count(*observed_s)),
                ("period_s", count(epoch.length.seconds())),
                ("eligible", Value::Flag(*eligible)),
                ("policy", text(policy)),
            ],
            Self::VoteAccepted { node, epoch_start_s, vote_id } => {
                vec![
                    ("node_id", text(node)),
                    ("epoch", Value::Integer(*epoch_start_s)),
                    ("vote_id", text(vote_id)),
                ]
            }
            Self::VoteRejected { node, epoch_start_s, reason } => {
                vec![
                    ("node_id", text(node)),
                    ("epoch", Value::Integer(*epoch_start_s)),
                    ("reason", text(reason)),
                ]
            }
            Self::PeriodSettled { period, accruals, sum } => {
                vec![
                    ("period", Value::Integer(period.start_s)),
                    ("accruals", count(*accruals)),
                    ("sum_usdt", text(sum)),
                ]
            }
            Self::RunChanged { run, payouts, total, .. } => vec![
                ("run_id", text(run)),
                ("payouts", count(*payouts)),
                ("total_usdt", text(total)),
            ],
            Self::PayoutChanged { payout, node, state, amount, txid, reason } => vec![
                ("payout_id", text(payout)),
                ("node_id", text(node)),
                ("state", text(&state.name())),
                ("status", text(&state.status().name())),
                ("amount_usdt", text(amount)),
                ("transaction_id", maybe(txid)),
                ("reason", maybe(reason)),
            ],
            Self::PayoutHeld { payout, node, amount, reason } => {
                vec![
                    ("payout_id", text(payout)),
                    ("node_id", text(node)),
                    ("amount_usdt", text(amount)),
                    ("reason", text(reason)),
                ]
            }
            Self::PaymentsSwitched { by, reason, .. } => {
                vec![("by", text(by)), ("reason", text(reason))]
            }
            Self::PolicyActivated { kind, scope, policy, revision } => vec![
                ("kind", text(&kind.name())),
                ("scope", text(scope)),
                ("policy", text(policy)),
                ("digest", text(&policy.digest)),
                ("revision", text(&revision.0)),
            ],
            Self::ShadowAsked { shadow, policy, period, findings } => {
                let whole = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
                let mut data = vec![
                    ("shadow_id", text(shadow)),
                    ("policy", text(policy)),
                    ("period", Value::Integer(period.start_s)),
                ];
                match findings.as_ref() {
                    Findings::Scores(found) => data.extend([
                        ("nodes", whole(found.nodes)),
                        ("nodes_changed", whole(found.changed)),
                        ("score_seconds_difference", text(&found.total.difference())),
                    ]),
                    Findings::Money(found) => data.extend([
                        ("nodes", whole(found.nodes)),
                        ("nodes_changed", whole(found.changed)),
                        ("usdt_before", text(&found.total.before)),
                        ("usdt_after", text(&found.total.after)),
                    ]),
                    Findings::Failed(reason) => data.push(("failure", text(reason))),
                }
                data
            }
            Self::PolicyRejected { bundle, reason } => {
                vec![("bundle", text(bundle)), ("reason", text(reason))]
            }
            Self::WebhookTest { webhook } => vec![("webhook_id", text(webhook))],
            Self::WebhookDropped { webhook, dropped } => {
                vec![("webhook_id", text(webhook)), ("dropped", count(*dropped))]
            }
            Self::Alert { about, subject, message } => alert_data(about, subject, Some(message)),
            Self::AlertCleared { about, subject } => alert_data(about, subject, None),
        }
    }
}

/// The subject stands only where several alerts of a topic may be raised at once.
fn alert_data(about: &str, subject: &str, message: Option<&String>) -> Vec<(&'static str, Value)> {
    let text = |value: &str| Value::Text(value.to_owned());
    let subject = Some(("subject", text(subject))).filter(|_| !subject.is_empty());
    [("about", text(about))]
        .into_iter()
        .chain(subject)
        .chain(message.map(|message| ("message", text(message))))
        .collect()
}
