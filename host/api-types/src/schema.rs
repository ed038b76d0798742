//! What the API's document says of single values: words from the tables they are read with, and
//! forms.
//!
//! The types here have no values; fields name them (`value_type = …`) so that a word or a form is
//! written once.

use lucid_model::{
    consensus::{VoteChoice as VoteChoices, VoteState as VoteStates},
    fleet::{
        enrolment::EnrolmentScope as Scopes,
        node::{NodeStatus as Nodes, PayoutHold as Holds},
        pool::{
            LoadBalancing as Balancings, PoolStatus as PoolStatuses, health::Health as Healths,
        },
    },
    money::{
        ledger::EntryKind as EntryKinds,
        payout::{
            Correction as Corrections, MismatchKind as MismatchKinds, PayoutState as PayoutStates,
            PayoutStatus as PayoutStatuses, Remedy as Remedies,
        },
        run::RunState as RunStates,
    },
    notifications::webhook::DeliveryState as DeliveryStates,
    policies::{
        MANIFEST_BYTES_MAX, PolicyKind as PolicyKinds, ReportCause as ReportCauses,
        Standing as Standings,
    },
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use crate::{
    audit::FILTER_LENGTH_MAX,
    error::ErrorKind,
    fleet::auth::NONCE_LENGTH_MAX,
    policies::VERSION_LENGTH_MAX,
    telemetry::{history::Metric as Metrics, resources::TimeRange as TimeRanges},
};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn format(name: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(name.into()))
}

fn number(maximum: Option<f64>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(maximum)
}

macro_rules! schemas {
    ($($name:ident = $doc:literal, $schema:expr;)*) => {$(
        #[doc = $doc]
        #[derive(Debug)]
        pub enum $name {}
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.description(Some($doc)).into()
            }
        }
        impl ToSchema for $name {}
    )*};
}

macro_rules! words {
    ($($name:ident = $doc:literal, $words:expr $(, default $default:expr)?;)*) => {
        schemas! { $($name = $doc, text().enum_values(Some($words))$(.default(Some($default.into())))?;)* }
    };
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().copied().map(name).collect()
}

fn error_codes() -> Vec<&'static str> {
    let mut codes = names(ErrorKind::ALL, ErrorKind::code);
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The statuses a list can be narrowed to: a node that is gone is in none.
fn listed_nodes() -> Vec<&'static str> {
    names(&Nodes::ALL, Nodes::name)
        .into_iter()
        .filter(|name| *name != Nodes::Deregistered.name())
        .collect()
}

