//! The sections of `lucid.toml` but `[server]`. Units stand last in the names.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// `[store]`: where state is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `MONGODB_URI`: `sqlite://FOLDER`, `mongodb://…`, `mongodb+srv://…`, or `memory://` for a
    /// trial with the sandbox.
    pub url: String,
    /// Where files go (secrets, caches) if the store is not a folder itself.
    pub data_dir: PathBuf,
    /// Which store belongs to this service: its family, as `lucid status` tells it. Another store,
    /// or an empty one, is refused.
    pub family: Option<String>,
    /// `SEAL_KEYS`: what secrets in the store are sealed with: 64 hex digits, and after commas
    /// earlier keys, which only open.
    pub seal_keys: Option<String>,
    /// `SEAL_KEYS_FILE`: a file that holds them, one a line; by default `secrets/seal.key`, made at
    /// the first start.
    pub seal_keys_file: Option<PathBuf>,
    /// Less room on the disk than this, MiB, and the service is not ready; 0 = whatever is left
    /// will do. For SQLite.
    pub free_min_mib: u64,
    /// Memory for pages of what is written, MiB, 1 to 65,536, if the store is SQLite. Reports and
    /// each of eight readers have as much, but no more than 16 MiB.
    pub cache_mib: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: "sqlite://data".into(),
            data_dir: "data".into(),
            family: None,
            seal_keys: None,
            seal_keys_file: None,
            free_min_mib: 32,
            cache_mib: lucid_store::CACHE_MIB,
        }
    }
}

/// `[auth]`: whose tokens count.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// `JWT_SECRET`, at least 32 bytes.
    pub jwt_secret: Option<String>,
    /// A file that holds it; read again when it changes.
    pub jwt_secret_file: Option<PathBuf>,
    /// `JWT_SECRET_PREVIOUS`: signs nothing and is accepted while `jwt_secret` is rotated.
    pub jwt_secret_previous: Option<String>,
    /// A file that holds it, or nothing.
    pub jwt_secret_previous_file: Option<PathBuf>,
    /// `JWT_AUDIENCE`: checked only if set.
    pub jwt_audience: Option<String>,
    /// `JWT_ISSUER`: checked only if set.
    pub jwt_issuer: Option<String>,
    /// `API_GATEWAY_URL`: its tokens count if they are signed by a key that it publishes.
    pub gateway_url: Option<String>,
    /// Where it publishes its keys; by default `/.well-known/jwks.json` at `gateway_url`.
    pub jwks_url: Option<String>,
    /// For one fetch of them.
    pub jwks_timeout_ms: u32,
    /// Between two fetches.
    pub jwks_refresh_s: u32,
    /// Least time between two fetches, however many tokens with unknown keys come.
    pub jwks_gap_s: u32,
    /// Age at which keys that could not be renewed are not believed any more.
    pub jwks_age_max_s: u32,
    /// `JWT_ROLES_CLAIM`: the claim that names a caller's roles, in place of `roles` and `role`:
    /// its name, or a path such as `realm_access.roles`.
    pub jwt_roles_claim: Option<String>,
    /// `ROLE_MAP`: changes of what the gateway's role words mean here, in any letter case.
    pub role_map: BTreeMap<String, Vec<String>>,
    /// How long a node's token is good for.
    pub node_token_s: u64,
    /// `REGISTRATION_APPROVAL`: `auto` or `manual`.
    pub registration_approval: ApprovalWord,
    /// Most live nodes of one owner; 0 = no cap.
    pub nodes_per_owner_max: u64,
    /// Most live nodes at one IPv4 address; 0 = no cap.
    pub nodes_per_ip_max: u64,
    /// Most live nodes in one IPv4 /24; 0 = no cap.
    pub nodes_per_ipv4_24_max: u64,
    /// Most live nodes in one IPv6 /64; 0 = no cap.
    pub nodes_per_ipv6_64_max: u64,
    /// Most live nodes that are paid to one address; 0 = no cap.
    pub nodes_per_wallet_max: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            jwt_secret_file: None,
            jwt_secret_previous: None,
            jwt_secret_previous_file: None,
            jwt_audience: None,
            jwt_issuer: None,
            gateway_url: None,
            jwks_url: None,
            jwks_timeout_ms: 5_000,
            jwks_refresh_s: 300,
            jwks_gap_s: 10,
            jwks_age_max_s: 86_400,
            jwt_roles_claim: None,
            role_map: BTreeMap::new(),
            node_token_s: 900,
            registration_approval: ApprovalWord::Auto,
            nodes_per_owner_max: 100,
            nodes_per_ip_max: 20,
            nodes_per_ipv4_24_max: 200,
            nodes_per_ipv6_64_max: 20,
            nodes_per_wallet_max: 100,
        }
    }
}

