use serde::{Deserialize, Serialize};

/// What a store keeps, one after the other as it is copied: what others refer to comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Pools, without the number of their nodes.
    Pools,
    /// What checks found of pools.
    PoolStandings,
    /// Enrolment tokens.
    Enrolments,
    /// Nodes, those that are gone included.
    Nodes,
    /// Policy versions with their components.
    Policies,
    /// Activations of policies, by revision.
    Activations,
    /// What the gate found.
    PolicyReports,
    /// Files of the watched folder that were seen.
    Imports,
    /// Requests with idempotency keys.
    Requests,
    /// Frames.
    Frames,
    /// The packed chunks of frames.
    FrameChunks,
    /// Epochs.
    Epochs,
    /// Scored chunks: a header and the rows of up to two thousand nodes.
    Scores,
    /// Which score of a node is its latest.
    LatestScores,
    /// Receipts of scores that were asked for.
    OnDemand,
    /// Votes.
    Votes,
    /// Ledger entries with their legs.
    Ledger,
    /// Receipts that adjust scores.
    Adjustments,
    /// Policy versions that run beside the active ones.
    Shadows,
    /// What they said.
    ShadowResults,
    /// Settled periods.
    Settlements,
    /// Payout runs.
    Runs,
    /// Payouts.
    Payouts,
    /// What treasurers said became of payouts.
    Proposals,
    /// Payouts that the payment service contradicts.
    Mismatches,
    /// Alerts about nodes.
    Alerts,
    /// Webhooks.
    Webhooks,
    /// What is on its way to webhooks, or was.
    Deliveries,
    /// Audit entries with their places.
    Audit,
    /// Links of the audit chains.
    AuditLinks,
    /// Seals of the audit log.
    AuditSeals,
    /// What is newest of each node, and its place in the sequence of its reports.
    Live,
    /// Stretches of presence.
    Presence,
    /// Observation sessions.
    Sessions,
    /// Samples, in blocks of one node.
    Samples,
    /// Rollups of samples, an hour of a node each.
    Rollups,
}

impl Kind {
    /// All, in the order in which they are copied.
    pub const ALL: [Self; 36] = [
        Self::Pools,
        Self::PoolStandings,
        Self::Enrolments,
        Self::Nodes,
        Self::Policies,
        Self::Activations,
        Self::PolicyReports,
        Self::Imports,
        Self::Requests,
        Self::Frames,
        Self::FrameChunks,
        Self::Epochs,
        Self::Scores,
        Self::LatestScores,
        Self::OnDemand,
        Self::Votes,
        Self::Ledger,
        Self::Adjustments,
        Self::Shadows,
        Self::ShadowResults,
        Self::Settlements,
        Self::Runs,
        Self::Payouts,
        Self::Proposals,
        Self::Mismatches,
        Self::Alerts,
        Self::Webhooks,
        Self::Deliveries,
        Self::Audit,
        Self::AuditLinks,
        Self::AuditSeals,
        Self::Live,
        Self::Presence,
        Self::Sessions,
        Self::Samples,
        Self::Rollups,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::PoolStandings => "pool standings",
            Self::Enrolments => "enrolments",
            Self::Nodes => "nodes",
            Self::Policies => "policies",
            Self::Activations => "activations",
            Self::PolicyReports => "policy reports",
            Self::Imports => "imports",
            Self::Requests => "requests",
            Self::Frames => "frames",
            Self::FrameChunks => "frame chunks",
            Self::Epochs => "epochs",
            Self::Scores => "scores",
            Self::LatestScores => "latest scores",
            Self::OnDemand => "on-demand scores",
            Self::Votes => "votes",
            Self::Ledger => "ledger",
            Self::Adjustments => "adjustments",
            Self::Shadows => "shadows",
            Self::ShadowResults => "shadow results",
            Self::Settlements => "settlements",
            Self::Runs => "runs",
            Self::Payouts => "payouts",
            Self::Proposals => "proposals",
            Self::Mismatches => "mismatches",
            Self::Alerts => "alerts",
            Self::Webhooks => "webhooks",
            Self::Deliveries => "webhook deliveries",
            Self::Audit => "audit entries",
            Self::AuditLinks => "audit links",
            Self::AuditSeals => "audit seals",
            Self::Live => "live states",
            Self::Presence => "presence",
            Self::Sessions => "sessions",
            Self::Samples => "samples",
            Self::Rollups => "rollups",
        }
    }

    /// Records of a page: a few megabytes, whatever a record is.
    pub fn page_records(self) -> u32 {
        match self {
            Self::Policies => 1,
            // Two thousand rows each.
            Self::Scores => 16,
            Self::FrameChunks => 16,
            Self::Samples => 400,
            Self::Requests => 500,
            Self::Nodes | Self::AuditLinks => 2_000,
            _ => 5_000,
        }
    }

    /// Pages that may be on their way at once. Nodes are given their places in order.
    pub fn pages_at_once(self) -> usize {
        if self == Self::Nodes { 1 } else { 4 }
    }

    /// Whether [`super::Transfer::count`] counts exactly what is copied: samples and stretches of
    /// presence may be in a store twice until they are packed.
    pub fn is_counted(self) -> bool {
        !matches!(self, Self::Samples | Self::Presence)
    }
}
