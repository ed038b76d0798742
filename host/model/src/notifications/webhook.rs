//! Webhooks: endpoints that are told what happens, and what is on its way to them.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::{
    backoff::doubled_ms,
    canonical::Canonical,
    id::{DERIVED_ID_NAMESPACE, DeliveryId, Digest, NodeId, PoolId, WebhookId},
    named_enum::named_enum,
    time::TimeMs,
};

/// What the types of events begin with that webhooks are sent for. Those that come with every
/// sample or score are not among them.
pub const SENT: [&str; 8] =
    ["node.", "alert.", "payout.", "run.", "period.", "epoch.", "policy.", "pool."];
/// The type of the event that tries a webhook out.
pub const TEST: &str = "webhook.test";

/// What deliveries are signed with: a text, the bytes of which are the key.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub String);

impl fmt::Debug for WebhookSecret {
    /// Tells secrets apart without telling them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookSecret({})", Digest::of(self.0.as_bytes()))
    }
}

/// A secret as a store keeps it: sealed with a key that is elsewhere, or in clear if an older
/// version wrote it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSecret(pub String);

impl fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptSecret({})", Digest::of(self.0.as_bytes()))
    }
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: WebhookId,
    /// Where it is.
    pub url: String,
    /// For people; at most 1000 characters.
    pub description: Option<String>,
    /// What the types of its events begin with; empty = all that webhooks are sent for.
    pub events: Vec<String>,
    /// Only events about this node.
    pub node: Option<NodeId>,
    /// Only events about nodes that are in this pool.
    pub pool: Option<PoolId>,
    /// What its deliveries are signed with, once it is opened.
    pub secret: KeptSecret,
    /// Whether it is sent anything.
    pub enabled: bool,
    /// Why the service disabled it, if it was the service.
    pub disabled_reason: Option<String>,
    pub created_at: TimeMs,
    pub updated_at: TimeMs,
    pub created_by: String,
    /// Counts changes; compared and swapped.
    pub version: u64,
}

impl Webhook {
    /// Whether it is sent an event of a type, about a node, if it is about one, which is in a pool.
    pub fn wants(&self, kind: &str, node: Option<NodeId>, pool: Option<PoolId>) -> bool {
        self.enabled
            && is_sent(kind)
            && (self.events.is_empty()
                || self.events.iter().any(|wanted| kind.starts_with(wanted.as_str())))
            && (self.node.is_none() || self.node == node)
            && (self.pool.is_none() || self.pool == pool)
    }
}

impl crate::audit::record::Record for Webhook {
    fn digest(&self) -> Digest {
        let bytes = Canonical::tagged("lucid/v1/audit-webhook")
            .fixed(self.id.0.as_bytes())
            .text(&self.url)
            .maybe(self.description.as_deref(), Canonical::text)
            .maybe(self.node, |bytes, node| bytes.fixed(node.0.as_bytes()))
            .maybe(self.pool, |bytes, pool| bytes.fixed(pool.0.as_bytes()))
            .fixed(&Digest::of(self.secret.0.as_bytes()).0)
            .u8(u8::from(self.enabled))
            .maybe(self.disabled_reason.as_deref(), Canonical::text)
            .i64(self.created_at.0)
            .text(&self.created_by);
        Digest::of(&self.events.iter().fold(bytes, |bytes, event| bytes.text(event)).finish())
    }
}

/// Whether webhooks are sent for a type of events.
pub fn is_sent(kind: &str) -> bool {
    SENT.iter().any(|sent| kind.starts_with(sent))
}

/// Whether a filter can let something through: the beginning of a type that is sent, or of such
/// types.
pub fn is_filter(filter: &str) -> bool {
    !filter.is_empty()
        && SENT.iter().any(|sent| filter.starts_with(sent) || sent.starts_with(filter))
}

named_enum! {
    /// What became of a delivery.
    DeliveryState {
        /// It is sent again and again until it arrives.
        Pending = "pending",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was tried for too long.
        Failed = "failed",
        /// Too many were waiting, or the endpoint was disabled.
        Dropped = "dropped",
    }
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names it, the same with every try.
    pub id: DeliveryId,
    /// To whom.
    pub webhook: WebhookId,
    /// Names the event.
    pub event_id: String,
    /// The event's type.
    pub kind: String,
    /// The event in its envelope, as it is sent.
    pub body: String,
    /// Since when it waits.
    pub created_at: TimeMs,
    /// What became of it.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next.
    pub next_attempt_at: TimeMs,
    /// When it left the state pending.
    pub finished_at: Option<TimeMs>,
    /// The status of the last answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong with the last try, or why it was given up.
    pub error: Option<String>,
}