words! {
    NodeStatus = "Status of a node; `deregistered` once it is gone.", names(&Nodes::ALL, Nodes::name);
    ListedNodeStatus = "Status of a node that is not gone.", listed_nodes();
    PayoutHold = "Why a node's earnings are not paid.", names(Holds::ALL, Holds::name);
    PoolStatus = "Status of a pool.", names(PoolStatuses::ALL, PoolStatuses::name);
    LeftOut = "Why a node that has something is not paid by a run.", ["below_minimum", "not_mature", "no_wallet", "wallet_cooling_down", "suspended", "open_payout", "not_planned"];
    Unpaid = "Why money was not paid.", [
        "below_minimum", "not_mature", "no_wallet", "wallet_cooling_down", "suspended", "open_payout", "not_planned", "held", "run_being_planned",
        "run_not_approved", "run_not_executed", "frozen", "no_rail", "queued", "on_its_way", "payout_unknown", "payout_manual", "closing", "no_payout",
    ];
    Balance = "A balance of a node.", ["available", "held", "reserved"];
    SimulationFormat = "How a simulation is told.", ["json", "csv"], default "json";
    PoolHealth = "How well a pool is.", names(Healths::ALL, Healths::name);
    PoolGrain = "How finely a pool's performance is told.", ["epoch", "1h", "1d"];
    PoolResolution = "How finely a pool's performance is told; `auto` is the finest that gives at most 200 points.",
        ["epoch", "1h", "1d", "auto"], default "auto";
    LoadBalancing = "How sessions are shared among a pool's nodes.", names(Balancings::ALL, Balancings::name);
    PayoutStatus = "Status of a payout.", names(PayoutStatuses::ALL, PayoutStatuses::name);
    PayoutState = "Exactly where a payout is; finer than its status.", names(PayoutStates::ALL, PayoutStates::name);
    PayoutOutcome = "What became of a payout.", ["paid", "not_paid"];
    Correction = "How a node's balances are put right.", names(Corrections::ALL, Corrections::name);
    MismatchKind = "What contradicts what.", names(MismatchKinds::ALL, MismatchKinds::name);
    Remedy = "What is done about a mismatch.", names(Remedies::ALL, Remedies::name);
    FreezeState = "How far stopping payments is.", ["active", "freezing", "frozen"];
    ProposalState = "Where a proposal is.", ["open", "accepted", "refused"];
    Safety = "How it stands with money.", ["safe", "attention", "stopped"];
    EntryKind = "What a ledger entry records.", names(EntryKinds::ALL, EntryKinds::name);
    RunState = "State of a payout run.", names(RunStates::ALL, RunStates::name);
    Currency = "What payouts are made in.", ["USDT", "TRX"];
    PaymentMethod = "How payouts are made.", ["tron_network", "bank_transfer", "crypto_wallet"];
    VoteChoice = "What a vote says.", names(VoteChoices::ALL, VoteChoices::name);
    VoteState = "State of a vote.", names(VoteStates::ALL, VoteStates::name);
    DeliveryState = "What became of a delivery.", names(DeliveryStates::ALL, DeliveryStates::name);
    PolicyKind = "What a policy decides.", names(PolicyKinds::ALL, PolicyKinds::name);
    PolicyState = "Where a version stands: `checked` versions passed the gate and are in force nowhere.", names(Standings::ALL, Standings::name);
    ReportCause = "Why a version was put through the gate.", names(ReportCauses::ALL, ReportCauses::name);
    ActivationStart = "When an activation begins to apply.", ["now", "next_period"], default "now";
    ScoreKind = "`epoch`, or `on_demand`: that one neither earns nor votes.", ["epoch", "on_demand"];
    SessionVerdict = "`unverified` sessions are judged again before the epoch closes; `voided` ones an operator took back.",
        ["accepted", "rejected", "voided", "unverified"];
    ShadowState = "Whether a shadow is still asked.", ["running", "ended"];
    TimeRange = "How far back a question goes.", TimeRanges::ALL.map(TimeRanges::name), default TimeRanges::default().name();
    HistoryMetric = "What a history tells of.", names(&Metrics::ALL, Metrics::name), default "all";
    HistoryGrain = "How finely a history is told.", ["raw", "1m", "5m", "1h"];
    HistoryResolution = "How finely a history is told; `auto` is the finest that gives at most 1,000 points and is still kept.",
        ["raw", "1m", "5m", "1h", "auto"], default "auto";
    HealthStatus = "Whether the service is well.", ["healthy", "degraded", "unhealthy"];
    ErrorCode = "What went wrong: stable.", error_codes();
    SortOrder = "Direction of a list.", ["asc", "desc"], default "desc";
    NodeSort = "What nodes are sorted by.", ["created_at", "updated_at", "poot_score", "name"], default "created_at";
    PoolSort = "What pools are sorted by.", ["created_at", "updated_at", "name", "node_count"], default "created_at";
    ScoreSort = "What scores are sorted by.", ["score", "calculated_at", "node_id"], default "score";
    PayoutSort = "What payouts are sorted by.", ["created_at", "updated_at", "amount", "status"], default "created_at";
    NodeIdSort = "What lines of nodes are sorted by.", ["node_id"], default "node_id";
    CreatedSort = "What enrolment tokens are sorted by.", ["created_at"], default "created_at";
    EnrolmentScope = "`register`: its nodes are approved as any other; `approve`: they are approved already.",
        names(Scopes::ALL, Scopes::name), default Scopes::Register.name();
    NodeAlertKind = "What an alert is about.", ["silent", "suspended", "cloned", "no_wallet", "wallet_waits", "cpu", "memory", "disk"];
    AuditSort = "What audit entries are sorted by.", ["at"], default "at";
    EpochSort = "What epochs and votes are sorted by.", ["epoch"], default "epoch";
}

