//! Who did what, when and why; what the record was before and after; and what makes the log
//! tamper-evident.

pub mod chain;
pub mod record;
pub mod request;
pub mod seal;
pub mod verify;

use uuid::Uuid;

use self::record::Record;
use crate::{
    canonical::Canonical,
    id::{AuditId, Digest, NodeId},
    time::TimeMs,
};

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: TimeMs,
    /// Who: a subject, a node, `file`, `system`.
    pub actor: String,
    /// What: `node.register`, `policy.activate`, …
    pub action: String,
    /// To what.
    pub subject: String,
    /// Why, and what else a reader needs.
    pub detail: String,
    /// The request it came with.
    pub request_id: Option<String>,
    /// Digest of the record before; none of one that was made, or of an entry that changed none.
    pub before: Option<Digest>,
    /// Digest of the record after; none of one that was removed, or of an entry that changed none.
    pub after: Option<Digest>,
}

impl AuditEntry {
    /// The entry tells of a record that was made.
    #[must_use]
    pub fn creating(mut self, after: &dyn Record) -> Self {
        self.after = Some(after.digest());
        self
    }
    /// The entry tells of a record that was changed.
    #[must_use]
    pub fn changing(mut self, before: &dyn Record, after: &dyn Record) -> Self {
        (self.before, self.after) = (Some(before.digest()), Some(after.digest()));
        self
    }
    /// The entry tells of a record that was removed.
    #[must_use]
    pub fn removing(mut self, before: &dyn Record) -> Self {
        self.before = Some(before.digest());
        self
    }

    /// The entry of what this one's change did to a node besides: same actor, time and request. Its
    /// id follows from both.
    #[must_use]
    pub fn following(&self, action: &str, node: NodeId, detail: String) -> Self {
        let id = AuditId(Uuid::new_v5(&self.id.0, node.0.as_bytes()));
        Self {
            id,
            action: action.to_owned(),
            subject: node.to_string(),
            detail,
            before: None,
            after: None,
            ..self.clone()
        }
    }

    /// The bytes a link of the chain is made over.
    pub fn canonical(&self) -> Vec<u8> {
        let Self { id, at, actor, action, subject, detail, request_id, before, after } = self;
        Canonical::tagged("lucid/v1/audit-entry")
            .fixed(id.0.as_bytes())
            .i64(at.0)
            .text(actor)
            .text(action)
            .text(subject)
            .text(detail)
            .maybe(request_id.as_deref(), Canonical::text)
            .maybe(*before, |bytes, digest| bytes.fixed(&digest.0))
            .maybe(*after, |bytes, digest| bytes.fixed(&digest.0))
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn entry(number: u128) -> AuditEntry {
        AuditEntry {
            id: AuditId(Uuid::from_u128(number)),
            at: TimeMs(1_000),
            actor: "alice".into(),
            action: "node.update".into(),
            subject: "it".into(),
            detail: "wegen Überlast".into(),
            request_id: Some("r-1".into()),
            before: Some(Digest::of(b"before")),
            after: None,
        }
    }

    #[test]
    fn an_entry_has_the_bytes_of_the_committed_vector() {
        assert_eq!(
            Digest::of(&entry(7).canonical()).to_string(),
            "ac623c7908cc6545d0c3fcbf8161c0f107ed2c5e8ef75b2223e394cd7ddbbc6a"
        );
    }

    #[test]
    fn every_field_of_an_entry_is_in_its_bytes() {
        let first = entry(7);
        let others = [
            entry(8),
            AuditEntry { at: TimeMs(1_001), ..first.clone() },
            AuditEntry { actor: "bob".into(), ..first.clone() },
            AuditEntry { action: "node.delete".into(), ..first.clone() },
            AuditEntry { subject: "them".into(), ..first.clone() },
            AuditEntry { detail: String::new(), ..first.clone() },
            AuditEntry { request_id: None, ..first.clone() },
            AuditEntry { before: None, ..first.clone() },
            AuditEntry { before: None, after: first.before, ..first.clone() },
            // The same letters, cut elsewhere.
            AuditEntry { actor: "alic".into(), action: "enode.update".into(), ..first.clone() },
        ];
        for other in others {
            assert_ne!(other.canonical(), first.canonical(), "{other:?}");
        }
    }

    #[test]
    fn what_follows_from_an_entry_has_one_id_for_each_node() {
        let (one, other) = (NodeId(Uuid::from_u128(1)), NodeId(Uuid::from_u128(2)));
        let following = entry(7).following("node.assign", one, "its pool was deleted".into());
        assert_eq!(
            following,
            entry(7).following("node.assign", one, "its pool was deleted".into())
        );
        assert_ne!(following.id, entry(7).following("node.assign", other, String::new()).id);
        assert_eq!((following.request_id.as_deref(), following.before), (Some("r-1"), None));
    }
}
