//! What differs between the payment services of the network: paths, names, and what each one promises.

use lucid_model::payout::Capabilities;

/// A payment service's manners. `lucid` is the only one built in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// As in the configuration and the store's stamp.
    pub name: &'static str,
    /// Where payouts are posted, and looked up with `?reference=`.
    pub path: &'static str,
    /// What it promises.
    pub capabilities: Capabilities,
    /// Codes of a definite refusal: the payout was not and will not be made.
    pub rejection_codes: &'static [&'static str],
}

impl Profile {
    /// The network's own shape: our id is its key and is echoed, payouts are found by it.
    pub const LUCID: Self = Self {
        name: "lucid",
        path: "/api/v1/payouts",
        capabilities: Capabilities { dedupes_by_key: true, queries_by_key: true, key_retention_ms: 24 * 60 * 60 * 1000, failed_is_final: true },
        rejection_codes: &["INVALID_ADDRESS", "ADDRESS_MISMATCH", "INVALID_AMOUNT", "INVALID_CURRENCY", "REFERENCE_MISMATCH", "INVALID_LENGTH"],
    };

    /// The same shape, spoken to the sandbox.
    pub const SANDBOX: Self = Self { name: "sandbox", ..Self::LUCID };
}