/// A name: no control characters, not only white space.
const NAME: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";
/// The same without slashes.
const OWN_NAME: &str = r"^[^/\x00-\x1f\x7f-\x9f]*[^/\s\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*$";
/// A longer text: no control characters but tabs and line breaks.
const PROSE: &str = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$";
/// A longer text that is not only white space.
const REASON: &str = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f][^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$";
/// Up to nine digits and up to six after a point, not all of them zero.
const USDT_AMOUNT: &str = concat!(
    r"^([1-9][0-9]{0,8}(\.[0-9]{1,6})?|0\.(0{0,5}[1-9]|0{0,4}[1-9][0-9]|0{0,3}[1-9][0-9]{2}",
    r"|0{0,2}[1-9][0-9]{3}|0?[1-9][0-9]{4}|[1-9][0-9]{5}))$"
);
/// Semantic versions whose numbers fit into 64 bits.
const VERSION: &str = concat!(
    r"^(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})\.(0|[1-9][0-9]{0,18})",
    r"(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?",
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$"
);
/// A node of the examples.
const EXAMPLE_ID: &str = "0192f0c1-2b3c-7d4e-8f90-123456789abc";

schemas! {
    Id = "A UUID.", text().format(format("uuid")).examples([EXAMPLE_ID]);
    NodeName = "A node's id, or what an older client calls it.", text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[^/]+$"))
            .examples([EXAMPLE_ID]);
    Timestamp = "An instant, RFC 3339, from 1970 on; answers are in UTC with milliseconds.",
        text().format(format("date-time")).pattern(Some("^(19[7-9]|[2-9][0-9]{2})[0-9]-")).examples(["2026-01-01T00:00:00.000Z"]);
    Name = "A name: neither blank nor with control characters.", text().min_length(Some(1)).max_length(Some(255)).pattern(Some(NAME));
    Description = "A text for people; no control characters but tabs and line breaks.", text().max_length(Some(1000)).pattern(Some(PROSE));
    Reason = "Why: not blank, no control characters but tabs and line breaks.",
        text().min_length(Some(1)).max_length(Some(500)).pattern(Some(REASON));
    OptionalReason = "Why; no control characters but tabs and line breaks.", text().max_length(Some(500)).pattern(Some(PROSE));
    ShortText = "A short text without control characters.", text().max_length(Some(255)).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"));
    PublicKey = "An Ed25519 public key: standard base64 of 32 bytes that are a point of the curve, not a weak one.",
        text().format(format("ed25519-public-key")).min_length(Some(44)).max_length(Some(44)).pattern(Some(r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"))
            .examples(["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]);
    Signature = "An Ed25519 signature: standard base64 of 64 bytes.", text().format(format("ed25519-signature")).min_length(Some(88)).max_length(Some(88)).pattern(Some(r"^[A-Za-z0-9+/]{85}[AQgw]==$")).examples([format!("{}==", "A".repeat(86))]);
    TronAddress = "A TRON address: Base58Check, the checksum is checked.", text().min_length(Some(34)).max_length(Some(34)).format(format("tron-address"))
        .pattern(Some(r"^T[1-9A-HJ-NP-Za-km-z]{33}$")).examples(["TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"]);
    GivenTronAddress = "A TRON address: Base58Check, or hex, which is stored and shown as Base58Check. Burn addresses and token contracts are refused.",
        text().min_length(Some(34)).max_length(Some(42)).format(format("tron-address"))
        .pattern(Some(r"^(T[1-9A-HJ-NP-Za-km-z]{33}|41(?!0{40})[0-9A-Fa-f]{40})$")).examples(["TMVQGm1qAQYVdetCeGRRkTWYYrLXuHK2HC"]);
    TransactionId = "A transaction on the chain.", text().min_length(Some(1)).max_length(Some(128)).pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"));
    PoolScope = "A pool's id, or `unassigned`: nodes in no pool.", text().pattern(Some(r"^(unassigned|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")).examples(["unassigned"]);
    Year = "A year.", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(2000)).maximum(Some(9998)).examples([2026]);
    Usdt = "USDT as a decimal string with six digits after the point.", text().pattern(Some(r"^-?[0-9]+\.[0-9]{6}$")).examples(["25.000000"]);
    UsdtAmount = "USDT, above zero and at most 999999999.999999: up to nine digits, and up to six after a point.", text()
        .pattern(Some(USDT_AMOUNT)).examples(["25.00"]);
    Reference = "Names a deposit: not blank, no control characters.", text().min_length(Some(1)).max_length(Some(100)).pattern(Some(NAME));
    ManifestText = "Text of a manifest.", text().min_length(Some(1)).max_length(Some(MANIFEST_BYTES_MAX)).pattern(Some(REASON));
    ComponentBytes = "A component: standard base64, padded.", text().min_length(Some(4)).format(format("wasm-component")).content_encoding("base64");
    BundleArchive = "A bundle's files as an uncompressed tar.", text().content_media_type("application/x-tar");
    Version = "A version: three numbers, perhaps a pre-release and a build.", text().min_length(Some(5)).max_length(Some(VERSION_LENGTH_MAX)).pattern(Some(VERSION))
            .examples(["1.0.0"]);
    Challenge = "What was signed.", text().min_length(Some(1)).max_length(Some(255)).pattern(Some(NAME));
    OwnName = "What a client calls its node: neither blank nor with control characters or slashes, and no UUIDv7.",
        text().min_length(Some(1)).max_length(Some(255)).pattern(Some(OWN_NAME));
    Nonce = "A text that is used once.", text().min_length(Some(1)).max_length(Some(NONCE_LENGTH_MAX)).pattern(Some("^[!-~]+$"));
    Digest = "SHA-256, hex.", text().pattern(Some("^[0-9a-f]{64}$"));
    AuditWord = "All of an actor, action or subject.", text().min_length(Some(1)).max_length(Some(FILTER_LENGTH_MAX)).examples(["node.register"]);
    KeyId = "Short name of a key: the first 8 bytes of its SHA-256, hex.", text().pattern(Some("^[0-9a-f]{16}$"));
    KeyHex = "An Ed25519 public key, hex.", text().pattern(Some("^[0-9a-f]{64}$"));
    SignatureHex = "An Ed25519 signature, hex.", text().pattern(Some("^[0-9a-f]{128}$"));
    Hex = "Bytes, hex.", text().pattern(Some("^([0-9a-f]{2})+$"));
    RawScore = "A score before it is limited to 100: two digits after the point.", text().pattern(Some(r"^[0-9]+\.[0-9]{2}$"));
    Scope = "`default`, or a pool's id.",
        text().pattern(Some("^(default|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$")).examples(["default"]);
    IpAddress = "An IPv4 or IPv6 address.",
        text().format(format("ip-address")).examples(["192.0.2.1"]);
    EndpointUrl = "Where a webhook is: `https://`, without white space and control characters.",
        text().min_length(Some(1)).max_length(Some(2048)).examples(["https://hooks.example.org/lucid"]);
    ScoreId = "`{epoch}-{node}`: the epoch's start in Unix seconds and the node's id.",
        text().pattern(Some("^[0-9]{1,12}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"))
        .examples([format!("1760000400-{EXAMPLE_ID}")]);
    EpochStart = "An epoch's start in Unix seconds.", text().pattern(Some("^[0-9]{1,12}$")).examples(["1760000400"]);
    ListLimit = "How many of a list.", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(100)).default(Some(20.into()));
    Score = "A score, 0–100; two digits after the point.", number(Some(100.0)).examples([87.5]);
    Percent = "A percentage, 0–100.", number(Some(100.0));
    Ratio = "A ratio, 0–1.", number(Some(1.0));
    Amount = "USDT, written exactly: six digits after the point.", number(None).examples([25.0]);
    RequestId = "Names a request in the service's log: a UUID made here.", text().format(format("uuid"));
    ParamValue = "A param of a policy.",
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(i64::MIN as isize)).maximum(Some(i64::MAX as isize));
    EventFilter = "What the types of events begin with.", text().min_length(Some(1)).max_length(Some(64)).examples(["node.alert_", "payout.completed"]);
    // Without a type: who reads streams checks each event as an object of its own.
    EventStream = "Server-sent events; the `data` of each is an event in its envelope.",
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).content_media_type("text/event-stream")
        .content_schema(Some(Ref::from_schema_name("EventBody")));
    FreeObject = "Values by name.",
        ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)));
}
