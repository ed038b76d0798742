//! What the gateway's roles mean here.

use std::collections::{BTreeMap, HashMap};

use lucid_service::Role;

/// What each word means unless the configuration says otherwise: the gateway's words first, then
/// ours.
const DEFAULT: [(&str, &[Role]); 10] = [
    ("user", &[Role::OwnViewer]),
    ("node_operator", &[Role::Owner, Role::OwnViewer]),
    ("admin", &[Role::Operator, Role::Viewer, Role::Admin]),
    ("super_admin", &[Role::Operator, Role::Viewer, Role::Admin, Role::Treasurer]),
    ("owner", &[Role::Owner, Role::OwnViewer]),
    ("viewer", &[Role::Viewer]),
    ("operator", &[Role::Operator, Role::Viewer]),
    ("treasurer", &[Role::Treasurer, Role::Viewer]),
    ("policy-author", &[Role::PolicyAuthor]),
    ("observer", &[Role::Observer]),
];

/// A role map that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleMapError {
    /// A word stands for a role that there is not.
    #[error("{word:?} stands for {role:?}, which is none of our roles: {}", known())]
    UnknownRole {
        /// The gateway's word.
        word: String,
        /// What it should mean.
        role: String,
    },
    /// Words are the same in any letter case.
    #[error("{word:?} is there twice: letter case makes no difference")]
    Twice {
        /// In lower case.
        word: String,
    },
}

/// Roles that a word may stand for. A node is known by its own token alone.
fn known() -> String {
    Role::ALL
        .into_iter()
        .filter(|role| *role != Role::Node)
        .map(Role::name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The gateway's role words, in any letter case, and our roles.
#[derive(Debug, Clone)]
pub struct RoleMap(HashMap<String, Vec<Role>>);

impl Default for RoleMap {
    fn default() -> Self {
        Self(DEFAULT.iter().map(|(word, roles)| ((*word).to_owned(), roles.to_vec())).collect())
    }
}

impl RoleMap {
    /// The defaults with changes: a word that is named means what it is changed to, and nothing if
    /// that is empty.
    ///
    /// # Errors
    /// [`RoleMapError`] if a change names a role that there is not, or two changes name the same
    /// word.
    pub fn with(changes: &BTreeMap<String, Vec<String>>) -> Result<Self, RoleMapError> {
        let mut changed: HashMap<String, Vec<Role>> = HashMap::new();
        for (word, names) in changes {
            let of = |name: &String| Role::from_name(name).filter(|role| *role != Role::Node);
            let role = |name| {
                of(name).ok_or_else(|| RoleMapError::UnknownRole {
                    word: word.clone(),
                    role: name.clone(),
                })
            };
            let roles = names.iter().map(role).collect::<Result<_, _>>()?;
            if changed.insert(word.to_ascii_lowercase(), roles).is_some() {
                return Err(RoleMapError::Twice { word: word.to_ascii_lowercase() });
            }
        }
        let mut map = Self::default();
        map.0.extend(changed);
        Ok(map)
    }

    /// What words mean together, each role once; an unknown word means nothing.
    pub fn roles_of<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Vec<Role> {
        let mut roles = Vec::new();
        for role in
            words.into_iter().filter_map(|word| self.0.get(&word.to_ascii_lowercase())).flatten()
        {
            if !roles.contains(role) {
                roles.push(*role);
            }
        }
        roles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        pairs
            .iter()
            .map(|(word, roles)| {
                ((*word).to_owned(), roles.iter().map(|role| (*role).to_owned()).collect())
            })
            .collect()
    }

    #[test]
    fn a_change_replaces_its_word_in_any_letter_case_and_keeps_the_others() {
        let map = RoleMap::with(&changes(&[
            ("Gateway_Auditor", &["viewer"]),
            ("ADMIN", &["Operator"]),
            ("owner", &[]),
        ]))
        .unwrap();
        assert_eq!(map.roles_of(["GATEWAY_AUDITOR"]), [Role::Viewer]);
        assert_eq!(map.roles_of(["admin"]), [Role::Operator]);
        assert_eq!(map.roles_of(["owner", "emperor"]), []);
        assert_eq!(map.roles_of(["Node_Operator", "user"]), [Role::Owner, Role::OwnViewer]);
    }

    #[test]
    fn a_role_that_there_is_not_and_a_word_twice_are_refused() {
        for role in ["emperor", "node", ""] {
            let refused = RoleMap::with(&changes(&[("x", &["viewer", role])]));
            assert_eq!(
                refused.err(),
                Some(RoleMapError::UnknownRole { word: "x".into(), role: role.into() })
            );
        }
        assert_eq!(
            RoleMap::with(&changes(&[("Admin", &[]), ("admin", &[])])).err(),
            Some(RoleMapError::Twice { word: "admin".into() })
        );
    }
}