impl DeliveryId {
    /// The id of an event's delivery to an endpoint: whoever makes it, there is one.
    pub fn derive(webhook: WebhookId, event_id: &str) -> Self {
        let mut name = b"delivery".to_vec();
        name.extend_from_slice(webhook.0.as_bytes());
        name.extend_from_slice(event_id.as_bytes());
        Self(Uuid::new_v5(&DERIVED_ID_NAMESPACE, &name))
    }
}

impl Delivery {
    /// Ends it.
    #[must_use]
    pub fn ended(self, state: DeliveryState, at: TimeMs, error: Option<String>) -> Self {
        Self { state, finished_at: Some(at), error, ..self }
    }

    /// What the header of the signature says of a try at an instant, in Unix seconds.
    pub fn signature(&self, secret: &WebhookSecret, timestamp_s: i64) -> String {
        let signed = format!("{}.{timestamp_s}.{}", self.id, self.body);
        format!("v1={}", hex::encode(hmac_sha256(secret.0.as_bytes(), signed.as_bytes())))
    }
}

/// How long to wait after a failed try, in milliseconds: doubled with each up to `most`, half of it
/// by chance, so that what failed together is not tried together.
pub fn wait_ms(attempts: u32, first: i64, most: i64, chance: u16) -> i64 {
    let whole = doubled_ms(first, attempts.saturating_sub(1), most);
    whole / 2 + (whole - whole / 2).saturating_mul(i64::from(chance)) / i64::from(u16::MAX)
}

/// HMAC-SHA-256 (RFC 2104).
#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// Whether two codes are the same, in a time that does not say how much of them is.
pub fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(events: &[&str]) -> Webhook {
        Webhook {
            id: WebhookId(Uuid::nil()),
            url: "https://example.org".into(),
            description: None,
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            node: None,
            pool: None,
            secret: KeptSecret("s".into()),
            enabled: true,
            disabled_reason: None,
            created_at: TimeMs(0),
            updated_at: TimeMs(0),
            created_by: "a".into(),
            version: 1,
        }
    }

    #[test]
    fn a_filter_lets_through_what_is_sent_and_nothing_that_comes_with_every_sample() {
        let wants = |events: &[&str], kind: &str| webhook(events).wants(kind, None, None);
        assert!(
            wants(&[], "node.error") && wants(&["node", "payout.completed"], "payout.completed")
        );
        assert!(
            !wants(&["node.a"], "node.error")
                && !wants(&[], "metrics.stored")
                && !wants(&["m"], "metrics.stored")
        );
        assert!(!Webhook { enabled: false, ..webhook(&[]) }.wants("node.error", None, None));
        let node = |i| Some(NodeId(Uuid::from_u128(i)));
        let (one, pool) =
            (Webhook { node: node(1), ..webhook(&[]) }, Some(PoolId(Uuid::from_u128(7))));
        assert!(
            one.wants("node.error", node(1), None)
                && !one.wants("node.error", node(2), None)
                && !one.wants("epoch.closed", None, None)
        );
        let members = Webhook { pool, ..webhook(&[]) };
        assert!(
            members.wants("node.error", node(1), pool)
                && !members.wants("node.error", node(1), None)
        );
        for (filter, good) in [
            ("node", true),
            ("n", true),
            ("node.error", true),
            ("payout.", true),
            ("", false),
            ("metrics.stored", false),
            ("x", false),
            ("nodes", false),
        ] {
            assert_eq!(is_filter(filter), good, "{filter:?}");
        }
    }

    #[test]
    fn the_authentication_code_is_that_of_rfc_4231() {
        let long = [0xaa; 131];
        for (key, message, code) in [
            (
                &[0x0b; 20][..],
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long,
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex::encode(hmac_sha256(key, message.as_bytes())), code, "{message}");
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_chance() {
        let span = |attempts| {
            (wait_ms(attempts, 1_000, 60_000, 0), wait_ms(attempts, 1_000, 60_000, u16::MAX))
        };
        assert_eq!(
            [1, 2, 6, 7, u32::MAX].map(span),
            [(500, 1_000), (1_000, 2_000), (16_000, 32_000), (30_000, 60_000), (30_000, 60_000)]
        );
    }

    #[test]
    fn a_secret_is_not_told_by_what_is_written_of_it() {
        let told = format!("{:?}", Webhook { secret: KeptSecret("hidden".into()), ..webhook(&[]) });
        assert!(!told.contains("hidden"), "{told}");
        assert_ne!(told, format!("{:?}", webhook(&[])), "and two are told apart");
    }
}
