use std::sync::Arc;

use lucid_model::{
    fleet::{
        enrolment::Enrolment,
        node::{Node, PublicKey},
    },
    id::{IntendedId, NodeId, UserId},
    time::TimeMs,
};

use crate::ServiceError;

/// What a caller may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads its own records.
    OwnViewer,
    /// Registers and manages its own nodes.
    Owner,
    /// Reads everything.
    Viewer,
    /// Manages nodes, pools and policies.
    Operator,
    /// Manages payouts.
    Treasurer,
    /// Uploads and checks policies, activates none.
    PolicyAuthor,
    /// Vouches for observation sessions.
    Observer,
    /// A node: its own telemetry and record.
    Node,
    /// The bearer of an enrolment token: registers a node, nothing else.
    Enrolled,
    /// Has a rate limit of its own.
    Admin,
}

impl Role {
    /// Every role that a bearer token can have.
    pub const ALL: [Self; 9] = [
        Self::OwnViewer,
        Self::Owner,
        Self::Viewer,
        Self::Operator,
        Self::Treasurer,
        Self::PolicyAuthor,
        Self::Observer,
        Self::Node,
        Self::Admin,
    ];

    /// As in the configuration and in refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::OwnViewer => "own-viewer",
            Self::Owner => "owner",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Treasurer => "treasurer",
            Self::PolicyAuthor => "policy-author",
            Self::Observer => "observer",
            Self::Node => "node",
            Self::Enrolled => "enrolled",
            Self::Admin => "admin",
        }
    }

    /// The role of a name, in any letter case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name))
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Whose records are its own.
    pub user: UserId,
    /// As the token names it.
    pub subject: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// The node, if it is one.
    pub node: Option<NodeId>,
    /// The key that it proved to have.
    pub node_key: Option<PublicKey>,
    /// The enrolment token, if it came with one.
    pub enrolment: Option<Arc<Enrolment>>,
    /// The request it came with.
    pub request_id: Option<String>,
    /// The id that what the request creates will have, if the request can be told from another
    /// (idempotency key).
    pub creates: Option<IntendedId>,
    /// What the record that it changes has to be (`If-Match`); none = whatever is there.
    pub expected: Option<Expected>,
    /// When its token ends, if it came with one that does.
    pub expires_at: Option<TimeMs>,
}

/// Versions of a record that the caller takes it to have; empty = any, as long as the record is
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub Vec<u64>);

impl Actor {
    /// The service itself.
    pub fn system() -> Self {
        Self::named("system")
    }

    /// The watched directory.
    pub fn file() -> Self {
        Self::named("file")
    }

    fn named(subject: &str) -> Self {
        Self {
            user: UserId::from_subject(subject),
            subject: subject.to_owned(),
            roles: vec![Role::Operator, Role::Viewer],
            node: None,
            node_key: None,
            enrolment: None,
            request_id: None,
            creates: None,
            expected: None,
            expires_at: None,
        }
    }

    /// Whether a record is what the caller takes it to be; every change of one that has a version
    /// asks this, and again whenever it has read it again.
    ///
    /// # Errors
    /// [`ServiceError::PreconditionFailed`].
    pub fn expects(&self, what: &'static str, version: u64) -> Result<(), ServiceError> {
        match &self.expected {
            Some(Expected(versions)) if !versions.is_empty() && !versions.contains(&version) => {
                Err(ServiceError::PreconditionFailed { what, version })
            }
            _ => Ok(()),
        }
    }

    /// Whether it has a role.
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it sees records that are not its own.
    pub fn sees_all(&self) -> bool {
        self.roles.iter().any(|r| matches!(r, Role::Viewer | Role::Operator | Role::Treasurer))
    }

    /// Whether it sees the records of a node.
    pub fn sees(&self, owner: UserId, node: NodeId) -> bool {
        self.sees_all() || self.node == Some(node) || (self.node.is_none() && self.user == owner)
    }

    /// Whether it is a node itself, or may change it.
    pub fn speaks_for(&self, node: &Node) -> bool {
        self.node == Some(node.id) || (self.node.is_none() && self.manages(node.owner))
    }

    /// The node's owner, for what the node itself may change.
    pub fn as_owner_of(&self, node: &Node) -> Self {
        Self { node: None, roles: vec![Role::Owner], user: node.owner, ..self.clone() }
    }

    /// Whether it may change a node.
    pub fn manages(&self, owner: UserId) -> bool {
        self.is(Role::Operator) || (self.is(Role::Owner) && self.user == owner)
    }

    /// Keeps a list to what the caller may see: its own, and of a node's token only that node's.
    pub fn narrow(&self, owner: &mut Option<UserId>, node: &mut Option<NodeId>) {
        if !self.sees_all() {
            *owner = Some(self.user);
            *node = self.node.or(*node);
        }
    }
}