impl Auth {
    /// Where the gateway's keys are, if there is a gateway.
    pub fn jwks(&self) -> Option<String> {
        let well_known =
            |gateway: &String| format!("{}/.well-known/jwks.json", gateway.trim_end_matches('/'));
        self.jwks_url.clone().or_else(|| self.gateway_url.as_ref().map(well_known))
    }
}

/// `[limits]`: requests a minute of one subject, or of one address where there is no token that
/// counts. 0 = no limit. The first that matches counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Everything that role admin does.
    pub admin_per_min: u32,
    /// What moves money: changing requests under /payouts, but `POST /payouts/freeze`, which has no
    /// limit.
    pub payouts_per_min: u32,
    /// Single PoOT calculations.
    pub poot_per_min: u32,
    /// Registrations.
    pub registrations_per_min: u32,
    /// Registrations that may come at once.
    pub registrations_burst: u32,
    /// All else.
    pub other_per_min: u32,
    /// Most subjects, and most addresses, that are told apart in a class.
    pub parties_max: usize,
    /// Enrolment tokens that are kept for one owner; those that are over for 30 days are forgotten.
    /// 0 = no cap.
    pub enrolments_per_owner: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            admin_per_min: 10_000,
            payouts_per_min: 50,
            poot_per_min: 100,
            registrations_per_min: 60,
            registrations_burst: 20,
            other_per_min: 1_000,
            parties_max: 100_000,
            enrolments_per_owner: 1_000,
        }
    }
}

/// Who lets pending nodes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalWord {
    Auto,
    Manual,
}

/// Whose sessions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustWord {
    Witnessed,
    Attested,
}

/// `[scoring]`: observation and epochs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scoring {
    /// Length of an epoch; divides 86,400.
    pub epoch_s: u32,
    /// How long after its end an epoch closes.
    pub close_delay_s: u32,
    /// Share of the expected reports, in millionths, at which it is not waited for more of them.
    pub completeness_min_ppm: u32,
    /// How long after its end an epoch closes whatever has arrived; never before the delay is over.
    pub close_deadline_s: u32,
    /// `POOT_MIN_OBSERVATION_TIME`.
    pub min_observation_s: u64,
    /// `POOT_ELIGIBILITY_WINDOW_S`.
    pub eligibility_window_s: u32,
    /// `POOT_SCORE_MULTIPLIER`, in millionths.
    pub score_multiplier_ppm: u32,
    /// `POLICY_MULTIPLIER_MAX_PPM`.
    pub policy_multiplier_max_ppm: u32,
    /// `OBSERVATION_TRUST`: `witnessed` or `attested`.
    pub trust: TrustWord,
    /// Silence after which a node is in error.
    pub silence_s: u32,
    /// Percent of the nodes beyond which silence at once puts none in error and raises an alert
    /// instead; 0 = never.
    pub mass_outage_percent: u32,
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            epoch_s: 3600,
            close_delay_s: 45,
            completeness_min_ppm: 900_000,
            close_deadline_s: 180,
            min_observation_s: 3600,
            eligibility_window_s: 86_400,
            score_multiplier_ppm: 1_500_000,
            policy_multiplier_max_ppm: 10_000_000,
            trust: TrustWord::Witnessed,
            silence_s: 90,
            mass_outage_percent: 50,
        }
    }
}

/// `[payouts]`: budgets, runs, caps. Amounts are decimal strings in USDT.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payouts {
    /// Length of a settlement period (`PAYOUT_FREQUENCY_HOURS` × 3600).
    pub settlement_s: u32,
    /// `MATURITY_HOURS` × 3600.
    pub maturity_s: u32,
    /// `REWARD_BUDGET_USDT`; none = nothing accrues.
    pub budget_usdt: Option<String>,
    /// `PAYOUT_MIN_AMOUNT_USDT`.
    pub min_amount_usdt: String,
    /// `PAYOUT_FINAL_MIN_USDT`: the least that a deregistered node is paid.
    pub final_min_usdt: String,
    /// `PAYEE_SHARE_MAX_PPM`.
    pub payee_share_max_ppm: u32,
    /// `PAYOUT_AUTO_APPROVE_MAX_USDT`; 0 = never.
    pub auto_approve_max_usdt: String,
    /// How many times its usual accrual, or of a new node what payees usually get, a payee may get
    /// before a scheduled run waits for a person; 0 = any.
    pub auto_approve_jump_max: u32,
    /// `PAYOUT_CYCLE_CAP_USDT`; none = no payout leaves.
    pub cycle_cap_usdt: Option<String>,
    /// `PAYOUT_UNKNOWN_MAX_USDT`: nothing more is sent while so much is in doubt; none = a tenth of
    /// the cycle's cap.
    pub unknown_max_usdt: Option<String>,
    /// What the treasury is given once, with the sandbox only: a live treasury is funded by a
    /// person.
    pub sandbox_funds_usdt: Option<String>,
    /// `FOUR_EYES`.
    pub four_eyes: bool,
    /// `WALLET_COOLDOWN_HOURS` × 3600.
    pub wallet_cooldown_s: u32,
    /// Payouts on their way at once.
    pub in_flight_max: usize,
    /// Age in doubt at which a person has to look.
    pub unknown_deadline_s: u32,
    /// Age unconfirmed at which a person has to look.
    pub accepted_deadline_s: u32,
    /// Between the first send of a payout and its first look-up, milliseconds; the wait grows with
    /// its age, to a minute at most.
    pub poll_ms: u32,
    /// Between two look-ups of a payout that waits for a person, seconds.
    pub manual_look_s: u32,
    /// Between a look-up that contradicts the books and the one that has to confirm it before
    /// payments are stopped, seconds.
    pub second_look_s: u32,
}

