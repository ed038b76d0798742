//! What differs between the payment services of the network: paths, names, the form of amounts, and
//! what each one promises.

use lucid_model::money::payout::Capabilities;

/// A payout id that no payout has.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// How a payout is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// By our id: `GET {path}?reference=`.
    ByReference,
    /// By the id that the service gave it: `GET {prefix}/{id}`.
    ById {
        /// What comes before the id.
        prefix: &'static str,
        /// An id of the service's form that no payout has.
        nobody: &'static str,
    },
}

/// How an amount is written in a request. In an answer either form is read, as the exact decimal
/// that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountForm {
    /// `"12.500000"`
    Text,
    /// `12.500000`
    Number,
}

/// Where an answer names our id, and where its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Ours is `payout_id` (or `reference`), its own `external_id`.
    Ours,
    /// Ours is `reference` or `metadata.reference`, its own `payout_id`.
    Its,
    /// Ours is nowhere, its own is `payout_id`: an answer to a POST is recognised by address,
    /// amount and currency, an answer to a look-up by the service's id, too.
    ItsAlone,
}

/// A payment service's manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// As in the configuration and the store's stamp.
    pub name: &'static str,
    /// Where payouts are posted.
    pub path: &'static str,
    /// How they are found again.
    pub find: Find,
    /// How amounts are sent.
    pub amount: AmountForm,
    /// Whose ids are where.
    pub ids: Ids,
    /// What it promises.
    pub capabilities: Capabilities,
    /// Codes of a definite refusal: the payout was not and will not be made.
    pub rejection_codes: &'static [&'static str],
    /// Statuses with which the service refuses a POST before it does anything: the payout is as if
    /// it had not been sent, and the rail pauses.
    pub refuses_before_effect: &'static [u16],
    /// How a 404 says that the service has no such payout: its `error.code` or its `detail`.
    pub unknown_payout: &'static [&'static str],
}

/// Nothing is promised: what was sent is never sent again, and what is in doubt is a person's.
const NOTHING: Capabilities = Capabilities {
    dedupes_by_key: false,
    queries_by_key: false,
    key_retention_ms: 0,
    failed_is_final: false,
};
/// 429: the network's services limit rates before a request reaches its handler. 308: a redirect is
/// answered by what stands in front of the handlers (router, ingress), and asks for the request to
/// be sent elsewhere.
const RATE_LIMIT_AND_REDIRECT: &[u16] = &[308, 429];
const REJECTION_CODES: &[&str] = &[
    "INVALID_ADDRESS",
    "ADDRESS_MISMATCH",
    "INVALID_AMOUNT",
    "INVALID_CURRENCY",
    "REFERENCE_MISMATCH",
    "INVALID_LENGTH",
];

impl Profile {
    /// The default shape: our id is its key and is echoed, payouts are found by it.
    pub const LUCID: Self = Self {
        name: "lucid",
        path: "/api/v1/payouts",
        find: Find::ByReference,
        amount: AmountForm::Text,
        ids: Ids::Ours,
        capabilities: Capabilities {
            dedupes_by_key: true,
            queries_by_key: true,
            key_retention_ms: 24 * 60 * 60 * 1000,
            failed_is_final: true,
        },
        rejection_codes: REJECTION_CODES,
        refuses_before_effect: &[],
        unknown_payout: &["PAYOUT_NOT_FOUND"],
    };

    /// The shape of the network's payment API as it is specified: amounts are numbers, an answer
    /// has an id of the service's own and none of ours, transactions are `tx_id`, a cause is
    /// `failure_reason`, and no keys are kept.
    pub const INITIATE: Self = Self {
        name: "initiate",
        path: "/api/v1/payouts/initiate",
        find: Find::ById { prefix: "/api/v1/payouts", nobody: NOBODY },
        amount: AmountForm::Number,
        ids: Ids::ItsAlone,
        capabilities: NOTHING,
        rejection_codes: REJECTION_CODES,
        refuses_before_effect: RATE_LIMIT_AND_REDIRECT,
        unknown_payout: &["LUCID_ERR_1201", "PAYOUT_NOT_FOUND", "Payout not found"],
    };

    /// The TRON service's own shape: amounts are numbers, our id is in `metadata`, transactions are
    /// `txid`, a cause is `error_message`, and no keys are kept. It may cancel a payout that it is
    /// already sending.
    pub const TRON_CREATE: Self = Self {
        name: "tron-create",
        path: "/api/v1/tron/payouts/create",
        find: Find::ById {
            prefix: "/api/v1/tron/payouts",
            nobody: "00000000000000000000000000000000",
        },
        amount: AmountForm::Number,
        ids: Ids::Its,
        capabilities: NOTHING,
        rejection_codes: REJECTION_CODES,
        refuses_before_effect: RATE_LIMIT_AND_REDIRECT,
        unknown_payout: &["Payout not found"],
    };

    /// The shapes that a live service may have.
    pub const LIVE: [Self; 3] = [Self::LUCID, Self::INITIATE, Self::TRON_CREATE];

    /// The first shape, spoken to the sandbox.
    pub const SANDBOX: Self = Self { name: "sandbox", ..Self::LUCID };

    /// The live shape of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::LIVE.into_iter().find(|profile| profile.name == name)
    }
}