impl Default for Payouts {
    fn default() -> Self {
        Self {
            settlement_s: 86_400,
            maturity_s: 86_400,
            budget_usdt: None,
            min_amount_usdt: "10".into(),
            final_min_usdt: "1".into(),
            payee_share_max_ppm: 250_000,
            auto_approve_max_usdt: "0".into(),
            auto_approve_jump_max: 3,
            cycle_cap_usdt: None,
            unknown_max_usdt: None,
            sandbox_funds_usdt: None,
            four_eyes: true,
            wallet_cooldown_s: 72 * 3600,
            in_flight_max: 16,
            unknown_deadline_s: 6 * 3600,
            accepted_deadline_s: 24 * 3600,
            poll_ms: 10_000,
            manual_look_s: 600,
            second_look_s: 60,
        }
    }
}

/// Which rail pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RailKind {
    /// The payment service at `rail.url`, if that is set; else none.
    Auto,
    /// The stand-in; no money moves.
    Sandbox,
    /// None: everything but paying works.
    None,
}

/// `[rail]`: the payment service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rail {
    /// `RAIL`.
    pub kind: RailKind,
    /// `TRON_PAYMENT_URL`.
    pub url: Option<String>,
    /// `RAIL_PROFILE`: the shape of the payment service's API: lucid, initiate, tron-create.
    pub profile: String,
    /// `TRON_PAYMENT_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// For one request.
    pub timeout_ms: u32,
    /// How long the sandbox takes to confirm.
    pub sandbox_confirm_ms: u32,
}

impl Default for Rail {
    fn default() -> Self {
        Self {
            kind: RailKind::Auto,
            url: None,
            profile: "lucid".into(),
            token_file: None,
            timeout_ms: 10_000,
            sandbox_confirm_ms: 2_000,
        }
    }
}

/// `[chain]`: the blockchain service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chain {
    /// `BLOCKCHAIN_URL`; none = votes wait (the sandbox's, with that rail).
    pub url: Option<String>,
    /// `BLOCKCHAIN_PROFILE`: the shape of the blockchain service's API: lucid, blockchain-core.
    pub profile: String,
    /// `BLOCKCHAIN_TOKEN_FILE`: a bearer token.
    pub token_file: Option<PathBuf>,
    /// `BLOCKCHAIN_API_KEY_FILE`: an API key.
    pub api_key_file: Option<PathBuf>,
    /// For one request.
    pub timeout_ms: u32,
    /// `VOTES_MAX_AGE`, seconds: a vote that is older is not sent any more.
    pub votes_age_max_s: u32,
    /// Votes on their way at once.
    pub in_flight_max: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            url: None,
            profile: "lucid".into(),
            token_file: None,
            api_key_file: None,
            timeout_ms: 5_000,
            votes_age_max_s: 86_400,
            in_flight_max: 16,
        }
    }
}

/// `[policies]`: bundles and how they run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policies {
    /// The watched folder.
    pub dir: PathBuf,
    /// Threads that run policies; 0 = one a core.
    pub threads: usize,
    /// Longest time of one call.
    pub deadline_ms: u32,
    /// `REQUIRE_SIGNED`: whether a bundle needs a signature of a trusted key; those that are built
    /// in need none.
    pub require_signed: bool,
    /// Whose signatures count: Ed25519 public keys in hex, by the name of who has them.
    pub trusted_keys: BTreeMap<String, String>,
    /// More of them; by default `policies/trusted-keys.toml` beside the configuration file, if that
    /// is there.
    pub trusted_keys_file: Option<PathBuf>,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            dir: "policies".into(),
            threads: 0,
            deadline_ms: 5_000,
            require_signed: true,
            trusted_keys: BTreeMap::new(),
            trusted_keys_file: None,
        }
    }
}

/// `[audit]`: the audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How often the ends of its chains are signed, if something is new; what is younger than the
    /// last seal could be cut off unnoticed.
    pub seal_interval_s: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { seal_interval_s: 60 }
    }
}
